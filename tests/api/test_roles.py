"""Who may ask what: every route of both programs, with every method, asked by a stranger, a viewer and an operator.

The tables are written by hand, and a route that is in none of them fails: to say who may ask is a part of adding it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.receiver.app import run_receiver
from bridge.web.headers import standing_headers
from bridge.web.routes import Role, is_enough
from config.settings import Address, Api, BrokerUrl, JsonLinesSink, ReceiverIdentity, ReceiverSettings
from gateway.api import routes as gateway_routes
from tests.support.api_gateway import OPERATOR as GATEWAY_OPERATOR
from tests.support.api_gateway import VIEWER as GATEWAY_VIEWER
from tests.support.api_gateway import ApiGateway, bearer
from tests.support.web_house import OPERATOR_TOKEN, VIEWER_TOKEN, write_tokens

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")
SAFE = ("GET", "HEAD")
WITHIN_S = 30.0

Needed = Mapping[tuple[str, str], Role]

BOTH: Needed = {
    ("GET", "/healthz"): "open",
    ("GET", "/readyz"): "open",
    ("GET", "/api/v1/session"): "open",
    ("POST", "/api/v1/session"): "open",
    ("DELETE", "/api/v1/session"): "open",
    ("GET", "/metrics"): "viewer",
    ("GET", "/api/v1/status"): "viewer",
    ("GET", "/api/v1/openapi.json"): "viewer",
    ("POST", "/api/v1/configuration/reload"): "operator",
}
GATEWAY: Needed = {
    **BOTH,
    ("GET", "/api/v1/overview"): "viewer",
    ("GET", "/api/v1/history"): "viewer",
    ("GET", "/api/v1/events"): "viewer",
    ("GET", "/api/v1/streams"): "viewer",
    ("POST", "/api/v1/uplinks/{name}/pause"): "operator",
    ("POST", "/api/v1/uplinks/{name}/resume"): "operator",
    ("POST", "/api/v1/uplinks/{name}/drain"): "operator",
    ("GET", "/api/v1/devices"): "viewer",
    ("GET", "/api/v1/devices/{client}"): "viewer",
    ("POST", "/api/v1/devices/{client}/disconnect"): "operator",
    ("GET", "/api/v1/topics"): "viewer",
    ("GET", "/api/v1/topics/one"): "viewer",
    ("GET", "/api/v1/retained"): "viewer",
    ("GET", "/api/v1/tail"): "viewer",
    ("GET", "/api/v1/dead-letters"): "viewer",
    ("GET", "/api/v1/dead-letters/export"): "viewer",
    ("GET", "/api/v1/dead-letters/{id}"): "viewer",
    ("POST", "/api/v1/dead-letters/replay"): "operator",
    ("POST", "/api/v1/dead-letters/discard"): "operator",
    ("GET", "/api/v1/queue/{stream}"): "viewer",
    ("GET", "/api/v1/queue/{stream}/export"): "viewer",
    ("GET", "/api/v1/configuration"): "viewer",
    ("POST", "/api/v1/configuration"): "operator",
    ("POST", "/api/v1/configuration/check"): "operator",
}
RECEIVER: Needed = {
    **BOTH,
    ("GET", "/api/v1/receiver"): "viewer",
    ("GET", "/api/v1/set-aside"): "viewer",
    ("GET", "/api/v1/set-aside/{id}"): "viewer",
    ("GET", "/api/v1/set-aside/{id}/export"): "viewer",
    ("POST", "/api/v1/set-aside/discard"): "operator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One that runs, what it says that it serves, and the tokens of its two roles."""

    url: str
    served: set[tuple[str, str]]
    needed: Needed
    tokens: Mapping[Role, str]


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Program]:
    # Its loop is another thread's, so that it is asked as by a program of its own.
    running = await asyncio.to_thread(ApiGateway(folder).__enter__)
    try:
        served = {(route.method, route.path) for route in running.gateway.api.web.routes}
        tokens: dict[Role, str] = {"viewer": GATEWAY_VIEWER, "operator": GATEWAY_OPERATOR}
        yield Program(url=running.url, served=served, needed=GATEWAY, tokens=tokens)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@asynccontextmanager
async def receiver(folder: Path) -> AsyncIterator[Program]:
    write_tokens(folder / "tokens", {VIEWER_TOKEN: "viewer", OPERATOR_TOKEN: "operator"})
    settings = ReceiverSettings(
        receiver=ReceiverIdentity(url=BrokerUrl(host="127.0.0.1", port=1), state=folder / "receiver.db"),
        api=Api(bind=Address(host="127.0.0.1", port=0), token_file=folder / "tokens"),
        sinks=(JsonLinesSink(path=folder / "received.jsonl"),),
    )
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_receiver(settings, stop=stop, on_ready=ready.set_result))
    try:
        async with asyncio.timeout(WITHIN_S):
            url = f"http://{await ready}"
        async with (
            aiohttp.ClientSession(url, headers=bearer(OPERATOR_TOKEN)) as http,
            http.get("/api/v1/openapi.json") as response,
        ):
            paths = (await response.json())["paths"]
        served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        tokens: dict[Role, str] = {"viewer": VIEWER_TOKEN, "operator": OPERATOR_TOKEN}
        yield Program(url=url, served=served, needed=RECEIVER, tokens=tokens)
    finally:
        stop.set()
        await running


PROGRAMS = pytest.mark.parametrize("program", [gateway, receiver], ids=lambda program: program.__name__)


async def status_of(http: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str]) -> int:
    """What comes of a request that is wrong in its body and in its query, so that nothing is done even where it may be.

    That is looked at only when it is known who asks, and that he may: 400 means that he may.
    """
    body = {} if method in SAFE else {"data": b"[]"}
    kind = {} if method in SAFE else {"Content-Type": "application/json"}
    async with http.request(method, url, headers={**headers, **kind}, **body) as response:  # type: ignore[arg-type]
        await response.read()
        for name, value in standing_headers(is_tls=False).items():
            assert response.headers.getall(name) == [value], f"{method} {url}: {name}"
        assert response.headers["Cache-Control"] in {"no-store", "no-cache"}
        return response.status


def address(path: str) -> str:
    """An address that a template fits."""
    return re.sub(r"{[^}]*}", "x", path)


def role_needed(method: str, path: str, needed: Needed) -> Role | None:
    """That of the route; where it is another one's, as `GET .../discard` is of `{id}`, that one's."""
    if (method, path) in needed:
        return needed[method, path]
    fits = [
        role
        for (own, template), role in needed.items()
        if own == method and re.fullmatch(re.sub(r"{[^}]*}", "[^/]+", template), address(path))
    ]
    return fits[0] if fits else None


def expected_status(method: str, path: str, needed: Needed, role: Role | None) -> set[int]:
    own = role_needed("GET" if method == "HEAD" else method, path, needed)
    if own is None:
        return {405}
    if not is_enough(role, own):
        return {401} if role is None else {403}
    # Logging out takes no body, and does no harm.
    return {204, 400} if (method, path) == ("DELETE", "/api/v1/session") else {400}


@PROGRAMS
async def test_every_route_with_every_method_is_answered_to_those_who_may_and_to_nobody_else(
    program: Any, tmp_path: Path
) -> None:
    async with program(tmp_path) as at, aiohttp.ClientSession() as http, asyncio.timeout(WITHIN_S):
        assert not at.served - set(at.needed), "say here who may ask that"
        wrong = {}
        for path in sorted({path for _, path in at.served}):
            url = f"{at.url}{address(path)}?nonsense=1"
            for role, token in ((None, None), *at.tokens.items()):
                for method in METHODS:
                    found = await status_of(http, method, url, {} if token is None else bearer(token))
                    expected = expected_status(method, path, at.needed, role)
                    if found not in expected:
                        wrong[method, path, role] = (found, expected)
        assert not wrong


@PROGRAMS
async def test_no_action_is_done_for_a_browser_that_shows_no_token_of_ours(program: Any, tmp_path: Path) -> None:
    async with program(tmp_path) as at, aiohttp.ClientSession() as http, asyncio.timeout(WITHIN_S):
        for method, path in sorted(at.served):
            if method in SAFE:
                continue
            url = f"{at.url}{address(path)}"
            for sign in ({"Cookie": "a=b"}, {"Origin": at.url}, {"Sec-Fetch-Site": "same-origin"}):
                for token in ({}, {"X-CSRF-Token": "x" * 64}):
                    headers = {**bearer(at.tokens["operator"]), **sign, **token}
                    assert await status_of(http, method, url, headers) == 403, (method, path, sign)


@PROGRAMS
async def test_no_answer_lets_a_page_elsewhere_read_it(program: Any, tmp_path: Path) -> None:
    async with program(tmp_path) as at, aiohttp.ClientSession() as http, asyncio.timeout(WITHIN_S):
        for method, path in sorted({*at.served, *(("OPTIONS", path) for _, path in at.served)}):
            url = f"{at.url}{address(path)}?nonsense=1"
            asks = {
                **bearer(at.tokens["operator"]),
                "Origin": "https://evil.example",
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "x-csrf-token",
            }
            async with http.request(method, url, headers=asks) as response:
                assert response.status == 403, (method, path)
                assert not [name for name in response.headers if name.lower().startswith("access-control-")]


def test_every_resource_of_the_gateway_is_served() -> None:
    """A file of routes that nobody lists would be asked by none of these tests."""
    folder = Path(gateway_routes.__file__).parent
    with_routes = {path.stem for path in folder.glob("*.py") if "Route(" in path.read_text()}
    listed = {resource.__name__.rpartition(".")[2] for resource in gateway_routes._RESOURCES}
    assert with_routes - {"health"} == listed
