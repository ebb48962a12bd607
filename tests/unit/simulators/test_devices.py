"""The fleet against real brokers, and against one that answers as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from simulators.comparison import compare
from simulators.devices import FleetOptions, FleetProgress, run_devices
from simulators.ledger import payload_id, read_ledger
from simulators.units import Endpoint
from tests.support.mosquitto import Mosquitto
from tests.support.plain_mqtt import Packet, packet, read_packet

CONNACK, PUBACK, PUBREC, PUBCOMP = 0x20, 0x40, 0x50, 0x70


class Edge:
    """A gateway that answers as `answer(connection, packet)` says: with these bytes, or by hanging up (None)."""

    def __init__(self, answer: Callable[[int, Packet], bytes | None], *, protocol: int = 4) -> None:
        self._answer = answer
        self._connack = b"\0\0" if protocol == 4 else b"\0\0\0"
        self._version = protocol
        self.connections = 0
        self.published: list[tuple[int, Packet, str]] = []
        """(connection, packet, payload's id) of every PUBLISH, in the order of their arrival."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number, client = self.connections, ""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                one = await read_packet(reader)
                if one.kind == 1:
                    at = 12 if self._version == 4 else 13 + one.body[10]
                    client = one.body[at:].decode()
                    reply: bytes | None = packet(CONNACK, self._connack)
                elif one.kind == 14:
                    break
                else:
                    if one.kind == 3:
                        self.published.append((number, one, self._name(client, one)))
                    reply = self._answer(number, one)
                if reply is None:
                    break
                writer.write(reply)
        writer.close()

    def _name(self, client: str, one: Packet) -> str:
        topic_end = 2 + int.from_bytes(one.body[:2], "big")
        payload = one.payload if self._version == 4 else one.payload[1:]  # no properties
        return payload_id(client, one.body[2:topic_end].decode(), payload)


@contextlib.asynccontextmanager
async def edge(
    answer: Callable[[int, Packet], bytes | None], *, protocol: int = 4
) -> AsyncIterator[tuple[Edge, Endpoint]]:
    there = Edge(answer, protocol=protocol)
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    try:
        yield there, Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        server.close()


def accept(_: int, one: Packet) -> bytes | None:
    match one.kind:
        case 3 if one.flags & 6:
            return packet(PUBREC if one.flags & 4 else PUBACK, one.packet_id.to_bytes(2, "big"))
        case 6:
            return packet(PUBCOMP, one.body[:2])
        case 12:
            return packet(0xD0, b"")
    return b""


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_fleet_publishes_at_its_rate_and_the_ledger_tells_all(tmp_path: Path, qos: int, protocol: int) -> None:
    async with Mosquitto(tmp_path) as broker:
        result = await run_devices(
            FleetOptions(
                to=Endpoint(host="127.0.0.1", port=broker.port),
                count=7,
                rate_per_s=400,
                duration_s=0.25,
                qos=qos,
                protocol=protocol,
                ledger=tmp_path / "ledger.jsonl",
            )
        )
    assert (result.devices, result.refused, result.in_flight, result.reconnects) == (7, 0, 0, 0)
    assert 20 <= result.published <= 100
    assert result.acknowledged == (result.published if qos else 0)
    entries = read_ledger(tmp_path / "ledger.jsonl").entries.values()
    assert len(entries) == result.published
    assert sum(entry.promised for entry in entries) == result.acknowledged
    assert sum(entry.received_at_us is not None for entry in entries) == (result.published if qos == 2 else 0)


async def test_two_hundred_devices_need_no_thread_each(tmp_path: Path) -> None:
    before = threading.active_count()
    threads: list[int] = []

    def note(progress: FleetProgress) -> None:
        threads.append(threading.active_count())
        if progress.connected == 200 and progress.acknowledged:
            stop.set()

    stop = asyncio.Event()
    async with Mosquitto(tmp_path) as broker:
        to = Endpoint(host="127.0.0.1", port=broker.port)
        options = FleetOptions(to=to, count=200, rate_per_s=200, duration_s=30)
        result = await run_devices(options, on_progress=note, stop=stop)
    assert stop.is_set()
    assert result.in_flight == 0
    assert max(threads) - before <= 5


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_gateway_that_is_killed_and_comes_back_gets_what_it_had_not_answered(
    tmp_path: Path, qos: int, protocol: int
) -> None:
    stop = asyncio.Event()
    frozen: list[int] = []
    restarted: list[FleetProgress] = []

    def steer(progress: FleetProgress) -> None:
        if not frozen and progress.acknowledged >= 20:
            broker.freeze()
            frozen.append(progress.acknowledged)
        elif frozen and not restarted and progress.in_flight == 5 * 4:  # every window is full
            broker.kill()
            broker.start()
            restarted.append(progress)
        elif restarted and progress.acknowledged > restarted[0].published:
            stop.set()

    async with Mosquitto(tmp_path) as broker:
        options = FleetOptions(
            to=Endpoint(host="127.0.0.1", port=broker.port),
            count=5,
            rate_per_s=200,
            duration_s=30,
            qos=qos,
            protocol=protocol,
            window=4,
            ledger=tmp_path / "ledger.jsonl",
        )
        result = await run_devices(options, on_progress=steer, stop=stop)
    assert stop.is_set()
    assert (result.in_flight, result.acknowledged, result.reconnects) == (0, result.published, 5)
    assert result.resent >= 1
    entries = read_ledger(tmp_path / "ledger.jsonl").entries.values()
    assert all(entry.promised for entry in entries)
    assert sum(entry.resent for entry in entries) == result.resent


async def test_a_resend_is_the_same_payload_with_dup_and_comes_before_anything_new(tmp_path: Path) -> None:
    def answer(connection: int, one: Packet) -> bytes | None:
        if connection == 2 and one.kind == 3 and len(there.published) == 3:
            return None  # hang up with three publishes unanswered
        return b"" if connection == 2 and one.kind == 3 else accept(connection, one)

    stop = asyncio.Event()
    async with edge(answer) as (there, to):
        options = FleetOptions(to=to, count=1, rate_per_s=100, duration_s=30, ledger=tmp_path / "ledger.jsonl")
        await run_devices(options, on_progress=lambda p: stop.set() if p.acknowledged > 5 else None, stop=stop)
    first = [name for connection, _, name in there.published if connection == 2]
    then = [(name, one.dup) for connection, one, name in there.published if connection == 3]
    repeated = sum(dup for _, dup in then)  # there may be more than the edge had read when it hung up
    assert then[: len(first)] == [(name, True) for name in first]
    assert [dup for _, dup in then] == [True] * repeated + [False] * (len(then) - repeated)
    ledger = read_ledger(tmp_path / "ledger.jsonl")
    comparison = compare(ledger, [name for _, _, name in there.published])
    assert comparison.adds_up
    assert comparison.resent == len(first)
    assert repeated == sum(entry.resent for entry in ledger.entries.values())


async def test_a_first_connect_leaves_no_older_session_behind() -> None:
    flags: list[int] = []

    class Noting(Edge):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readexactly(10)  # fixed header of two bytes, name, level, flags
            flags.append(head[9])
            whole = asyncio.StreamReader()
            whole.feed_data(head + await reader.readexactly(head[1] - 8))
            pump = asyncio.create_task(self._pump(reader, whole))
            await super().serve(whole, writer)
            pump.cancel()

        async def _pump(self, reader: asyncio.StreamReader, whole: asyncio.StreamReader) -> None:
            while data := await reader.read(4096):
                whole.feed_data(data)
            whole.feed_eof()

    server = await asyncio.start_server(Noting(accept).serve, "127.0.0.1", 0)
    to = Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    await run_devices(FleetOptions(to=to, count=1, rate_per_s=100, duration_s=0.1))
    server.close()
    assert [flag & 2 for flag in flags] == [2, 0]


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_refused_publish_is_over_and_not_counted_as_acknowledged(tmp_path: Path, qos: int) -> None:
    def answer(connection: int, one: Packet) -> bytes | None:
        if one.kind == 3 and len(there.published) % 2:
            return packet(PUBREC if qos == 2 else PUBACK, one.packet_id.to_bytes(2, "big") + b"\x97")
        return accept(connection, one)

    async with edge(answer, protocol=5) as (there, to):
        result = await run_devices(
            FleetOptions(
                to=to, count=2, rate_per_s=200, duration_s=0.3, qos=qos, protocol=5, ledger=tmp_path / "ledger.jsonl"
            )
        )
    assert result.refused > 0
    assert result.refused + result.acknowledged == result.published
    assert result.in_flight == 0
    entries = read_ledger(tmp_path / "ledger.jsonl").entries.values()
    assert sum(entry.refused == 0x97 and not entry.promised for entry in entries) == result.refused


async def test_a_publish_that_is_never_answered_makes_the_device_connect_again() -> None:
    def answer(connection: int, one: Packet) -> bytes | None:
        return b"" if connection == 2 and one.kind == 3 else accept(connection, one)

    stop = asyncio.Event()
    async with edge(answer) as (there, to):
        options = FleetOptions(to=to, count=1, rate_per_s=50, duration_s=30, ack_timeout_s=0.2)
        result = await run_devices(options, on_progress=lambda p: stop.set() if p.acknowledged else None, stop=stop)
    assert there.connections == 3
    assert result.reconnects == 1


async def test_without_a_gateway_the_fleet_ends_with_its_duration_and_says_why(tmp_path: Path) -> None:
    async with edge(accept) as (_, to):
        pass
    result = await run_devices(FleetOptions(to=to, count=2, rate_per_s=10, duration_s=0.3))
    assert (result.published, result.connected) == (0, 0)
    assert result.last_error is not None
    assert str(to) in result.last_error


async def test_a_replay_is_published_by_the_devices_it_names(tmp_path: Path) -> None:
    (tmp_path / "pumps.csv").write_text("device,bar\nnorth,1\nsouth,2\n")
    async with edge(accept) as (there, to):
        await run_devices(FleetOptions(to=to, rate_per_s=100, duration_s=0.2, replay=tmp_path / "pumps.csv"))
    topics = {one.body[2 : 2 + int.from_bytes(one.body[:2], "big")] for _, one, _ in there.published}
    assert topics == {b"plant/replay/north/pumps", b"plant/replay/south/pumps"}


@pytest.mark.parametrize(
    "impossible",
    [
        {"count": 0},
        {"rate_per_s": 0},
        {"duration_s": 0},
        {"qos": 3},
        {"profile": "weather"},
        {"protocol": 3},
        {"window": 0},
    ],
)
def test_impossible_options_can_not_be_made(impossible: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        FleetOptions(to=Endpoint(host="127.0.0.1", port=1), **impossible)  # type: ignore[arg-type]
