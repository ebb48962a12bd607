"""How many, how fast and how long: over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import Any

import pytest

from gateway.access.ports import Credentials, Granted, Verdict
from gateway.listener import acceptor as module
from gateway.listener.acceptor import Acceptor
from gateway.listener.places import Places
from tests.support.doors import (
    ACCEPTED,
    CONNECT_5,
    CONNECT_311,
    PING,
    PONG,
    WITHIN_S,
    OpenEntry,
    exactly,
    hang_up,
    opened,
    rest,
    until,
)


async def test_connections_of_one_address_have_a_limit_and_others_are_not_hurt() -> None:
    async with opened(max_connections_per_address=2) as door:
        _, first = await door.connected(CONNECT_311[:-1] + b"1")
        _, second = await door.connected(CONNECT_311[:-1] + b"2")
        reader, third = await door.knock()
        assert await rest(reader) == b""
        assert door.refused == {"max_connections_per_address": 1}
        assert sum(map(len, door.listener.wheel._slots.values())) == 2
        _, other = await door.connected(CONNECT_311[:-1] + b"3", local_addr=("127.0.0.9", 0))
        await hang_up(first)
        await until(lambda: door.listener.connections == 2)
        _, fourth = await door.connected(CONNECT_311[:-1] + b"4")
        for writer in (second, third, other, fourth):
            await hang_up(writer)
        await until(lambda: door.listener.connections == 0)
        assert not door.listener._guests._at_address


async def test_the_connections_of_all_listeners_together_have_a_limit() -> None:
    places = Places(2)
    async with opened(places=places) as one, opened(places=places) as two:
        _, first = await one.connected()
        _, second = await two.connected()
        for door in (one, two):
            reader, writer = await door.knock()
            assert await rest(reader) == b""
            await hang_up(writer)
            assert door.refused == {"limits.max_connections": 1}
        await hang_up(first)
        await until(lambda: places.taken == 1)
        _, third = await two.connected(CONNECT_311[:-1] + b"b")
        await hang_up(second)
        await hang_up(third)
    assert places.taken == 0


async def test_new_connections_over_the_rate_wait_and_are_not_refused() -> None:
    async with opened(max_connect_rate=20) as door:
        loop = asyncio.get_running_loop()
        began = loop.time()
        made = await asyncio.gather(*(door.connected(CONNECT_5[:-1] + bytes([65 + i])) for i in range(30)))
        assert loop.time() - began > 0.3
        assert door.refused == {}
        assert door.broker.counters.connected_now == 30
        for _, writer in made:
            await hang_up(writer)


async def test_a_process_without_file_descriptors_takes_connections_again_when_it_has_some(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "EXHAUSTED_WAIT_S", 0.01)
    taken: list[Any] = []
    done = asyncio.Event()

    faults = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ECONNABORTED, "")]

    class Socket(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            if faults:
                raise faults.pop(0)
            return super().accept()

    def take(sock: socket.socket, address: Any) -> None:
        taken.append(address)
        sock.close()
        done.set()

    with Socket() as listening, socket.socket() as client:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        acceptor = Acceptor([listening], take, name="local", rate=None, loop=asyncio.get_running_loop())
        client.connect(listening.getsockname())
        await asyncio.wait_for(done.wait(), WITHIN_S)
        acceptor.close()
        acceptor.close()
    assert "takes no connections for a moment: the operating system says Too many open files" in caplog.text
    assert len(taken) == 1


async def test_the_more_connections_there_are_the_less_may_wait_for_a_new_one() -> None:
    async with opened() as door:
        listener = door.listener
        shares = []
        for number in (0, 1, 256, 1024, 4096, 100_000):
            listener._guests._groups = dict.fromkeys(range(number))  # type: ignore[arg-type]
            shares.append(listener.write_buffer_bytes // 1024)
        listener._guests._groups = {}
        assert shares == [256, 256, 256, 64, 16, 16]


async def test_a_connect_that_is_too_long_is_refused_at_its_header() -> None:
    async with opened(max_connect_size_bytes=100) as door:
        reader, writer = await door.knock()
        writer.write(b"\x10\x80\x01" + CONNECT_311[2:])
        await rest(reader)
        assert door.refused == {"packet_too_large": 1}
        await hang_up(writer)
        reader, writer = await door.connected()
        writer.write(b"\x30\xe8\x07\x00\x01t" + bytes(997) + PING)
        assert await exactly(reader, 2) == PONG
        await hang_up(writer)


async def test_a_fast_client_is_read_more_slowly_and_loses_nothing() -> None:
    async with opened(max_message_rate=1000) as door:
        reader, writer = await door.connected()
        loop = asyncio.get_running_loop()
        began = loop.time()
        writer.write(b"\x30\x04\x00\x01tx" * 1400)
        await until(lambda: len(door.store.stored) == 1400)
        writer.write(PING)
        assert await exactly(reader, 2) == PONG
        assert loop.time() - began > 0.2
        _, other = await door.connected(CONNECT_311[:-1] + b"b")
        await hang_up(other)
        await hang_up(writer)


async def test_a_client_may_not_send_more_bytes_a_second_than_is_written() -> None:
    async with opened(max_byte_rate=100_000) as door:
        reader, writer = await door.connected()
        loop = asyncio.get_running_loop()
        began = loop.time()
        writer.write((b"\x30\xe8\x07\x00\x01t" + bytes(997)) * 130 + PING)
        assert await exactly(reader, 2) == PONG
        assert loop.time() - began > 0.2
        await hang_up(writer)


async def test_a_reader_that_takes_nothing_is_cut_and_its_publisher_is_not() -> None:
    async with opened(stall_timeout_s=0.4) as door:
        sock = socket.socket()
        # Fixed: else the system lets it grow for as long as it likes, and the client takes a little all the time.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        sock.connect(("127.0.0.1", door.port))
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(CONNECT_311)
        assert await exactly(reader, 4) == ACCEPTED
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"\x82\x06\x00\x05\x00\x01t\x00")
        await until(lambda: bool(door.broker.sessions["a"].subscriptions))
        _, publisher = await door.connected(CONNECT_311[:-1] + b"b")
        sending = asyncio.create_task(_flood(publisher))
        await until(lambda: door.broker.counters.disconnects["stalled"] == 1)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
        assert "b" in door.broker.sessions
        writer.transport.abort()
        publisher.transport.abort()
        assert reader is not None


async def _flood(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write((b"\x30\xe8\x07\x00\x01t" + bytes(997)) * 100)
        await writer.drain()
        await asyncio.sleep(0)


async def test_the_time_for_connect_holds_for_the_decision_too() -> None:
    class Silent(OpenEntry):
        def decide_now(self, credentials: Credentials) -> Verdict | None:
            return None

        async def decide(self, credentials: Credentials) -> Verdict:
            await asyncio.Event().wait()
            return Granted()

    async with opened(entry=Silent(), connect_timeout_s=0.1) as door:
        reader, writer = await door.knock()
        writer.write(CONNECT_311)
        assert await rest(reader) == b"\x20\x02\x00\x03"
        assert door.refused == {"server_unavailable": 1}
        assert door.listener._tasks == set()
        await hang_up(writer)


async def test_a_listener_that_closes_asks_nobody_any_more() -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()

    class Slow(OpenEntry):
        def decide_now(self, credentials: Credentials) -> Verdict | None:
            return None

        async def decide(self, credentials: Credentials) -> Verdict:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return Granted()

    async with opened(entry=Slow()) as door:
        _, writer = await door.knock()
        writer.write(CONNECT_311)
        await asyncio.wait_for(asked.wait(), WITHIN_S)
        await hang_up(writer)
        await door.listener.close()
        assert cancelled.is_set()
