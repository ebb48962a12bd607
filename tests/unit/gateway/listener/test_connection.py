"""What a connection does about clients that are slow or silent, on a transport that the test moves."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from config.settings import Listener, Stream
from gateway.access.ports import Credentials, Entry, Granted, Refusal, Refused, Verdict
from gateway.broker.broker import Broker
from gateway.listener import pipe as module
from gateway.listener.connection import MAX_PACKETS_AT_ONCE, READ_CONGESTED_BYTES, Connection
from gateway.listener.door import READ_BYTES
from gateway.listener.listener import MqttListener
from gateway.listener.partials import Partials
from gateway.listener.peer import Peer
from gateway.listener.wheel import Wheel
from gateway.mqtt.reason_codes import ReasonCode
from tests.support.broker import FakeClock
from tests.support.doors import OpenEntry
from tests.support.store import FakeStore

CONNECT_5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"
PUBLISH_0 = b"\x30\x05\x00\x01t\x00x"
PUBLISH_5 = b"\x32\x07\x00\x01t\x00\x01\x00x"


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


class SlowEntry(OpenEntry):
    """Everybody may come in, when the test says so; it keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    def decide_now(self, credentials: Credentials) -> Verdict | None:
        self.asked.append(credentials)
        return None

    async def decide(self, credentials: Credentials) -> Verdict:
        return await self.verdict


class Setup:
    """A connection that a listener took, without the socket."""

    def __init__(self, *, entry: Entry | None = None, connect: bytes = CONNECT_5, **settings: Any) -> None:
        self.store = FakeStore()
        self.broker = Broker(store=self.store, clock=FakeClock(), streams=(Stream(),), new_client_id=lambda: "auto")
        self.listener = MqttListener(Listener(**settings), self.broker, entry=entry or OpenEntry())
        self.listener.wheel = Wheel(asyncio.get_running_loop())
        self.transport = FakeTransport()
        self.connection = Connection(self.broker, self.listener, Peer("::1", 5000))
        self.listener._guests.add(self.connection)
        self.connection.connection_made(self.transport)
        self.connection.data_received(connect)
        if entry is None:
            self.transport.written.clear()

    def end(self) -> None:
        self.connection.connection_lost(None)
        self.connection.connection_lost(None)
        assert self.listener.connections == 0
        assert self.listener.wheel._slots == {}
        assert self.listener.partials.total_bytes == 0

    async def turn(self) -> None:
        """Let the tasks run that can."""
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def setup() -> Any:
    made = Setup()
    yield made
    made.end()


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


async def test_a_client_that_takes_nothing_in_its_keep_alive_is_closed_and_a_slow_one_is_not(setup: Setup) -> None:
    setup.connection.pause_writing()
    connection = setup.connection
    for buffered in (900_000, 500_000, 300_000):
        setup.transport.buffered = buffered
        connection.on_due(asyncio.get_running_loop().time() + 1000)
        assert setup.transport.ended == ""
    connection._last_seen_s = asyncio.get_running_loop().time()
    connection.on_due(asyncio.get_running_loop().time() + 1000)
    assert setup.transport.ended == "eof"
    assert setup.transport.written == [b"\xe0\x01\x8d"]
    assert setup.broker.counters.disconnects == {"keep_alive_timeout": 1}


async def test_a_client_that_takes_nothing_in_the_stall_time_is_cut_and_a_slow_one_is_not(setup: Setup) -> None:
    connection, transport = setup.connection, setup.transport
    transport.buffered = 1000
    connection.write(bytes(1000))
    for second in range(0, 600, 15):
        connection.look_for_stall(second)
        assert transport.ended == ""
        connection.write(bytes(100))
        transport.buffered += 99  # it takes a byte now and then, and more comes than it takes
    connection.look_for_stall(600)
    for second in (615, 630, 645):
        transport.buffered += 100
        connection.write(bytes(100))
        connection.look_for_stall(second)
        assert transport.ended == ""
    connection.look_for_stall(660)
    assert transport.ended == "aborted"
    assert setup.broker.counters.disconnects == {"stalled": 1}


async def test_a_client_for_which_nothing_waits_is_never_stalled(setup: Setup) -> None:
    for second in (0, 100, 200, 300):
        setup.connection.look_for_stall(second)
    assert setup.transport.ended == ""


async def test_a_client_that_the_store_keeps_waiting_is_not_silent(setup: Setup) -> None:
    setup.store.is_congested = True
    setup.connection.data_received(b"\xc0\x00")
    setup.connection.on_due(asyncio.get_running_loop().time() + 1000)
    assert setup.transport.ended == ""


async def test_nothing_is_read_and_nothing_done_until_it_is_decided_that_a_client_may_come_in() -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry, connect=CONNECT_5 + PUBLISH_5)
    await setup.turn()
    assert not setup.transport.is_reading_now
    assert setup.transport.written == []
    assert setup.store.open.is_empty
    setup.connection.data_received(PUBLISH_5)  # a layer below may still have had it
    assert setup.store.open.is_empty
    entry.verdict.set_result(Granted(username="u"))
    await setup.turn()
    assert setup.transport.is_reading_now
    assert setup.transport.written[0][:1] == b"\x20"
    setup.store.commit()
    assert len(setup.store.stored) == 2
    setup.end()


async def test_what_a_client_shows_of_itself_is_what_is_decided_upon() -> None:
    entry = SlowEntry()
    connect = b"\x10\x14\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x01a\x00\x01u\x00\x01p"
    setup = Setup(entry=entry, connect=connect)
    assert entry.asked == [
        Credentials(client_id="a", username="u", password=b"p", address="::1", is_local=True),
    ]
    setup.end()


@pytest.mark.parametrize(
    ("refusal", "code"), [(Refusal.BAD_USERNAME_OR_PASSWORD, 0x86), (Refusal.NOT_AUTHORIZED, 0x87)]
)
async def test_a_client_that_may_not_come_in_is_told_why_and_nothing_of_what_it_sent_is_done(
    refusal: Refusal, code: int
) -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry, connect=CONNECT_5 + PUBLISH_5)
    entry.verdict.set_result(Refused(reason=refusal))
    await setup.turn()
    assert setup.transport.written == [bytes([0x20, 3, 0, code, 0])]
    assert setup.transport.ended == "eof"
    assert setup.store.open.is_empty
    assert setup.broker.counters.refused_connects.total() == 1
    setup.end()


async def test_a_client_that_leaves_while_it_is_decided_takes_the_question_with_it() -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry)
    await setup.turn()
    setup.connection.connection_lost(None)
    await setup.turn()
    assert entry.verdict.cancelled()
    assert setup.listener._tasks == set()
    assert setup.broker.counters.connected_now == 0
    setup.end()


async def test_a_decision_has_no_more_time_than_is_left_of_the_connects() -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry)
    await setup.turn()
    setup.connection.on_due(asyncio.get_running_loop().time() + 11)
    assert setup.transport.written == [b"\x20\x03\x00\x88\x00"]
    assert setup.transport.ended == "eof"
    assert setup.broker.counters.refused_connects == {"server_unavailable": 1}
    setup.end()


async def test_a_decision_that_fails_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry)
    entry.verdict.set_exception(RuntimeError("broken"))
    await setup.turn()
    assert setup.transport.written == [b"\x20\x03\x00\x88\x00"]
    assert "could not be decided" in caplog.text
    setup.end()


async def test_a_bad_packet_behind_connect_is_an_error_only_when_its_sender_is_in() -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry, connect=CONNECT_5 + PUBLISH_5 + b"\x00\x00")
    await setup.turn()
    assert setup.transport.written == []
    entry.verdict.set_result(Granted())
    await setup.turn()
    assert setup.transport.written[-1][0] == 0xE0
    assert setup.transport.written[-1][2] == 0x81
    setup.store.commit()
    assert len(setup.store.stored) == 1
    setup.end()


async def test_a_client_that_sends_faster_than_it_may_is_read_again_when_its_rate_has_caught_up() -> None:
    setup = Setup(max_message_rate=50)
    setup.connection.data_received(PUBLISH_0 * 50)
    assert setup.transport.is_reading_now
    setup.connection.data_received(PUBLISH_0 * 2)
    assert not setup.transport.is_reading_now
    async with asyncio.timeout(30):
        while not setup.transport.is_reading_now:  # noqa: ASYNC110 - reading has no event
            await asyncio.sleep(0.001)
    assert len(setup.connection.get_buffer(-1)) == 2048
    assert setup.listener.terms.receive_maximum == 50
    setup.end()


async def test_those_who_hold_the_most_of_half_received_packets_are_closed_when_memory_is_short() -> None:
    setup = Setup()
    setup.listener.partials = Partials(100_000)
    other = Connection(setup.broker, setup.listener, Peer("192.0.2.1", 1))
    transport = FakeTransport()
    other.connection_made(transport)
    other.data_received(CONNECT_5[:-1] + b"b")
    transport.written.clear()
    other.data_received(b"\x30\x80\x80\x04" + bytes(30_000))
    setup.connection.data_received(b"\x30\x80\x80\x04" + bytes(60_000))
    assert transport.ended == setup.transport.ended == ""
    other.data_received(bytes(20_000))
    assert setup.transport.ended == "eof"
    assert setup.transport.written == [b"\xe0\x01\x97"]
    assert transport.ended == ""
    assert 50_000 < setup.listener.partials.total_bytes < 50_010
    other.connection_lost(None)
    setup.end()


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
    setup.connection.data_received(b"\xc0\x00" * 500)
    await asyncio.sleep(0)
    assert setup.transport.written == [b"\xd0\x00" * 500]


async def test_many_packets_of_one_read_are_done_in_several_turns_of_the_loop_and_in_their_order(setup: Setup) -> None:
    subscribe, pong = b"\x82\x07\x00\x05\x00\x00\x01t\x00", b"\xd0\x00"
    number = 3 * MAX_PACKETS_AT_ONCE
    setup.connection.data_received(subscribe * number + b"\xc0\x00")
    assert setup.broker.counters.others_received == MAX_PACKETS_AT_ONCE
    assert not setup.transport.is_reading_now
    assert setup.listener.partials.total_bytes > 2048
    turns = 0
    while not setup.transport.is_reading_now:
        await asyncio.sleep(0)
        turns += 1
    assert turns == 3
    assert setup.broker.counters.others_received == 1 + number
    await setup.turn()
    written = b"".join(setup.transport.written)
    assert written == b"\x90\x04\x00\x05\x00\x00" * number + pong
    assert setup.listener.partials.total_bytes == 0


async def test_a_client_that_is_closed_between_two_turns_has_nothing_more_done(setup: Setup) -> None:
    setup.connection.data_received(b"\xc0\x00" * (MAX_PACKETS_AT_ONCE + 1))
    setup.connection.close()
    await setup.turn()
    assert setup.broker.counters.others_received == MAX_PACKETS_AT_ONCE


async def test_what_came_behind_a_connect_is_done_in_turns_too() -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry, connect=CONNECT_5 + b"\xc0\x00" * 2 * MAX_PACKETS_AT_ONCE)
    await setup.turn()
    assert not setup.transport.is_reading_now
    entry.verdict.set_result(Granted())
    await setup.turn()
    assert setup.transport.is_reading_now
    assert b"".join(setup.transport.written).endswith(b"\xd0\x00" * 2 * MAX_PACKETS_AT_ONCE)
    setup.end()


async def test_what_waits_for_a_decision_counts_among_half_received_packets() -> None:
    entry = SlowEntry()
    setup = Setup(entry=entry, connect=CONNECT_5 + PUBLISH_5 * 1000)
    assert setup.listener.partials.total_bytes == len(CONNECT_5 + PUBLISH_5 * 1000)
    entry.verdict.set_result(Granted())
    await setup.turn()
    assert setup.listener.partials.total_bytes == 0
    setup.end()


async def test_a_client_that_could_not_be_heard_has_all_its_keep_alive_again(setup: Setup) -> None:
    loop = asyncio.get_running_loop()
    setup.store.is_congested = True
    setup.connection.data_received(b"\xc0\x00")
    setup.connection._last_seen_s = loop.time() - 89.9
    setup.store.is_congested = False
    setup.store.relieve()
    setup.connection.on_due(loop.time() + 0.2)
    assert setup.transport.ended == ""


async def test_nothing_that_a_peer_does_before_it_is_let_in_gives_it_more_time() -> None:
    setup = Setup(connect=b"\x10")
    setup.connection._last_seen_s -= 11
    setup.connection.pause_writing()
    setup.connection.resume_writing()
    setup.connection.on_due(asyncio.get_running_loop().time())
    assert setup.transport.ended == "eof"
    assert setup.broker.counters.refused_connects == {"connect_timeout": 1}
    setup.end()


async def test_a_client_that_takes_less_than_comes_for_it_is_slow_and_not_silent(setup: Setup) -> None:
    setup.connection.write(bytes(300_000))
    setup.connection.pause_writing()
    for buffered in (300_000, 305_000, 310_000, 315_000):
        setup.transport.buffered = buffered
        setup.connection.on_due(asyncio.get_running_loop().time() + 1000)
        assert setup.transport.ended == ""
        setup.connection.write(bytes(10_000))


async def test_a_throttled_client_that_leaves_leaves_no_timer() -> None:
    setup = Setup(max_message_rate=1)
    setup.connection.data_received(PUBLISH_0 * 100)
    timer = setup.connection._throttling
    assert timer is not None
    setup.end()
    assert timer.cancelled()


async def test_a_read_is_small_while_the_store_is_congested(setup: Setup) -> None:
    assert len(setup.connection.get_buffer(-1)) == READ_BYTES
    setup.store.is_congested = True
    assert len(setup.connection.get_buffer(-1)) == READ_CONGESTED_BYTES
