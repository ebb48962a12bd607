"""The HTTP interface behind a reverse proxy: who is limited, the cookie, Host and Origin. With a real nginx, too."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.web import serving
from bridge.web.routes import Route
from bridge.web.tries import FREE_OF_BOTH
from tests.support.certificates import Authority
from tests.support.ports import steady_port
from tests.support.web_house import PASSWORDS, ROUTES, House, house, show

HERE = (ipaddress.ip_network("127.0.0.1"),)
LOGIN = "/api/v1/session"
ACT = "/api/v1/thing/pump/act"
TIMEOUT_S = 30


def from_(address: str, **more: str) -> dict[str, str]:
    return {"X-Forwarded-For": address, **more}


async def log_in(at: House, password: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
    response, _ = await at.ask("POST", LOGIN, json={"user": "anna", "password": password}, headers=headers)
    return response


async def test_wrong_tries_count_for_who_made_them_and_not_for_the_proxy(tmp_path: Path) -> None:
    async with house(tmp_path, users=PASSWORDS, proxies=HERE) as at:
        for _ in range(FREE_OF_BOTH):
            assert (await log_in(at, "wrong", from_("198.51.100.1"))).status == 401
        assert (await log_in(at, PASSWORDS["anna"], from_("198.51.100.1"))).status == 429
        lied = from_("203.0.113.9, 198.51.100.1")
        assert (await log_in(at, PASSWORDS["anna"], lied)).status == 429
        assert (await log_in(at, PASSWORDS["anna"], from_("198.51.100.2"))).status == 200
        assert {audit.address for audit in at.audits} == {"198.51.100.2"}


async def test_who_is_no_trusted_proxy_cannot_get_around_the_limit(tmp_path: Path) -> None:
    elsewhere = (ipaddress.ip_network("192.0.2.0/24"),)
    async with house(tmp_path, users=PASSWORDS, proxies=elsewhere) as at:
        for number in range(FREE_OF_BOTH):
            assert (await log_in(at, "wrong", from_(f"198.51.100.{number}"))).status == 401
        response = await log_in(at, PASSWORDS["anna"], from_("198.51.100.77", **{"X-Forwarded-Proto": "https"}))
        assert response.status == 429


@pytest.mark.parametrize(
    ("proxies", "headers", "is_secure"),
    [
        (HERE, {"X-Forwarded-Proto": "https"}, True),
        (HERE, {"Forwarded": "for=198.51.100.1;proto=https"}, True),
        (HERE, {"X-Forwarded-Proto": "http"}, False),
        (HERE, {}, False),
        ((), {"X-Forwarded-Proto": "https"}, False),
    ],
)
async def test_the_cookie_is_for_https_alone_where_the_proxy_was_called_so(
    tmp_path: Path, proxies: tuple[Any, ...], headers: dict[str, str], is_secure: bool
) -> None:
    async with house(tmp_path, users=PASSWORDS, proxies=proxies) as at:
        response = await log_in(at, PASSWORDS["anna"], headers)
        assert ("; Secure" in response.headers["Set-Cookie"]) is is_secure
        # Whether the proxy's name is for https:// alone is the proxy's to say: others may be served under it.
        assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "gw.example", "Origin": "https://gw.example"}, 403),  # no token yet, and no other mistake
        ({"Host": "127.0.0.1:80", "X-Forwarded-Host": "gw.example", "Origin": "https://gw.example"}, 403),
        ({"Host": "127.0.0.1:80", "X-Forwarded-Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Host": "evil.example", "X-Forwarded-Host": "gw.example"}, 421),
        ({"Host": "127.0.0.1:80", "Forwarded": "for=198.51.100.1;host=evil.example"}, 421),
    ],
)
async def test_the_name_at_the_proxy_has_to_be_ours_as_well_as_that_which_comes_here(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with house(tmp_path, users=PASSWORDS, hosts=("gw.example",), proxies=HERE) as at:
        session = await at.session_of("anna")
        token = session.pop("X-CSRF-Token")
        response, body = await at.ask("POST", ACT, json={}, headers={**session, **headers})
        assert response.status == status
        if status == 403:
            assert "X-CSRF-Token" in body["error"]["message"]
            headers = {**headers, "X-CSRF-Token": token}
            assert await at.status("POST", ACT, json={}, headers={**session, **headers}) == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-host", "Forwarded", "X-Real-IP"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/api/v1/thing"), ("POST", ACT)])
async def test_who_comes_through_a_proxy_is_no_operator_because_nobody_is_asked_who_he_is(
    tmp_path: Path, name: str, method: str, path: str
) -> None:
    body = {"json": {}} if method == "POST" else {}
    async with house() as at:
        response, answer = await at.ask(method, path, headers={name: "198.51.100.1"}, **body)
        assert (response.status, "api.trusted_proxies" in answer["error"]["message"]) == (403, True)
        assert await at.status(method, path, **body) == 200
    async with house(tmp_path, users=PASSWORDS) as at:
        session = await at.session_of("anna")
        assert await at.status(method, path, headers={**session, name: "198.51.100.1"}, **body) == 200


async def test_a_trusted_proxy_has_more_connections_than_one_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_OF_ADDRESS", 1)
    async with house(tmp_path, users=PASSWORDS, proxies=HERE) as at, contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            session = await stack.enter_async_context(aiohttp.ClientSession())
            async with session.get(at.url + "/healthz") as response:
                assert response.status == 200


# ---- A real one ---------------------------------------------------------------------------------------------------

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

CONFIGURATION = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    location / {{
      proxy_pass http://127.0.0.1:{behind};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host "";
      proxy_set_header Forwarded "";
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, authority: Authority, behind: int) -> Iterator[int]:
    """The port of one that passes everything on, as the guide says."""
    assert NGINX is not None
    port, pair = steady_port(), authority.server("nginx")
    text = CONFIGURATION.format(folder=folder, port=port, behind=behind, cert=pair.cert_file, key=pair.key_file)
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen([NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


@pytest.mark.skipif(NGINX is None, reason="Needs nginx.")
async def test_behind_a_real_nginx_a_browser_acts_and_follows_and_is_who_it_is(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    live = Route(method="GET", path="/api/v1/live", handler=show, is_live=True)
    async with house(tmp_path, users=PASSWORDS, proxies=HERE, routes=(*ROUTES, live)) as at:
        with nginx(tmp_path, authority, at.server.address.port) as port:
            url = f"https://localhost:{port}"
            page = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
            connector = aiohttp.TCPConnector(ssl=authority.client_context(), local_addr=("127.0.0.2", 0))
            async with aiohttp.ClientSession(connector=connector, base_url=url) as browser:
                async with browser.get(LOGIN) as response:
                    token = (await response.json())["csrf_token"]
                login = {"user": "anna", "password": PASSWORDS["anna"]}
                async with browser.post(LOGIN, json=login, headers={**page, "X-CSRF-Token": token}) as response:
                    assert response.status == 200
                    assert "; Secure" in response.headers["Set-Cookie"]
                    token = (await response.json())["csrf_token"]
                async with browser.post(ACT, json={}, headers={**page, "X-CSRF-Token": token}) as response:
                    assert (response.status, (await response.json())["user"]) == (200, "anna")
                stream = {"Accept": "text/event-stream"}
                async with browser.get(live.path, headers=stream) as response, asyncio.timeout(TIMEOUT_S):
                    while b"event: body" not in await response.content.readline():
                        assert response.status == 200
                async with browser.get("/api/v1/thing", headers={"Host": "evil.example"}) as response:
                    assert response.status == 421
                for forged in ("203.0.113.1", "203.0.113.2", "203.0.113.3, 203.0.113.4"):
                    headers = {**from_(forged), "Forwarded": f"for={forged}", "X-Forwarded-Proto": "http"}
                    async with browser.post(LOGIN, json={**login, "password": "x"}, headers=headers) as response:
                        assert response.status in {401, 403}
        # Whatever was written into the headers.
        assert {audit.address for audit in at.audits} == {"127.0.0.2"}
