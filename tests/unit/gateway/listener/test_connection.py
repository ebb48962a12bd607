"""What a connection does about clients that are slow or silent, on a transport that the test moves."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from config.settings import Stream
from gateway.broker.broker import Broker
from gateway.broker.connack import Terms
from gateway.listener import connection as module
from gateway.listener.connection import READ_BYTES, READ_CONGESTED_BYTES, Connection
from gateway.mqtt.reason_codes import ReasonCode
from tests.support.broker import FakeClock
from tests.support.store import FakeStore

CONNECT_5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"


class FakeTransport(asyncio.Transport):
    """Takes what is written; its buffer is as full as the test says."""

    def __init__(self) -> None:
        super().__init__({"peername": ("::1", 5000, 0, 0)})
        self.written: list[bytes] = []
        self.is_reading_now = True
        self.ended = ""
        self.buffered = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def pause_reading(self) -> None:
        assert self.is_reading_now
        self.is_reading_now = False

    def resume_reading(self) -> None:
        assert not self.is_reading_now
        self.is_reading_now = True

    def is_closing(self) -> bool:
        return self.ended in {"closed", "aborted"}

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = "eof"

    def abort(self) -> None:
        self.ended = "aborted"


class Door:
    terms = Terms()
    connect_timeout_s = 10.0
    read_buffer = memoryview(bytearray(READ_BYTES))

    def __init__(self) -> None:
        self.count = 0

    def opened(self, connection: Connection) -> bool:
        self.count += 1
        return True

    def closed(self, connection: Connection) -> None:
        self.count -= 1


class Setup:
    def __init__(self) -> None:
        self.store = FakeStore()
        self.broker = Broker(store=self.store, clock=FakeClock(), streams=(Stream(),), new_client_id=lambda: "auto")
        self.door = Door()
        self.transport = FakeTransport()
        self.connection = Connection(self.broker, self.door)
        self.connection.connection_made(self.transport)
        self.connection.data_received(CONNECT_5)
        self.transport.written.clear()


@pytest.fixture
async def setup() -> Any:
    made = Setup()
    yield made
    made.connection.connection_lost(None)
    made.connection.connection_lost(None)
    assert made.door.count == 0


async def test_the_packets_of_a_client_that_does_not_read_wait_until_it_reads(setup: Setup) -> None:
    setup.connection.pause_writing()
    assert not setup.transport.is_reading_now
    assert not setup.connection.is_writable
    setup.connection.resume_writing()
    assert setup.transport.is_reading_now
    assert setup.connection.is_writable


async def test_reading_goes_on_only_when_every_reason_against_it_is_gone(setup: Setup) -> None:
    setup.store.is_congested = True
    setup.connection.data_received(b"\xc0\x00")
    setup.connection.pause_writing()
    setup.store.relieve()
    assert not setup.transport.is_reading_now
    setup.connection.resume_writing()
    assert setup.transport.is_reading_now


async def test_a_client_that_takes_nothing_of_what_waits_for_it_is_closed_and_a_slow_one_is_not(setup: Setup) -> None:
    setup.connection.pause_writing()
    connection = setup.connection
    assert connection._timer is not None
    connection._timer.cancel()
    for buffered in (900_000, 500_000, 300_000):
        setup.transport.buffered = buffered
        connection._last_seen_s = asyncio.get_running_loop().time() - 1000
        connection._on_timer()
        assert setup.transport.ended == ""
        assert connection._timer is not None
        connection._timer.cancel()
    connection._last_seen_s = asyncio.get_running_loop().time() - 1000
    connection._on_timer()
    assert setup.transport.ended == "eof"
    assert setup.transport.written == [b"\xe0\x01\x8d"]


async def test_a_client_that_the_store_keeps_waiting_is_not_silent(setup: Setup) -> None:
    setup.store.is_congested = True
    setup.connection.data_received(b"\xc0\x00")
    setup.connection._last_seen_s = asyncio.get_running_loop().time() - 1000
    setup.connection._on_timer()
    assert setup.transport.ended == ""


async def test_deliveries_of_one_turn_leave_in_one_write_and_never_behind_a_later_answer(setup: Setup) -> None:
    setup.connection.write_soon(b"a")
    setup.connection.write_soon(b"b")
    assert setup.transport.written == []
    await asyncio.sleep(0)
    assert setup.transport.written == [b"ab"]
    setup.connection.write_soon(b"c")
    setup.connection.write(b"d")
    await asyncio.sleep(0)
    assert setup.transport.written == [b"ab", b"cd"]


async def test_what_waits_for_the_end_of_the_turn_is_bounded(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON_BYTES", 3)
    setup.connection.write_soon(b"abc")
    setup.connection.write_soon(b"d")
    assert setup.transport.written == [b"abcd"]


async def test_a_closed_connection_writes_and_takes_nothing_more(setup: Setup) -> None:
    setup.connection.close()
    setup.connection.close()
    setup.connection.write(b"x")
    setup.connection.write_soon(b"x")
    setup.connection.data_received(b"\x32\x07\x00\x01t\x00\x01\x00x")
    await asyncio.sleep(0)
    assert setup.transport.ended == "eof"
    assert setup.transport.written == []
    assert setup.store.open.is_empty


async def test_an_address_of_ip_6_is_written_with_its_brackets(setup: Setup) -> None:
    assert setup.connection.peer == "[::1]:5000"


async def test_a_client_that_is_gone_already_is_closed_without_an_error(setup: Setup) -> None:
    def gone() -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    setup.transport.write_eof = gone  # type: ignore[method-assign]
    client = setup.broker.sessions["a"].client
    assert client is not None
    client.close(ReasonCode.SESSION_TAKEN_OVER)
    assert setup.transport.ended == "aborted"
    assert setup.broker.counters.connected_now == 0


async def test_the_answers_to_many_small_packets_leave_in_one_write(setup: Setup) -> None:
    setup.connection.data_received(b"\xc0\x00" * 1000)
    await asyncio.sleep(0)
    assert setup.transport.written == [b"\xd0\x00" * 1000]


async def test_a_read_is_small_while_the_store_is_congested(setup: Setup) -> None:
    assert len(setup.connection.get_buffer(-1)) == READ_BYTES
    setup.store.is_congested = True
    assert len(setup.connection.get_buffer(-1)) == READ_CONGESTED_BYTES
