"""The connections of a server: none of their sockets is left when it has closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from bridge.web import serving
from bridge.web.routes import Answer, Call, Route
from bridge.web.serving import BoundedServer
from tests.support.certificates import Authority
from tests.support.web_house import house
from tests.unit.bridge.web.test_live_settings import tls_of

TIMEOUT_S = 10.0
LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def run(loop: str, coroutine: Any) -> None:
    with asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner:
        runner.run(coroutine)


async def never(_request: Any) -> Any:
    raise AssertionError("Nothing was asked.")


@LOOPS
@pytest.mark.parametrize("how", ["close", "retire"])
def test_a_connection_that_has_only_just_been_taken_is_closed_as_well(loop: str, how: str) -> None:
    async def check() -> None:
        server = BoundedServer(never)
        client, taken = socket.socketpair()
        with client:
            client.setblocking(False)
            server.take(taken, "127.0.0.1")
            if how == "retire":
                server.retire()
                async with asyncio.timeout(TIMEOUT_S):
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
            await server.close()
            assert taken.fileno() == -1
            assert server.places == 0

    run(loop, check())


@LOOPS
def test_a_reader_who_takes_nothing_keeps_no_socket_open(monkeypatch: pytest.MonkeyPatch, loop: str) -> None:
    monkeypatch.setattr(serving, "LEAVE_S", 0.05)

    async def large(_call: Call) -> Any:
        return Answer(body=b"x" * 16_000_000)

    async def check() -> None:
        async with house(routes=[Route(method="GET", path="/large", handler=large, role="open")]) as at:
            connections = at.server._entrance.connections
            assert connections is not None
            reader, writer = await asyncio.open_connection(at.server.address.host, at.server.address.port, limit=1)
            writer.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert await reader.read(1)
            (line,) = connections._connections.values()
            line.set_write_buffer_limits(high=1 << 30)
            await at.server.close()
            assert all(sock.fileno() == -1 for sock in connections._sockets)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    run(loop, check())


@LOOPS
def test_who_does_not_answer_the_end_of_tls_keeps_no_socket_open(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    monkeypatch.setattr(serving, "LEAVE_S", 0.05)
    authority = Authority(tmp_path)

    async def check() -> None:
        async with house(tls=tls_of(authority.server())) as at:
            connections = at.server._entrance.connections
            assert connections is not None
            address = at.server.address
            plain = await asyncio.to_thread(socket.create_connection, (address.host, address.port))
            with await asyncio.to_thread(
                authority.client_context().wrap_socket, plain, server_hostname="localhost"
            ) as client:
                client.settimeout(TIMEOUT_S)
                await at.server.close()
                assert all(sock.fileno() == -1 for sock in connections._sockets)

    run(loop, check())


@LOOPS
@pytest.mark.parametrize("path", ["/nowhere", "/healthz", "/static/index.html", "/api/v1/thing"])
def test_who_sends_many_requests_at_once_has_one_answered_a_turn_of_the_loop(loop: str, path: str) -> None:
    requests = 200

    async def check() -> None:
        async with house() as at:
            turns, is_over = 0, False

            def turn() -> None:
                nonlocal turns
                turns += 1
                if not is_over:
                    asyncio.get_running_loop().call_soon(turn)

            turn()
            reader, writer = await asyncio.open_connection(at.server.address.host, at.server.address.port)
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
            asked = f"{head}\r\n" * (requests - 1) + f"{head}Connection: close\r\n\r\n"
            before = turns
            writer.write(asked.encode())
            async with asyncio.timeout(TIMEOUT_S):
                answered = (await reader.read()).count(b"HTTP/1.1 ")
            is_over = True
            writer.close()
            await writer.wait_closed()
            assert answered == requests
            assert turns - before >= requests

    run(loop, check())
