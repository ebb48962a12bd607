"""The receiver's loops, with a link and sinks in memory and a real state file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bridge.receiver.receiver as receiver_module
from bridge.errors import SinkRefused, SinkUnavailable
from bridge.flow.backoff import Backoff
from bridge.frame import PROBE
from bridge.ports import Delivery, Gap
from bridge.receiver.batch import Refusal
from bridge.receiver.decoder import Decoder
from bridge.receiver.held import Held
from bridge.receiver.ledger import LaneKey
from bridge.receiver.receiver import Receiver
from bridge.receiver.settler import Settler
from bridge.receiver.state import State
from bridge.receiver.status import StatusView
from bridge.receiver.writer import SinkWriter
from config.settings import Retry
from tests.support.receiver_frames import EPOCH, frame
from tests.support.receiver_parts import FakeBroker, FakeClock, FakeSink, until


@dataclass(kw_only=True)
class Running:
    """A receiver at work."""

    broker: FakeBroker
    view: StatusView
    stop: asyncio.Event
    task: asyncio.Task[None]
    receiver: Receiver

    def status(self) -> dict[str, Any]:
        return self.view.status()


@contextlib.asynccontextmanager
async def running(folder: Path, *sinks: FakeSink, broker: FakeBroker | None = None) -> AsyncIterator[Running]:
    """A receiver that runs until the block ends, then stops in order."""
    broker = broker or FakeBroker()
    clock, held, progress = FakeClock(), Held(), asyncio.Event()
    at_once = Retry(first_s=0.0, max_s=0.0)
    state = await State.open(folder / "receiver.db")
    writers = [
        SinkWriter(sink, held, clock=clock, backoff=Backoff(at_once, lambda: 0.0), on_progress=progress.set)
        for sink in sinks
    ]
    for writer in writers:
        await writer.start()
    settler = await Settler.open(state, clock)
    decoder = Decoder(1 << 20)
    receiver = Receiver(
        topic="fieldgate/v1/+/+",
        connect=broker.connect,
        decoder=decoder,
        held=held,
        writers=writers,
        settler=settler,
        clock=clock,
        backoff=Backoff(at_once, lambda: 0.0),
        progress=progress,
    )
    view = StatusView(
        version="0",
        receiver_id="r",
        url="mqtt://broker",
        started_s=clock.now_s,
        clock=clock,
        receiver=receiver,
        settler=settler,
        held=held,
        writers=writers,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(receiver.run(stop))
    try:
        yield Running(broker=broker, view=view, stop=stop, task=task, receiver=receiver)
    finally:
        stop.set()
        for sink in sinks:
            sink.gate.set()
        async with asyncio.timeout(30):
            await task
        decoder.close()
        await state.close()


def set_aside(folder: Path) -> list[tuple[str, str, str, bytes]]:
    with contextlib.closing(sqlite3.connect(folder / "receiver.db")) as connection:
        return connection.execute("SELECT code, reason, topic, bytes FROM set_aside ORDER BY id").fetchall()


async def test_a_frame_is_acknowledged_only_after_every_sink_has_it(tmp_path: Path) -> None:
    quick, slow = FakeSink("quick"), FakeSink("slow")
    slow.gate.clear()
    async with running(tmp_path, quick, slow) as it:
        link = await it.broker.online()
        assert link.subscribed == [("fieldgate/v1/+/+", 1)]
        link.deliver(1)
        link.deliver(2)
        await until(lambda: len(quick.seqs) == 20)
        assert link.acknowledged == []
        assert [sink["lag_records"] for sink in it.status()["sinks"]] == [0, 20]
        slow.gate.set()
        await until(lambda: link.acknowledged == [1, 2])
        assert slow.seqs == quick.seqs == list(range(1, 21))
        assert it.status()["records"] == 20


async def test_after_one_sink_failed_the_others_do_not_get_the_frame_twice(tmp_path: Path) -> None:
    good, bad = FakeSink("good"), FakeSink("bad")
    bad.errors = [SinkUnavailable("The disk is full."), SinkRefused("No."), SinkUnavailable("Still full.")]
    async with running(tmp_path, good, bad) as it:
        link = await it.broker.online()
        link.deliver(1)
        await until(lambda: link.acknowledged == [1])
        assert good.seqs == bad.seqs == list(range(1, 11))
        status = it.status()["sinks"][1]
        assert (status["errors"], status["last_error"], status["state"]) == (3, "Still full.", "ready")


async def test_frames_that_wait_go_to_a_sink_in_one_write(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    sink.gate.clear()
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        for packet_id in range(1, 12):
            link.deliver(packet_id)
        await until(lambda: it.status()["sinks"][0]["lag_frames"] == 11)
        sink.gate.set()
        await until(lambda: link.acknowledged == list(range(1, 12)))
        assert sink.writes <= 2  # the first may have begun with what was there then
        assert sink.seqs == list(range(1, 111))


async def test_records_that_came_before_are_dropped_and_counted(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1)
        link.deliver(2, frame(6, 10))
        await until(lambda: link.acknowledged == [1, 2])
        assert sink.seqs == list(range(1, 16))
        assert (it.status()["records"], it.status()["duplicates"]) == (15, 5)


async def test_what_is_no_frame_is_set_aside_with_its_reason_and_blocks_nothing(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    broken = bytearray(frame(1, 3))
    broken[-1] ^= 1
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1, b"not a frame")
        link.deliver(2, bytes(broken))
        link.deliver(3, frame(1, 3)[:3] + b"\x09" + frame(1, 3)[4:])
        link.deliver(4, frame(1, [b"x" * (2 << 20)]))  # inflates past the decoder's bound of 1 MiB
        link.deliver(5)
        await until(lambda: link.acknowledged == [1, 2, 3, 4, 5])
        reasons = {"bad_magic": 1, "checksum": 1, "unknown_version": 1, "inflate_bound": 1}
        assert it.status()["set_aside"] == {"count": 4, "by_reason": reasons}
        assert sink.seqs == list(range(41, 51))
    kept = set_aside(tmp_path)
    assert [row[0] for row in kept] == list(reasons)
    assert kept[0][1].startswith("These bytes are not a Fieldgate frame")
    assert kept[0][2:] == ("fieldgate/v1/edge-01/telemetry", b"not a frame")


async def test_a_probe_is_acknowledged_and_leaves_nothing_behind(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        probe = Delivery(topic="fieldgate/v1/edge/t", payload=PROBE, qos=1, retain=False, packet_id=1)
        link.events.on_delivery(probe)
        await until(lambda: link.acknowledged == [1])
        status = it.status()
        assert status["set_aside"]["count"] == 0
        assert (status["frames"], status["streams"]) == (0, [])
    assert set_aside(tmp_path) == []


async def test_a_record_that_a_sink_will_never_take_is_counted_and_not_set_aside_a_second_time(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    lane = LaneKey("edge-01", "telemetry", EPOCH)
    sink.refusals = [Refusal(lane=lane, seq=3, topic="a/b", payload=b"\xff", reason="Too large.")]
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1)
        await until(lambda: link.acknowledged == [1])
        assert it.status()["set_aside"]["by_reason"] == {"sink_refused": 1}
    assert set_aside(tmp_path) == []  # a sink does so itself, with its progress


async def test_gaps_holes_and_a_new_epoch_are_reported(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1, frame(11, 5, gaps=[Gap(first_seq=1, count=10, reason="full")]))
        link.deliver(2, frame(21, 5))
        link.deliver(3, frame(1, 1, epoch="00000000000000bb"))
        await until(lambda: link.acknowledged == [1, 2, 3])
        status = it.status()
        assert [item["reasons"] for item in status["gaps"]] == [{"full": 10}]
        assert status["gaps"][0]["ranges"] == [{"first_seq": 1, "count": 10, "reason": "full"}]
        assert [item["ranges"] for item in status["holes"]] == [[{"first_seq": 16, "count": 5}]]
        assert (status["missing"], status["dropped"], status["epoch_changes"]) == (5, 10, 1)
        assert [item["current"] for item in status["streams"]] == [False, True]
        assert status["gateways"]["edge-01"]["frames"] == 3


async def test_a_frame_with_only_gaps_is_noted_and_acknowledged(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1, frame(8, [], gaps=[Gap(first_seq=1, count=7, reason="expired")]))
        await until(lambda: link.acknowledged == [1])
        assert it.status()["dropped"] == 7
        assert sink.writes == 0


async def test_held_frames_are_written_when_the_connection_is_lost_and_acknowledged_when_told_again(
    tmp_path: Path,
) -> None:
    sink = FakeSink("sink")
    sink.gate.clear()
    async with running(tmp_path, sink) as it:
        first = await it.broker.online()
        first.deliver(1)
        first.deliver(2)
        await until(lambda: it.receiver.waiting_frames == 2)
        it.broker.session_present = True
        first.lose()
        second = await it.broker.online()
        second.deliver(1, duplicate=True)
        second.deliver(2, duplicate=True)
        assert it.receiver.waiting_frames == 2  # the new deliveries took the places of the old
        sink.gate.set()
        await until(lambda: second.acknowledged == [1, 2])
        assert sink.seqs == list(range(1, 21))
        assert first.acknowledged == []
        assert (it.status()["duplicates"], it.status()["link"]["sessions_lost"]) == (0, 0)


async def test_held_frames_are_written_even_when_the_broker_has_forgotten_them(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    sink.gate.clear()
    async with running(tmp_path, sink) as it:
        first = await it.broker.online()
        first.deliver(1)
        await until(lambda: it.receiver.waiting_frames == 1)
        first.lose()
        await it.broker.online()
        sink.gate.set()
        await until(lambda: it.receiver.waiting_frames == 0)
        assert sink.seqs == list(range(1, 11))
        assert it.status()["link"]["sessions_lost"] == 1


async def test_connections_that_come_and_go_while_a_sink_is_down_pile_up_nothing(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    sink.gate.clear()
    async with running(tmp_path, sink) as it:
        for life in range(6):
            link = await it.broker.online()
            for n in range(200):
                link.deliver(1000 * life + n + 1, frame(1, [b"%d" % life * 60_000 + b"%d" % n]))
            await asyncio.sleep(0)
            link.lose()
        await it.broker.online()
        assert it.receiver.waiting_frames < 6 * 200


async def test_an_unreachable_broker_is_tried_again(tmp_path: Path) -> None:
    broker = FakeBroker()
    broker.reachable = False
    async with running(tmp_path, FakeSink("sink"), broker=broker) as it:
        await until(lambda: len(broker.links) > 3)
        assert it.view.problems()[0].startswith("The link to mqtt://broker is")
        assert it.status()["link"]["last_error"] == "Nobody is there."
        broker.reachable = True
        await broker.online()
        await until(lambda: it.view.problems() == [])
        assert all(link.closed for link in broker.links[:-1])


async def test_a_sink_that_is_down_at_the_start_is_opened_later(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    sink.open_errors = [SinkUnavailable("Not yet."), SinkUnavailable("Not yet.")]
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1)
        await until(lambda: link.acknowledged == [1])
        assert sink.opened == 3


async def test_a_sink_that_cannot_be_used_as_configured_is_an_error_at_the_start(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    sink.open_errors = [SinkRefused("It is a folder.")]
    writer = SinkWriter(
        sink, Held(), clock=FakeClock(), backoff=Backoff(Retry(), lambda: 0.0), on_progress=lambda: None
    )
    with pytest.raises(SinkRefused, match="It is a folder"):
        await writer.start()


async def test_stopping_takes_nothing_new_and_acknowledges_what_is_held(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    sink.gate.clear()
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1)
        await until(lambda: it.status()["sinks"][0]["lag_frames"] == 1)
        it.stop.set()
        await until(lambda: it.receiver.is_stopping)
        link.deliver(2)
        sink.gate.set()
        async with asyncio.timeout(30):
            await it.task
        assert link.acknowledged == [1]
        assert sink.seqs == list(range(1, 11))
        assert link.closed


async def test_the_next_life_goes_on_with_the_ledger_of_the_last(tmp_path: Path) -> None:
    sink = FakeSink("sink")
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(1)
        await until(lambda: link.acknowledged == [1])
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        assert it.status()["link"]["sessions_lost"] == 1  # the state remembers that there should be one
        link.deliver(1, duplicate=True)
        link.deliver(2)
        await until(lambda: link.acknowledged == [1, 2])
        assert sink.seqs == list(range(1, 21))
        assert (it.status()["records"], it.status()["duplicates"], it.status()["frames"]) == (20, 10, 3)


async def test_what_a_sink_has_is_not_missing_when_the_state_was_lost(tmp_path: Path) -> None:
    sink = FakeSink("one")
    async with running(tmp_path, sink) as it:
        (await it.broker.online()).deliver(1)
        await until(lambda: it.status()["records"] == 10)
    (tmp_path / "receiver.db").unlink()
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        link.deliver(2)
        link.deliver(4)
        await until(lambda: link.acknowledged == [2, 4])
        assert [hole["ranges"] for hole in it.status()["holes"]] == [[{"first_seq": 21, "count": 10}]]
        assert it.status()["missing"] == 10


async def test_holes_and_gaps_are_told_in_the_log_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gap = Gap(first_seq=6, count=2, reason="full")
    async with running(tmp_path, FakeSink("one")) as it:
        link = await it.broker.online()
        for packet_id, payload in enumerate([frame(3, 2), frame(9, 1, gaps=[gap]), frame(9, 1, gaps=[gap])]):
            link.deliver(packet_id + 1, payload)
        await until(lambda: link.acknowledged == [1, 2, 3])
    told = [record.getMessage() for record in caplog.records if record.name == "bridge.receiver.settler"]
    whose = f"of the stream telemetry of gateway edge-01 (epoch {EPOCH})"
    assert told == [
        f"Records 1 to 2 {whose} did not arrive, and nobody said why.",
        f"Record 5 {whose} did not arrive, and nobody said why.",
        f"Records 6 to 7 {whose} will not come: the gateway dropped them (full).",
        f"Record 8 {whose} did not arrive, and nobody said why.",
    ]


async def test_what_comes_with_qos_0_is_bounded_while_a_sink_is_down_and_the_rest_is_not_dropped(
    tmp_path: Path,
) -> None:
    sink = FakeSink("slow")
    sink.gate.clear()
    async with running(tmp_path, sink) as it:
        link = await it.broker.online()
        big = bytes(receiver_module.MAX_DECODED_BYTES + 1)
        link.deliver(1, big)
        await until(lambda: it.status()["waiting"]["bytes"] >= len(big) and it.status()["sinks"][0]["lag_frames"] == 1)
        for _ in range(2 * receiver_module.MAX_WAITING_FRAMES):
            link.events.on_delivery(Delivery(topic="t", payload=b"x", qos=0, retain=False, packet_id=0))
        link.deliver(2)
        assert it.receiver.waiting_frames <= receiver_module.MAX_WAITING_FRAMES + 3
        assert it.status()["link"]["dropped"] >= receiver_module.MAX_WAITING_FRAMES - 1
        sink.gate.set()
        await until(lambda: link.acknowledged == [1, 2])
