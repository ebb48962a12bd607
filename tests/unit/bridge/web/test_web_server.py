"""The server over a real socket: answers, errors, files, bodies, TLS, and what is no request at all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.web import bodies, results, serving
from bridge.web.certificates import make_context
from bridge.web.errors import CannotServe
from bridge.web.gate import Gate
from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Answer, Call, Problem, Route
from bridge.web.server import WebServer
from config.settings import Api, ApiTls
from tests.support.certificates import Authority
from tests.support.web_house import OPERATOR_TOKEN, PAGES, PASSWORDS, ROUTES, VIEWER_TOKEN, House, house

TIMEOUT_S = 30.0
ACT = "/api/v1/thing/pump/act"


async def raw(at: House, request: bytes) -> bytes:
    """What comes back for these very bytes, until the server closes."""
    address = at.server.address
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(request)
        async with asyncio.timeout(TIMEOUT_S):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


# ---- Headers and errors -----------------------------------------------------------------------------------------


async def breaks(_call: Call) -> Any:
    raise RuntimeError("a secret")


async def is_refused(_call: Call) -> Any:
    raise ConnectionRefusedError("by somebody else")


async def refuses(_call: Call) -> Any:
    raise Problem(409, "Not now.", problems=[{"line": 1}], headers={"Retry-After": "7"})


BROKEN = (
    Route(method="GET", path="/api/v1/broken", handler=breaks),
    Route(method="POST", path="/api/v1/broken", handler=breaks, role="operator", audit="break"),
    Route(method="GET", path="/api/v1/refused", handler=refuses),
    Route(method="GET", path="/api/v1/connection", handler=is_refused),
)


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("GET", "/", 200, {}),
        ("HEAD", "/", 200, {}),
        ("GET", "/static/index.html", 200, {}),
        ("GET", "/static/none.js", 404, {}),
        ("GET", "/api/v1/thing", 200, {}),
        ("HEAD", "/api/v1/thing", 200, {}),
        ("GET", "/api/v1/none", 404, {}),
        ("POST", "/api/v1/thing", 405, {}),
        ("OPTIONS", "/api/v1/thing", 405, {}),
        ("TRACE", "/", 405, {}),
        ("GET", "/api/v1/broken", 500, {}),
        ("GET", "/api/v1/connection", 500, {}),
        ("GET", "/api/v1/refused", 409, {}),
        ("GET", "/api/v1/thing", 421, {"Host": "evil.example"}),
        ("GET", "/api/v1/thing", 403, {"Origin": "http://evil.example"}),
        ("POST", ACT, 415, {}),
        ("DELETE", "/api/v1/session", 204, {}),
    ],
)
async def test_every_answer_carries_the_headers_that_keep_a_browser_safe(
    method: str, path: str, status: int, headers: dict[str, str]
) -> None:
    async with house(routes=(*ROUTES, *BROKEN)) as at:
        response, _ = await at.ask(method, path, headers=headers)
        assert response.status == status
        policy = response.headers.getall("Content-Security-Policy")
        assert len(policy) == 1
        assert policy[0].startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy[0]
        assert "unsafe" not in policy[0]
        for name, value in (
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Server", "fieldgate"),
        ):
            assert response.headers.getall(name) == [value]
        assert "geolocation=()" in response.headers["Permissions-Policy"]
        assert "Strict-Transport-Security" not in response.headers
        assert response.headers["Cache-Control"] == ("no-cache" if status == 200 and "api" not in path else "no-store")


async def test_an_error_is_a_json_sentence() -> None:
    async with house(routes=(*ROUTES, *BROKEN)) as at:
        response, body = await at.ask("GET", "/api/v1/refused")
        assert body == {"error": {"status": 409, "message": "Not now.", "problems": [{"line": 1}]}}
        assert response.headers["Retry-After"] == "7"
        response, body = await at.ask("POST", "/api/v1/thing", json={})
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
        assert body["error"]["message"] == "POST is not possible here; GET and HEAD are."
        _, body = await at.ask("GET", "/x%0A<b>")
        assert body["error"]["message"] == "There is nothing at /x%0A%3Cb%3E."


async def test_what_breaks_is_logged_and_the_caller_gets_no_detail(caplog: pytest.LogCaptureFixture) -> None:
    async with house(routes=BROKEN) as at:
        _, body = await at.ask("GET", "/api/v1/broken")
        assert body["error"]["message"] == "The request could not be answered; the log says why."
        await at.ask("POST", "/api/v1/broken", json={})
        assert [audit.outcome for audit in at.audits] == ["failed"]
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["no request", "no length", "long header", "long path", "TLS"],
)
async def test_what_is_no_request_gets_a_sentence_and_the_same_headers(request_bytes: bytes) -> None:
    async with house() as at:
        answer = await raw(at, request_bytes + b"\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
        assert b"Content-Security-Policy: default-src 'none'" in head
        assert json.loads(body)["error"]["message"] == "This is not a request that HTTP/1.1 knows."
        assert await at.status("GET", "/healthz") == 200


async def test_two_host_headers_are_none() -> None:
    async with house() as at:
        answer = await raw(
            at, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 421 "))


async def test_a_probe_that_knows_only_http_1_0_is_answered() -> None:
    async with house() as at:
        assert (await raw(at, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200 ")


async def test_half_a_request_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "IDLE_S", 0.1)
    async with house() as at:
        assert await raw(at, b"GET / HTTP/1.1\r\nHost: local") == b""


async def test_half_a_body_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.1)
    monkeypatch.setattr(serving, "LINGER_S", 0.1)
    head = f"POST {ACT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    async with house() as at:
        answer = await raw(at, head.encode() + b"{")
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_one_connection_too_many_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 1)
    async with house() as at:
        address = at.server.address
        _, writer = await asyncio.open_connection(address.host, address.port)
        with contextlib.suppress(ConnectionError):
            assert await raw(at, b"GET /healthz HTTP/1.0\r\n\r\n") == b""
        writer.close()
        await writer.wait_closed()
        gc.collect()  # a task that broke is told of when it goes
        assert not caplog.records, "it cost a stranger nothing to have the log written"


async def test_one_address_cannot_have_all_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_OF_ADDRESS", 2)
    asks = b"GET /healthz HTTP/1.0\r\n\r\n"
    async with house() as at:
        address = at.server.address
        idle = [await asyncio.open_connection(address.host, address.port) for _ in range(2)]
        with contextlib.suppress(ConnectionError):
            assert await raw(at, asks) == b""
        reader, other = await asyncio.open_connection(address.host, address.port, local_addr=("127.0.0.2", 0))
        other.write(asks)
        async with asyncio.timeout(TIMEOUT_S):
            assert (await reader.read()).startswith(b"HTTP/1.0 200 ")
        for _, writer in [*idle, (reader, other)]:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(TIMEOUT_S):
            while b"200" not in await raw(at, asks):  # who has gone counts no more
                pass


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("waits_bytes", [None, 1 << 30], ids=["while it is written", "when all of it is written"])
def test_who_takes_nothing_of_an_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, waits_bytes: int | None, loop: str
) -> None:
    monkeypatch.setattr(serving, "STALL_S", 0.2)
    monkeypatch.setattr(serving, "IDLE_S", 0.2)
    with asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner:
        runner.run(_takes_nothing(waits_bytes))


async def _takes_nothing(waits_bytes: int | None) -> None:
    async def large(_call: Call) -> Any:
        return Answer(body=b"x" * 16_000_000)

    async with house(routes=[Route(method="GET", path="/large", handler=large, role="open")]) as at:
        connections = at.server._entrance.connections
        assert connections is not None
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (at.server.address.host, at.server.address.port))
        async with asyncio.timeout(TIMEOUT_S):
            while not connections.connections:  # noqa: ASYNC110 - the server's own state, of whose changes nobody tells
                await asyncio.sleep(0.005)
            (connection,) = connections.connections
            if waits_bytes is not None:
                transport: Any = connection.transport
                transport.set_write_buffer_limits(high=waits_bytes)
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while connections.connections or connection.transport is not None:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)
            received = 0
            with contextlib.suppress(ConnectionError):
                while chunk := await loop.sock_recv(client, 1 << 20):  # what the kernel had taken, and then the end
                    received += len(chunk)
        client.close()
        assert received < 16_000_000


async def test_a_strangers_body_is_smaller_than_an_operators(tmp_path: Path) -> None:
    large = json.dumps({"user": "anna", "password": "x", "more": "y" * bodies.MAX_STRANGERS_BYTES}).encode()
    kind = {"Content-Type": "application/json"}
    async with house(tmp_path, users=PASSWORDS, roles={OPERATOR_TOKEN: "operator"}) as at:
        assert await at.status("POST", "/api/v1/session", data=large, headers=kind) == 413

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(large), 10_000):
                yield large[start : start + 10_000]

        assert await at.status("POST", "/api/v1/session", data=pieces(), headers=kind) == 413
        operator = {**kind, "Authorization": f"Bearer {OPERATOR_TOKEN}"}
        assert await at.status("POST", ACT, data=large, headers=operator) == 200
        # The longest password there may be, in the longest way to write it.
        longest = json.dumps({"user": "\U0001f600" * 256, "password": "\U0001f600" * 4096}).encode()
        assert await at.status("POST", "/api/v1/session", data=longest, headers=kind) == 401


async def test_a_caller_who_hangs_up_within_his_body_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with house() as at:
        address = at.server.address
        _, writer = await asyncio.open_connection(address.host, address.port)
        head = f"POST {ACT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        writer.write(head.encode() + b"{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(TIMEOUT_S):
            while not at.audits:  # noqa: ASYNC110 - the server's own state, of whose changes nobody tells
                await asyncio.sleep(0.005)
        assert [(audit.outcome, audit.why) for audit in at.audits] == [("refused", "The body ends before its end.")]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# ---- Pages and files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/login", "/devices", "/devices/a%2Fb", "/topics/", "/topics/plant/%23/x"])
async def test_every_page_is_the_one_shell(path: str) -> None:
    async with house() as at:
        response, body = await at.ask("GET", path)
        assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        _, shell = await at.ask("GET", "/static/index.html")
        assert body == shell


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/js/../../../server.py",
        "/static/\\..\\server.py",
        "/static/",
        "/static/js",
        "/static/index.html%00.js",
        "/static/./index.html",
    ],
)
async def test_no_path_leads_out_of_the_folder_of_files(path: str) -> None:
    async with house() as at:
        answer = await raw(at, f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.0 404 ")


async def test_a_file_that_the_caller_has_is_not_sent_again() -> None:
    async with house() as at:
        response, body = await at.ask("GET", "/static/index.html", headers={"Accept-Encoding": "identity"})
        etag = response.headers["ETag"]
        assert etag.startswith('"')
        assert "Content-Encoding" not in response.headers
        response, again = await at.ask(
            "GET", "/static/index.html", headers={"If-None-Match": etag, "Accept-Encoding": "identity"}
        )
        assert (response.status, again, response.headers["ETag"]) == (304, b"", etag)
        response, zipped = await at.ask("GET", "/static/index.html", headers={"Accept-Encoding": "gzip"})
        if response.headers.get("Content-Encoding") == "gzip":
            assert (zipped, response.headers["ETag"] != etag, response.headers["Vary"]) == (
                body,
                True,
                "Accept-Encoding",
            )


# ---- Queries and bodies -----------------------------------------------------------------------------------------


SHAPED = (
    Route(
        method="GET",
        path="/api/v1/shaped",
        handler=ROUTES[0].handler,
        operation=Operation(
            summary="Shaped",
            query=(Parameter(name="limit", schema={"type": "integer", "minimum": 1, "maximum": 9, "default": 5}),),
        ),
    ),
    Route(
        method="POST",
        path="/api/v1/shaped",
        handler=ROUTES[-1].handler,
        role="operator",
        audit="shape",
        operation=Operation(
            summary="Shape",
            body={
                "type": "object",
                "properties": {"ids": {"type": "array", "items": {"type": "integer"}}},
                "additionalProperties": False,
            },
        ),
    ),
)


async def test_a_query_is_read_by_what_the_route_declares() -> None:
    async with house(routes=SHAPED) as at:
        _, body = await at.ask("GET", "/api/v1/shaped?limit=7")
        assert body["query"] == {"limit": 7}
        _, body = await at.ask("GET", "/api/v1/shaped")
        assert body["query"] == {"limit": 5}
        response, body = await at.ask("GET", "/api/v1/shaped?limit=10")
        assert (response.status, body["error"]["problems"]) == (400, ["limit: expected at most 9"])
        answer = await raw(at, b"GET /api/v1/shaped?limit=%FF HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 400 ")


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"", 200, ""),
        (b"{}", 200, ""),
        (b'{"ids": [1]}', 200, ""),
        (b'{"ids": ["1"]}', 400, "ids[0]: expected a whole number"),
        (b'{"id": 1}', 400, "there is no 'id' here"),
        (b"[]", 400, "Expected a JSON object"),
        (b"{", 400, "The body is not JSON"),
        (b'{"ids": [\xff]}', 400, "The body is not JSON"),
        (b"[" * 100_000, 400, "The body is not JSON"),
        (b" " * (bodies.MAX_BODY_BYTES + 1), 413, "The body is larger than 1024 KiB."),
    ],
    ids=["empty", "nothing", "right", "wrong item", "unknown", "list", "cut", "no UTF-8", "deep", "large"],
)
async def test_a_body_is_held_against_what_the_route_declares(body: bytes, status: int, part: str) -> None:
    async with house(routes=SHAPED) as at:
        headers = {"Content-Type": "application/json"}
        response, answer = await at.ask("POST", "/api/v1/shaped", data=io.BytesIO(body), headers=headers)
        assert response.status == status
        if status != 200:
            assert part in answer["error"]["message"]


async def test_a_body_in_chunks_has_the_same_bound() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    async with house() as at:
        with contextlib.suppress(aiohttp.ClientConnectionError):  # it is cut off before it has sent it all
            assert await at.status("POST", ACT, data=chunks(), headers={"Content-Type": "application/json"}) == 413
        assert await at.status("GET", "/healthz") == 200


async def test_a_compressed_body_is_refused_rather_than_inflated() -> None:
    async with house() as at:
        headers = {"Content-Type": "application/json", "Content-Encoding": "deflate"}
        assert await at.status("POST", ACT, data=b"x\x9c\x03\x00", headers=headers) == 415


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on() -> None:
    async with house() as at:
        headers = {"Content-Type": "application/json"}
        assert await at.status("POST", ACT, data=b'{"a": 1}', headers=headers, expect100=True) == 200


# ---- Exports ----------------------------------------------------------------------------------------------------


def exporting(chunks: list[bytes | Exception]) -> tuple[tuple[Route, ...], list[str]]:
    seen: list[str] = []

    async def export(_call: Call) -> Any:
        async def made() -> AsyncIterator[bytes]:
            try:
                for chunk in chunks:
                    if isinstance(chunk, Exception):
                        raise chunk
                    yield chunk
            finally:
                seen.append("closed")

        return Answer(body=made(), content_type="application/x-ndjson", headers={"Content-Disposition": "attachment"})

    return (Route(method="GET", path="/api/v1/export", handler=export),), seen


async def test_an_export_is_sent_in_pieces() -> None:
    routes, seen = exporting([b"1\n", b"2\n"])
    async with house(routes=routes) as at:
        response, body = await at.ask("GET", "/api/v1/export")
        assert (response.content_type, body, seen) == ("application/x-ndjson", b"1\n2\n", ["closed"])
        assert response.headers["Content-Disposition"] == "attachment"
        assert "Content-Security-Policy" in response.headers
        assert await at.status("HEAD", "/api/v1/export") == 200
        assert seen == ["closed", "closed"]


async def test_what_a_handler_may_raise_comes_with_its_own_sentence() -> None:
    async def busy(_call: Call) -> Any:
        raise BlockingIOError("The disk is busy. Try again in a moment.")

    broken = [Route(method="GET", path="/api/v1/disk", handler=busy, is_live=True)]
    async with house(routes=broken, errors={OSError: 503}) as at:
        for headers in ({}, {"Accept": "text/event-stream"}):
            response, body = await at.ask("GET", "/api/v1/disk", headers=headers)
            assert response.status == 503
            assert body["error"]["message"] == "The disk is busy. Try again in a moment."


@pytest.mark.parametrize("how", ["after a while", "when the server closes"])
async def test_a_reader_of_an_export_who_takes_nothing_is_cut_off_and_is_no_error(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serving, "SHUTDOWN_S", TIMEOUT_S)
    sent, ended = 0, asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        try:
            while True:
                sent += 1
                yield b"x" * 100_000
        finally:
            ended.set()

    async def export(_call: Call) -> Any:
        return Answer(body=endless(), content_type="application/x-ndjson")

    async with house(routes=[Route(method="GET", path="/api/v1/export", handler=export)]) as at:
        if how == "after a while":
            at.server._results._write_s = 0.2
        address = at.server.address
        reader, writer = await asyncio.open_connection(address.host, address.port, limit=1)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /api/v1/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(TIMEOUT_S / 2):
            while not sent:  # noqa: ASYNC110 - the server's own state, of whose changes nobody tells
                await asyncio.sleep(0.005)
            if how == "when the server closes":
                await at.server.close()
            await ended.wait()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_export_that_cannot_begin_is_an_error_and_one_that_breaks_is_cut() -> None:
    routes, seen = exporting([Problem(404, "There is no such stream.")])
    async with house(routes=routes) as at:
        assert await at.status("GET", "/api/v1/export") == 404
    routes, seen = exporting([b"1\n", RuntimeError("the disk")])
    async with house(routes=routes) as at:
        with pytest.raises(aiohttp.ClientError):
            await at.ask("GET", "/api/v1/export")
        assert seen == ["closed"]


async def test_more_exports_than_there_is_room_for_have_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_EXPORTS", 0)
    routes, _ = exporting([b"1\n"])
    async with house(routes=routes) as at:
        response, _ = await at.ask("GET", "/api/v1/export")
        assert (response.status, response.headers["Retry-After"]) == (503, "10")


async def test_one_user_cannot_have_all_the_exports(tmp_path: Path) -> None:
    begun, go_on = 0, asyncio.Event()

    async def export(_call: Call) -> Any:
        async def made() -> AsyncIterator[bytes]:
            nonlocal begun
            begun += 1
            yield b"1\n"
            await go_on.wait()

        return Answer(body=made(), content_type="application/x-ndjson")

    route = Route(method="GET", path="/api/v1/export", handler=export)
    async with house(tmp_path, routes=[route], roles={OPERATOR_TOKEN: "operator", VIEWER_TOKEN: "viewer"}) as at:
        viewer, operator = ({"Authorization": f"Bearer {token}"} for token in (VIEWER_TOKEN, OPERATOR_TOKEN))
        slow = [asyncio.create_task(at.ask("GET", route.path, headers=viewer)) for _ in range(results.MAX_OF_USER)]
        async with asyncio.timeout(TIMEOUT_S):
            while begun < len(slow):  # noqa: ASYNC110 - the server's own state, of whose changes nobody tells
                await asyncio.sleep(0.005)
            response, body = await at.ask("GET", route.path, headers=viewer)
            assert (response.status, response.headers["Retry-After"]) == (503, "10")
            assert body["error"]["message"] == "4 exports of yours are under way. Try again in a moment."
            other = asyncio.create_task(at.ask("GET", route.path, headers=operator))
            while begun < len(slow) + 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)
            go_on.set()
            assert [(await task)[1] for task in [*slow, other]] == [b"1\n"] * (len(slow) + 1)
            assert await at.status("GET", route.path, headers=viewer) == 200


# ---- TLS, and starting ------------------------------------------------------------------------------------------


async def test_over_tls_the_cookie_is_secure_and_browsers_are_told_to_stay(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    tls = ApiTls(cert_file=pair.cert_file, key_file=pair.key_file)
    connector = aiohttp.TCPConnector(ssl=authority.client_context())
    async with house(tmp_path, users={"anna": "x"}, tls=tls, connector=connector) as at:
        assert at.url.startswith("https://")
        response, _ = await at.log_in("anna", "x")
        assert "; Secure" in response.headers["Set-Cookie"]
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_tls_before_1_2_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    context = authority.client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    async with house(tls=ApiTls(cert_file=pair.cert_file, key_file=pair.key_file)) as at:
        served = make_context(ApiTls(cert_file=pair.cert_file, key_file=pair.key_file))
        assert served is not None
        assert served.minimum_version == ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as client, client.get(at.url + "/healthz") as response:
            assert response.status == 200


async def test_who_says_nothing_where_tls_is_spoken_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HANDSHAKE_S", 0.1)
    pair = Authority(tmp_path).server()
    async with house(tls=ApiTls(cert_file=pair.cert_file, key_file=pair.key_file)) as at:
        assert await raw(at, b"") == b""


async def test_a_new_certificate_is_taken_at_a_reload_and_a_broken_one_is_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    async with house(tls=ApiTls(cert_file=pair.cert_file, key_file=pair.key_file)) as at:

        async def serial() -> int:
            address = at.server.address
            _, writer = await asyncio.open_connection(
                address.host, address.port, ssl=authority.client_context(), server_hostname="localhost"
            )
            certificate = writer.get_extra_info("ssl_object").getpeercert()
            writer.close()
            await writer.wait_closed()
            return int(certificate["serialNumber"], 16)

        assert await serial() == pair.certificate.serial_number
        new = authority.server()  # of the same name: it replaces the files
        assert await at.reload() == []
        assert await serial() == new.certificate.serial_number
        pair.cert_file.write_text("nothing")
        (problem,) = await at.reload()
        assert "can't be used" in problem
        assert await serial() == new.certificate.serial_number


def server_of(api: Api) -> WebServer:
    return WebServer(api, program="gateway", name="x", version="1", routes=ROUTES, pages=PAGES, gate=Gate.open(api))


async def test_files_of_tls_that_cannot_be_used_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("nothing")
    for name, part in (("cert", "can't be used"), ("none", "can't be read: No such file")):
        tls = ApiTls(cert_file=tmp_path / name, key_file=tmp_path / name)
        with pytest.raises(CannotServe, match=part):
            await server_of(Api(bind=Api().bind, tls=tls)).start()


async def test_an_address_that_is_taken_is_a_reason_and_a_server_can_be_closed_twice() -> None:
    async with house() as at:
        second = server_of(Api(bind=at.server.address))
        with pytest.raises(CannotServe, match=r"address already in use|Address already in use"):
            await second.start()
        await second.close()
        with pytest.raises(RuntimeError, match="has not been started"):
            _ = second.address
        await at.server.close()
        await at.server.close()


# ---- The description --------------------------------------------------------------------------------------------


async def test_the_description_is_made_of_the_routes(tmp_path: Path) -> None:
    async with house(tmp_path, routes=SHAPED, roles={VIEWER_TOKEN: "viewer"}) as at:
        headers = {"Authorization": f"Bearer {VIEWER_TOKEN}"}
        _, body = await at.ask("GET", "/api/v1/openapi.json", headers=headers)
    shaped = body["paths"]["/api/v1/shaped"]
    assert shaped["get"]["parameters"][0] == {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5},
    }
    assert shaped["get"]["operationId"] == "get_shaped"
    assert set(shaped["post"]["responses"]) == {"200", "400", "401", "403", "408", "413", "415", "421", "503"}
    assert body["paths"]["/api/v1/session"]["get"]["security"] == []
    assert body["components"]["securitySchemes"]["cookie"]["name"] == "fieldgate_session"
    assert body["info"] == {
        "title": "Fieldgate gateway",
        "version": "1.2.3",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
