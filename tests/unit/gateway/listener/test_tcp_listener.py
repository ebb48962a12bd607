"""The listener over real sockets, with bytes written by hand."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from config.settings import Address
from gateway.broker.client import Client
from gateway.listener.errors import ListenerError, listener_error
from gateway.mqtt.packets import Packet
from gateway.spool.ports import Outcome
from tests.support.doors import (
    ACCEPTED,
    CONNECT_5,
    CONNECT_311,
    PING,
    PONG,
    PUBACK,
    PUBLISH,
    Door,
    exactly,
    hang_up,
    opened,
    rest,
    until,
)


async def test_a_publish_is_acknowledged_however_its_bytes_are_cut() -> None:
    async with opened() as door:
        reader, writer = await door.knock()
        for byte in CONNECT_311 + PUBLISH + PING:
            writer.write(bytes([byte]))
            await writer.drain()
        received = await exactly(reader, 10)
        assert received in {ACCEPTED + PUBACK + PONG, ACCEPTED + PONG + PUBACK}
        assert len(door.store.stored) == 1
        await hang_up(writer)


async def _echo_of_everything() -> None:
    async with opened() as door:
        reader, writer = await door.connected()
        writer.write(b"\x82\x06\x00\x05\x00\x01t\x01" + PUBLISH)
        assert await exactly(reader, 5) == b"\x90\x03\x00\x05\x01"
        assert await exactly(reader, 4) == PUBACK
        assert await exactly(reader, 8) == PUBLISH
        assert door.listener.connections == 1
        writer.write(b"\xe0\x00")
        assert await rest(reader) == b""
        await hang_up(writer)
        await until(lambda: door.listener.connections == 0)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_works_on_the_loop_of_asyncio_and_on_uvloop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_echo_of_everything())


def _flood() -> Coroutine[Any, Any, None]:
    async def scenario() -> None:
        async with opened() as door:
            slow, to_slow = await door.connected()
            to_slow.write(b"\x82\x06\x00\x05\x00\x01t\x00")
            assert await exactly(slow, 5) == b"\x90\x03\x00\x05\x00"
            _, fast = await door.connected(CONNECT_311[:-1] + b"b")
            big = b"\x30\xe8\x07\x00\x01t" + bytes(997)
            for _ in range(200):
                fast.write(big * 100)
                await fast.drain()
            await until(lambda: len(door.store.stored) == 20_000)
            await until(lambda: door.broker.counters.dropped["queue_full"] > 0)
            session = door.broker.sessions["a"]
            assert session.outgoing.queued <= 10_000
            await hang_up(fast)
            to_slow.transport.abort()
            await hang_up(to_slow)

    return scenario()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_subscriber_that_does_not_read_is_not_waited_for(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_flood())


MALFORMED = [
    (b"\x36\x06\x00\x01t\x00\x01x", 0x81),
    (b"\x00\x00", 0x81),
    (b"\x20\x02\x00\x00", 0x82),
    (b"\x30\x06\x00\x02t#\x00xx", 0x90),
    (b"\x30\xff\xff\xff\x7f", 0x95),
    (CONNECT_5, 0x82),
]


@pytest.mark.parametrize(("bad", "reason"), MALFORMED)
async def test_a_bad_packet_closes_with_its_reason_after_what_came_before_it_was_taken(bad: bytes, reason: int) -> None:
    async with opened() as door:
        reader, writer = await door.connected(CONNECT_5)
        writer.write(b"\x32\x07\x00\x01t\x00\x01\x00x" + bad)
        assert (await rest(reader))[::2][:2] == bytes([0xE0, reason])
        await until(lambda: len(door.store.stored) == 1)
        await hang_up(writer)


@pytest.mark.parametrize("bad", [b"\x36\x06\x00\x01t\x00\x01x", b"\x30\x05\x00\x02t#x", b"\xf0\x00"])
async def test_before_mqtt_5_a_bad_packet_only_closes(bad: bytes) -> None:
    async with opened() as door:
        reader, writer = await door.connected()
        writer.write(PUBLISH + bad)
        assert await rest(reader) == b""
        await until(lambda: len(door.store.stored) == 1)
        await hang_up(writer)


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"\xc0\x00", b""),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"\x10\x0d\x00\x04MQTT\x07\x02\x00\x3c\x00\x01a", b"\x20\x03\x00\x84\x00"),
        (b"\x10\x0d\x00\x04MQTT\x02\x02\x00\x3c\x00\x01a", b"\x20\x02\x00\x01"),
        (b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00", b"\x20\x02\x00\x02"),
    ],
)
async def test_a_connection_that_does_not_begin_with_a_good_connect_is_closed(first: bytes, answer: bytes) -> None:
    async with opened() as door:
        reader, writer = await door.knock()
        writer.write(first)
        assert await rest(reader) == answer
        await hang_up(writer)
        assert door.broker.counters.refused_connects.total() == 1


async def test_a_client_over_the_receive_maximum_is_disconnected() -> None:
    async with opened(receive_maximum=2) as door:
        reader, writer = await door.connected(CONNECT_5)
        writer.write(b"".join(b"\x32\x07\x00\x01t\x00" + bytes([i]) + b"\x00x" for i in (1, 2, 3)))
        assert (await rest(reader))[::2][:2] == b"\xe0\x93"
        await until(lambda: len(door.store.stored) == 2)
        await hang_up(writer)


async def test_a_connection_without_connect_is_closed_in_time() -> None:
    async with opened(connect_timeout_s=0.05) as door:
        reader, writer = await door.knock()
        writer.write(CONNECT_311[:5])
        assert await rest(reader) == b""
        assert door.broker.counters.refused_connects == {"connect_timeout": 1}
        await hang_up(writer)


async def test_a_silent_client_is_disconnected_after_one_and_a_half_keep_alives() -> None:
    async with opened() as door:
        reader, writer = await door.connected(CONNECT_5[:11] + b"\x01" + CONNECT_5[12:])
        began = asyncio.get_running_loop().time()
        assert await rest(reader) == b"\xe0\x01\x8d"
        assert 1.4 < asyncio.get_running_loop().time() - began < 4
        await hang_up(writer)


async def test_the_last_place_is_kept_for_those_who_have_it() -> None:
    async with opened(max_connections=1) as door:
        reader, writer = await door.connected()
        other, to_other = await door.knock()
        with contextlib.suppress(ConnectionResetError):
            assert await rest(other) == b""
        await hang_up(to_other)
        writer.write(PING)
        assert await exactly(reader, 2) == PONG
        assert door.broker.counters.refused_connects == {"max_connections": 1}
        assert door.listener.connections == 1
        await hang_up(writer)


async def test_reading_stops_while_the_store_is_congested_and_goes_on_when_it_is_relieved() -> None:
    async with opened() as door:
        reader, writer = await door.connected()
        door.store.is_congested = True
        writer.write(PING)
        assert await exactly(reader, 2) == PONG
        await until(lambda: bool(door.store._relief))
        writer.write(PING)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(2), 0.05)
        door.store.relieve()
        assert await exactly(reader, 2) == PONG
        await hang_up(writer)


async def test_a_fault_in_one_connection_closes_only_that_one_and_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as door:
        good, to_good = await door.connected(CONNECT_311[:-1] + b"g")
        bad, to_bad = await door.connected(CONNECT_311[:-1] + b"b")

        handle = Client.handle

        def broken(client: Client, packet: Packet) -> None:
            if client.client_id == "b":
                raise RuntimeError("broken")
            handle(client, packet)

        monkeypatch.setattr(Client, "handle", broken)
        to_bad.write(PING)
        assert await rest(bad) == b""
        assert "client 'b'" in caplog.text
        to_good.write(PING)
        assert await exactly(good, 2) == PONG
        await hang_up(to_good)
        await hang_up(to_bad)


async def test_a_full_store_is_told_to_mqtt_5_clients() -> None:
    async with opened() as door:
        reader, writer = await door.connected(CONNECT_5)
        door.store.outcome = Outcome.FULL
        writer.write(b"\x32\x07\x00\x01t\x00\x01\x00x")
        assert await exactly(reader, 5) == b"\x40\x03\x00\x01\x97"
        await hang_up(writer)


async def test_the_gateway_stops_in_order_closing_the_door_then_acknowledging_then_disconnecting() -> None:
    async with opened() as door:
        reader, writer = await door.connected(CONNECT_5)
        door.store._auto = None
        writer.write(b"\x32\x07\x00\x01t\x00\x01\x00x")
        await until(lambda: not door.store.open.is_empty)
        door.listener.stop_accepting()
        assert not door.listener.is_listening
        with pytest.raises(ConnectionRefusedError):
            await door.knock()
        draining = asyncio.create_task(door.broker.drain())
        await asyncio.sleep(0)
        door.store.commit()
        await draining
        assert await rest(reader) == PUBACK + b"\xe0\x01\x8b"
        await hang_up(writer)
        await door.listener.close()
        assert door.listener.connections == 0


async def test_a_port_in_use_is_told_in_a_sentence() -> None:
    async with opened() as door:
        other = Door(name="second", bind=door.listener.address).listener
        with pytest.raises(
            ListenerError, match=r"'second' cannot listen on 127\.0\.0\.1:\d+: another process"
        ) as caught:
            await other.start()
        assert caught.value.retryable
        await other.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRINUSE, ""), "another process"),
        (PermissionError(errno.EACCES, ""), "above 1023"),
        (OSError(errno.EADDRNOTAVAIL, ""), "does not have that address"),
        (socket.gaierror(-2, "unknown"), "has no address"),
        (OSError(errno.ENOBUFS, ""), "the operating system says"),
    ],
)
def test_every_reason_not_to_listen_is_a_sentence_with_what_to_do(error: OSError, words: str) -> None:
    made = listener_error("local", Address(host="127.0.0.1", port=80), error)
    assert words in str(made)
    assert str(made).startswith("The listener 'local' cannot listen on 127.0.0.1:80: ")
    assert str(made).endswith(".")


async def test_a_byte_now_and_then_does_not_make_the_time_for_connect_longer() -> None:
    async with opened(connect_timeout_s=0.2) as door:
        reader, writer = await door.knock()

        async def drip() -> None:
            for byte in b"\x10\x80\x10" + bytes(2000):
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await rest(reader) == b""
        dripping.cancel()
        await hang_up(writer)
