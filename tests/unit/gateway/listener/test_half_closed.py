"""A client that says it sends no more, and does not take what it is still to get."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
import uvloop

from gateway.listener.connection import Connection
from gateway.mqtt.reason_codes import ReasonCode
from tests.support.doors import ACCEPTED, CONNECT_311, PING, PONG, Door, exactly, hang_up, opened, until

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


async def _half_closed(door: Door) -> tuple[Connection, asyncio.StreamWriter]:
    """A subscriber, `a`, for which bytes wait that it does not take, and that has ended its own half."""
    sock = socket.socket()
    # Fixed: else the system lets it grow for as long as it likes, and takes what the client does not.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    sock.connect(("127.0.0.1", door.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(CONNECT_311)
    assert await exactly(reader, 4) == ACCEPTED
    cast("asyncio.ReadTransport", writer.transport).pause_reading()
    writer.write(b"\x82\x06\x00\x05\x00\x01t\x00")
    await until(lambda: bool(door.broker.sessions["a"].subscriptions))
    (silent,) = door.listener._guests
    assert isinstance(silent, Connection)
    transport = silent._transport
    assert transport is not None
    answers, publisher = await door.connected(CONNECT_311[:-1] + b"b")
    while not transport.get_write_buffer_size():
        publisher.write((b"\x30\xe8\x07\x00\x01t" + bytes(997)) * 32 + PING)
        assert await exactly(answers, 2) == PONG
    assert silent.is_writable, "it is read, so its end is seen"
    writer.write_eof()
    await until(transport.is_closing)
    await hang_up(publisher)
    return silent, writer


async def _is_cut_for_its_silence() -> None:
    async with opened(stall_timeout_s=0.4) as door:
        _, writer = await _half_closed(door)
        await until(lambda: door.listener.connections == 0)
        assert door.broker.counters.disconnects["stalled"] == 1
        assert "a" not in door.broker.sessions
        writer.transport.abort()


async def _is_cut_after_it_was_closed() -> None:
    async with opened(stall_timeout_s=3600) as door:
        _, writer = await _half_closed(door)
        client = door.broker.sessions["a"].client
        assert client is not None
        client.close(ReasonCode.KEEP_ALIVE_TIMEOUT)
        await until(lambda: door.listener.connections == 0)
        writer.transport.abort()


def on(new_loop: Callable[[], asyncio.AbstractEventLoop], scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_it_is_cut_when_it_takes_nothing_in_the_stall_time(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    on(new_loop, _is_cut_for_its_silence())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_it_is_cut_a_moment_after_the_gateway_has_closed_it(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    on(new_loop, _is_cut_after_it_was_closed())
