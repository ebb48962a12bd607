"""The spool's promises: stored means on disk, numbers never come twice, what was released is gone."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from bridge.block import decode_blocks
from bridge.record import Properties
from config.settings import Batch, Stream, Uplink
from gateway.spool.errors import DataFolderInUse, SpoolVersionError
from gateway.spool.outbox import UplinkOutbox, part_of
from gateway.spool.ports import Outcome
from gateway.spool.spool import CONGESTED_BYTES, Spool
from tests.support.spool import Commits, StepClock, put, running, settings, store


async def payloads_of(outbox: UplinkOutbox, stream: str = "telemetry", start: int | None = None) -> list[bytes]:
    """Every payload that waits, in the order in which an uplink would send it."""
    seq = outbox.backlog(stream).next_to_deliver_seq if start is None else start
    found: list[bytes] = []
    while (peek := await outbox.peek(stream, seq, max_records=100, max_bytes=100_000)).blocks:
        for block in peek.blocks:
            assert block.first_seq >= seq
            raw = block.body
            if block.compressed:
                import zstandard

                raw = zstandard.ZstdDecompressor().decompress(raw)
            for whole in decode_blocks(raw, block.first_seq):
                found += whole.payloads
            seq = block.next_seq
    return found


def names(n: int, prefix: str = "p") -> list[bytes]:
    return [f"{prefix}{i}".encode() for i in range(n)]


async def test_a_commit_that_ended_well_is_in_the_database(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        assert await store(spool, names(3)) is Outcome.DURABLE
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
            assert other.execute("SELECT sum(count) FROM block").fetchone() == (3,)


async def test_records_survive_a_restart_with_their_numbers_and_order(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, names(5))
        await store(spool, names(5, "q"))
        epoch = spool.lanes["telemetry"].epoch
    async with running(settings(tmp_path)) as spool:
        lane = spool.lanes["telemetry"]
        assert (lane.first_seq, lane.next_seq, lane.epoch) == (1, 11, epoch)
        assert await payloads_of(spool.outbox(Uplink())) == names(5) + names(5, "q")


async def test_an_emptied_stream_goes_on_counting_after_a_restart(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, names(7))
        await spool.outbox(Uplink()).release("telemetry", 8)
        await spool.flush()
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
            assert other.execute("SELECT count(*) FROM block").fetchone() == (0,)
    async with running(settings(tmp_path)) as spool:
        assert spool.lanes["telemetry"].next_seq == 8
        await store(spool, names(1))
        assert spool.lanes["telemetry"].next_seq == 9


async def test_a_block_stays_until_every_uplink_that_carries_it_has_released_it(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        await store(spool, names(4))
        await spool.outbox(both[0]).release("telemetry", 5)
        await spool.flush()
        assert spool.lanes["telemetry"].first_seq == 1
        assert await payloads_of(spool.outbox(both[1])) == names(4)
        await spool.outbox(both[1]).release("telemetry", 5)
        await spool.flush()
        assert spool.lanes["telemetry"].first_seq == 5


async def test_each_uplinks_watermark_survives_a_restart(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        await store(spool, names(4))
        await store(spool, names(4, "q"))
        await spool.outbox(both[0]).release("telemetry", 5)
    async with running(settings(tmp_path, uplinks=both)) as spool:
        assert await payloads_of(spool.outbox(both[0])) == names(4, "q")
        assert await payloads_of(spool.outbox(both[1])) == names(4) + names(4, "q")


async def test_a_watermark_inside_a_block_gives_the_rest_of_the_block(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, names(10))
        outbox = spool.outbox(Uplink())
        await outbox.release("telemetry", 4)
        await spool.flush()
        assert spool.lanes["telemetry"].first_seq == 1
        assert await payloads_of(outbox) == names(10)[3:]


async def test_streams_have_numbers_of_their_own(tmp_path: Path) -> None:
    two = (Stream(name="alarms", topics=("alarm/#",)), Stream(name="telemetry", topics=("#",)))
    async with running(settings(tmp_path, streams=two)) as spool:
        put(spool, names(3), stream=0)
        await store(spool, names(5), stream=1)
        outbox = spool.outbox(Uplink())
        assert list(outbox.streams) == ["alarms", "telemetry"]
        assert await payloads_of(outbox, "alarms") == names(3)
        assert await payloads_of(outbox, "telemetry") == names(5)


async def test_a_stream_taken_out_of_the_settings_is_carried_until_it_is_empty(tmp_path: Path) -> None:
    two = (Stream(name="alarms", topics=("alarm/#",)), Stream(name="telemetry", topics=("#",)))
    async with running(settings(tmp_path, streams=two)) as spool:
        await store(spool, names(3), stream=0)
    async with running(settings(tmp_path)) as spool:
        outbox = spool.outbox(Uplink())
        assert list(outbox.streams) == ["telemetry", "alarms"]
        assert await payloads_of(outbox, "alarms") == names(3)
        await outbox.release("alarms", 4)
    async with running(settings(tmp_path)) as spool:
        assert list(spool.outbox(Uplink()).streams) == ["telemetry"]


async def test_properties_and_flags_come_back_as_they_went_in(tmp_path: Path) -> None:
    unit = Properties(content_type="text/plain", user_property=(("unit", "C"), ("unit", "K")))
    async with running(settings(tmp_path)) as spool:
        spool.append(
            0,
            client="device",
            now_us=spool.clock.now_us(),
            topics=[b"a", "plant/Kühler".encode()],
            payloads=[b"", b"\xff"],
            flags=bytes([0b101, 0b010]),
            plain_size_bytes=20,
            properties=[None, unit],
        )
        await Commits().expect(spool)
        peek = await spool.outbox(Uplink()).peek("telemetry", 1, max_records=10, max_bytes=1000)
        first, second = next(decode_blocks(peek.blocks[0].body, 1))
    assert (first.topic, first.payload, first.qos, first.retain, first.properties) == ("a", b"", 2, True, None)
    assert (second.topic, second.payload, second.qos, second.retain) == ("plant/Kühler", b"\xff", 1, False)
    assert second.properties is not None
    assert second.properties.to_map() == unit.to_map()


async def test_blocks_are_never_larger_than_a_frame_may_be(tmp_path: Path) -> None:
    small = Uplink(batch=Batch(max_records=10))
    async with running(settings(tmp_path, uplinks=(small,))) as spool:
        await store(spool, names(95))
        outbox = spool.outbox(small)
        peek = await outbox.peek("telemetry", 1, max_records=1000, max_bytes=100_000)
        assert all(block.count <= 10 for block in peek.blocks)
        assert sum(block.count for block in peek.blocks) == 95
        assert await payloads_of(outbox) == names(95)


async def test_backlog_tells_the_age_and_the_numbers_of_what_waits(tmp_path: Path) -> None:
    clock = StepClock()
    async with running(settings(tmp_path), clock) as spool:
        outbox = spool.outbox(Uplink())
        assert outbox.backlog("telemetry").oldest_received_at_us is None
        first = clock.us
        await store(spool, names(2))
        clock.us += 5_000_000
        await store(spool, names(2))
        backlog = outbox.backlog("telemetry")
        assert (backlog.next_to_deliver_seq, backlog.next_seq, backlog.oldest_received_at_us) == (1, 5, first)
        await outbox.release("telemetry", 3)
        assert outbox.backlog("telemetry").oldest_received_at_us == clock.us


async def test_sessions_are_remembered_with_the_commit_and_forgotten_when_told(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        spool.remember("device", lambda: b"state")
        spool.remember("other", lambda: b"more")
        await Commits().expect(spool)
    async with running(settings(tmp_path)) as spool:
        assert spool.sessions() == {"device": b"state", "other": b"more"}
        spool.remember("other", lambda: None)
        await Commits().expect(spool)
    async with running(settings(tmp_path)) as spool:
        assert spool.sessions() == {"device": b"state"}


async def test_dead_letters_leave_the_stream_for_that_uplink_only(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        await store(spool, names(10))
        outbox = spool.outbox(both[0])
        await outbox.dead_letter("telemetry", 4, 2, reason="payload_format_invalid")
        assert await payloads_of(outbox) == names(10)[:3] + names(10)[5:]
        assert await payloads_of(spool.outbox(both[1])) == names(10)
        peek = await outbox.peek("telemetry", 4, max_records=100, max_bytes=10_000)
        assert [(gap.first_seq, gap.count, gap.reason) for gap in peek.gaps] == [(4, 2, "dead_letter")]
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
        uplink, first_seq, count, reason, body = other.execute(
            "SELECT uplink, first_seq, count, reason, body FROM dead_letter"
        ).fetchone()
    assert (uplink, first_seq, count, reason) == ("cloud", 4, 2, "payload_format_invalid")
    assert next(decode_blocks(body, 4)).payloads == names(10)[3:5]
    async with running(settings(tmp_path, uplinks=both)) as spool:
        assert await payloads_of(spool.outbox(both[0])) == names(10)[:3] + names(10)[5:]


async def test_a_second_spool_on_the_folder_is_refused_with_the_process_that_holds_it(tmp_path: Path) -> None:
    async with running(settings(tmp_path)):
        with pytest.raises(DataFolderInUse, match=r"in use by another gateway \(process \d+\)"):
            await Spool.open(settings(tmp_path), clock=StepClock())


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with running(settings(tmp_path)):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(SpoolVersionError, match="newer Fieldgate"):
        await Spool.open(settings(tmp_path), clock=StepClock())
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
        assert other.execute("PRAGMA user_version").fetchone() == (99,)


async def test_waiters_hear_once_with_all_their_items_in_order(tmp_path: Path) -> None:
    heard: list[tuple[list[int], Outcome]] = []
    done = asyncio.Event()

    class Listening:
        def on_commit(self, items: list[int], outcome: Outcome) -> None:
            heard.append((items, outcome))
            done.set()

    async with running(settings(tmp_path)) as spool:
        waiter = Listening()
        for i in range(5):
            put(spool, names(1))
            spool.after_commit(waiter, i)
        async with asyncio.timeout(10):
            await done.wait()
    assert heard == [([0, 1, 2, 3, 4], Outcome.DURABLE)]


async def test_an_interval_of_durability_still_stores_everything(tmp_path: Path) -> None:
    async with running(settings(tmp_path, durability_s=0.01)) as spool:
        assert await store(spool, names(3)) is Outcome.DURABLE
    async with running(settings(tmp_path)) as spool:
        assert await payloads_of(spool.outbox(Uplink())) == names(3)


async def test_a_part_of_a_compressed_block_holds_just_those_records(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"x" * 100 + str(i).encode() for i in range(50)])
        block = (await spool.outbox(Uplink()).peek("telemetry", 1, max_records=100, max_bytes=100_000)).blocks[0]
    assert block.compressed
    part = part_of(block, 11, 13)
    assert [record.seq for record in next(decode_blocks(part.body, part.first_seq))] == [11, 12]
    assert next(decode_blocks(part.body, 11)).payloads == [b"x" * 100 + b"10", b"x" * 100 + b"11"]


async def test_readers_are_held_back_by_what_waits_and_was_not_appended_too(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        relieved = asyncio.Event()
        ended = Commits().expect(spool, held_bytes=CONGESTED_BYTES)
        assert spool.is_congested
        spool.on_relief(relieved.set)
        async with asyncio.timeout(30):
            await ended
            await relieved.wait()
        assert not spool.is_congested
