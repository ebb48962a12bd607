"""A web server with routes of a test, files of who may come, and a client that sends what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bridge.web import tokens
from bridge.web.audit import Audit
from bridge.web.errors import CannotServe
from bridge.web.gate import Gate
from bridge.web.live import Live
from bridge.web.routes import Call, Route
from bridge.web.server import WebServer
from config.errors import ConfigError
from config.settings import Address, Api, ApiTls, Network
from gateway.access import password_hash
from gateway.access.hashing import HashingPool
from gateway.access.web_users import web_users

ANY_PORT = Address(host="127.0.0.1", port=0)
PASSWORDS = {"anna": "anna's password", "otto": "otto's password"}
OPERATOR_TOKEN, VIEWER_TOKEN = tokens.make(b"o" * 32), tokens.make(b"v" * 32)


@functools.cache
def hash_of(password: str) -> str:
    """An Argon2id hash; made once a password, since that takes a while on purpose."""
    return password_hash.make(password.encode(), salt=secrets.token_bytes(password_hash.SALT_BYTES))


def write_passwords(path: Path, passwords: Mapping[str, str]) -> None:
    """A password file as `fieldgate passwd` writes it."""
    path.touch(0o600)
    path.write_text("".join(f"{user}:{hash_of(password)}\n" for user, password in passwords.items()))


def write_tokens(path: Path, roles: Mapping[str, str]) -> None:
    """A token file: token to role; a token is called as its role."""
    path.touch(0o600)
    path.write_text("".join(f"{role}:{role}:{tokens.digest(token)}\n" for token, role in roles.items()))


@dataclass(kw_only=True)
class House:
    """A running server, what was noted in its audit, and a client."""

    server: WebServer
    gate: Gate
    client: aiohttp.ClientSession
    api: Api
    """What holds."""
    audits: list[Audit] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The server's."""
        return self.server.url

    async def ask(self, method: str, path: str, **rest: Any) -> tuple[aiohttp.ClientResponse, Any]:
        """The response and its body: parsed where it is JSON, else bytes."""
        async with self.client.request(method, self.url + path, **rest) as response:
            body = await response.read()
            return response, await response.json() if response.content_type == "application/json" and body else body

    async def reload(self, **changes: Any) -> list[str]:
        """Have other settings, and the files as they are now; returns what is wrong, and then nothing has changed."""
        try:
            prepared = await self.server.prepare(api := dataclasses.replace(self.api, **changes))
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        except CannotServe as error:
            return [str(error)]
        self.server.adopt(prepared)
        self.api = api
        return []

    async def status(self, method: str, path: str, **rest: Any) -> int:
        """The status alone."""
        response, _ = await self.ask(method, path, **rest)
        return response.status

    async def csrf(self, **headers: str) -> str:
        """The token that actions of who sends these headers need."""
        _, body = await self.ask("GET", "/api/v1/session", headers=headers)
        return str(body["csrf_token"])

    async def log_in(self, user: str, password: str | None = None) -> tuple[aiohttp.ClientResponse, Any]:
        """Log in as a script does; the client keeps no cookie."""
        given = PASSWORDS[user] if password is None else password
        return await self.ask("POST", "/api/v1/session", json={"user": user, "password": given})

    async def session_of(self, user: str) -> dict[str, str]:
        """The headers by which the browser of a user who has just logged in acts."""
        response, body = await self.log_in(user)
        assert response.status == 200, body
        name, morsel = next(iter(response.cookies.items()))
        return {"Cookie": f"{name}={morsel.value}", "X-CSRF-Token": body["csrf_token"]}


async def show(call: Call) -> Any:
    """A handler that says who asked for what."""
    return {"user": call.user, "role": call.role, "path": dict(call.path), "query": dict(call.query)}


async def act(call: Call) -> Any:
    """A handler that says what it was told."""
    return {"user": call.user, "body": dict(call.body), "path": dict(call.path)}


ROUTES = (
    Route(method="GET", path="/healthz", handler=show, role="open"),
    Route(method="GET", path="/api/v1/thing", handler=show),
    Route(method="GET", path="/api/v1/thing/{name}", handler=show),
    Route(method="POST", path="/api/v1/thing/{name}/act", handler=act, role="operator", audit="do the thing"),
)
PAGES = ("/", "/login", "/devices", "/devices/{client}", "/topics", "/topics/{rest...}")


@contextlib.asynccontextmanager
async def house(
    folder: Path | None = None,
    *,
    routes: Sequence[Route] = ROUTES,
    users: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    tls: ApiTls | None = None,
    hosts: tuple[str, ...] = (),
    proxies: tuple[Network, ...] = (),
    live: Live | None = None,
    now_s: Callable[[], float] | None = None,
    connector: aiohttp.BaseConnector | None = None,
    errors: Mapping[type[Exception], int] | None = None,
) -> AsyncIterator[House]:
    """Serve. `users`: passwords by user, of which anna is the operator; `roles`: roles by token; both go into files in
    `folder`."""
    password_file = token_file = None
    if folder is not None and users is not None:
        write_passwords(password_file := folder / "passwords", users)
    if folder is not None and roles is not None:
        write_tokens(token_file := folder / "tokens", roles)
    api = Api(
        bind=ANY_PORT,
        password_file=password_file,
        token_file=token_file,
        operators=("anna",) if users else (),
        tls=tls or ApiTls(),
        hosts=hosts,
        trusted_proxies=proxies,
    )
    pool = HashingPool()
    audits: list[Audit] = []
    gate = Gate.open(api, open_verifier=web_users(pool))
    server = WebServer(
        api,
        program="gateway",
        name="edge-01",
        version="1.2.3",
        routes=routes,
        pages=PAGES,
        gate=gate,
        on_audit=audits.append,
        live=live,
        now_s=now_s or asyncio.get_running_loop().time,
        errors=errors,
    )
    try:
        await server.start()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector) as client:
            yield House(server=server, gate=gate, client=client, api=api, audits=audits)
    finally:
        await server.close()
        pool.close()
