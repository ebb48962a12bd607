"""Ways in which a record could once be lost, or a number be given twice; each has its test."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import MIB, Stream, Uplink, WhenFull
from gateway.spool import recovery
from gateway.spool.errors import SpoolCorrupt, SpoolFull, translate
from gateway.spool.ports import Outcome
from gateway.spool.spool import Spool
from tests.support.spool import SECOND_US, Commits, StepClock, put, running, settings, store
from tests.unit.gateway.spool.test_retention import noise
from tests.unit.gateway.spool.test_spool import names, payloads_of


class PowerCut(BaseException):
    """Ends the process, as far as a test can tell."""


async def open_and_close(folder: Path) -> Spool:
    spool = await Spool.open(settings(folder), clock=StepClock())
    await spool.close()
    return spool


@pytest.mark.parametrize("step", ["_folder_for", "_move", "_save", "replace"])
async def test_a_power_cut_at_any_step_of_a_recovery_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async with running(settings(tmp_path)) as spool:
        for i in range(20):
            await store(spool, names(10, f"{i}-"))
    (tmp_path / "spool.damaged").touch()
    with monkeypatch.context() as patch:
        if step == "replace":
            patch.setattr(recovery, "_sync", cut_when(lambda path: path.name == "spool.db.new", recovery._sync))
        else:
            patch.setattr(recovery, step, cut_after(getattr(recovery, step)))
        with pytest.raises(PowerCut):
            await open_and_close(tmp_path)
    async with running(settings(tmp_path)) as spool:
        assert await payloads_of(spool.outbox(Uplink())) == [
            payload for i in range(20) for payload in names(10, f"{i}-")
        ]
    assert not (tmp_path / "damaged-2").exists()


def cut_after(step):  # type: ignore[no-untyped-def]
    def cut(*given: object) -> None:
        step(*given)
        raise PowerCut

    return cut


def cut_when(matches, step):  # type: ignore[no-untyped-def]
    def cut(path: Path) -> None:
        if matches(path):
            raise PowerCut
        step(path)

    return cut


async def test_no_room_to_save_into_is_told_and_everything_stays_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, names(10))
    (tmp_path / "spool.damaged").touch()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "save", full)
        with pytest.raises(SpoolFull, match=r"Have \d+ bytes free on that disk and start again"):
            await open_and_close(tmp_path)
    async with running(settings(tmp_path)) as spool:
        assert await payloads_of(spool.outbox(Uplink())) == names(10)


async def test_with_an_interval_only_what_is_on_disk_may_leave(tmp_path: Path) -> None:
    async with running(settings(tmp_path, durability_s=3600.0)) as spool:
        outbox = spool.outbox(Uplink())
        assert await store(spool, names(3)) is Outcome.DURABLE
        assert outbox.backlog("telemetry").next_seq == 1
        assert not (await outbox.peek("telemetry", 1, max_records=10, max_bytes=1000)).blocks
    async with running(settings(tmp_path, durability_s=0.01)) as spool:
        outbox = spool.outbox(Uplink())
        changed = asyncio.Event()
        outbox.on_change(changed.set)
        await store(spool, names(2, "q"))
        async with asyncio.timeout(10):
            while outbox.backlog("telemetry").next_seq < 6:
                await changed.wait()
                changed.clear()
        assert await payloads_of(outbox) == names(3) + names(2, "q")


async def in_database(folder: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as other:
        other.execute(statement, values)


@pytest.mark.parametrize("column", ["count", "compressed", "raw_size"])
async def test_a_changed_number_in_a_blocks_row_costs_that_block_only(tmp_path: Path, column: str) -> None:
    async with running(settings(tmp_path)) as spool:
        for i in range(5):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, f"UPDATE block SET {column} = {column} + 64 WHERE key = (1 << 48) | 21")
    async with running(settings(tmp_path)) as spool:
        outbox = spool.outbox(Uplink())
        found = await payloads_of(outbox)
        assert found == [payload for i in (0, 1, 3, 4) for payload in names(10, f"{i}-")]
        peek = await outbox.peek("telemetry", 21, max_records=5, max_bytes=1000)
        assert [(gap.first_seq, gap.count, gap.reason) for gap in peek.gaps] == [(21, 10, "corrupt")]


@pytest.mark.parametrize("count", ["1 << 50", "0", "-5", "'x'", "1e300"])
async def test_a_changed_count_of_a_block_is_not_taken_into_the_account_of_its_dead_letter(
    tmp_path: Path, count: str
) -> None:
    async with running(settings(tmp_path)) as spool:
        for i in range(3):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, f"UPDATE block SET count = {count} WHERE key = (1 << 48) | 11")
    async with running(settings(tmp_path)) as spool:
        await spool.outbox(Uplink()).peek("telemetry", 11, max_records=5, max_bytes=1000)
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (1, 10)
        assert [letter.count for letter in await spool.dead_letters.list()] == [10]


@pytest.mark.parametrize("count", ["1 << 47", "11", "0", "-5", "'x'", "1e300"])
async def test_a_policy_that_drops_a_block_whose_count_was_changed_drops_no_other_and_counts_what_it_held(
    tmp_path: Path, count: str
) -> None:
    clock = StepClock()
    brief = settings(tmp_path, streams=(Stream(name="telemetry", topics=("#",), time_to_live_s=60.0),))
    async with running(brief, clock) as spool:
        for i in range(4):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, f"UPDATE block SET count = {count} WHERE key IN ((1 << 48) | 11, (1 << 48) | 21)")
    clock.us += 50 * SECOND_US
    async with running(brief, clock) as spool:
        await store(spool, names(10, "last"))
        clock.us += 11 * SECOND_US
        spool._committer.expire()
        await spool.written()
        lane = spool.lanes["telemetry"]
        assert [(gap.first_seq, gap.count) for _, gap in lane.gaps] == [(1, 40)]
        assert lane.dropped["expired"] == 40
        assert await payloads_of(spool.outbox(Uplink())) == names(10, "last")


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "for want of room"])
async def test_what_was_counted_as_damaged_is_not_counted_once_more_when_its_letter_goes(
    tmp_path: Path, by_hand: bool
) -> None:
    async with running(settings(tmp_path)) as spool:
        for i in range(3):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, "UPDATE block SET body = x'00' WHERE key = (1 << 48) | 11")
    async with running(settings(tmp_path)) as spool:
        await spool.outbox(Uplink()).peek("telemetry", 11, max_records=5, max_bytes=1000)
        if by_hand:
            assert await spool.dead_letters.discard([1]) == 1
        else:
            spool.resize(replace(settings(tmp_path).spool, max_size_bytes=0))
            await spool.written()
        assert spool.dead_letters.letters == 0
        assert {reason: count for reason, count in spool.lanes["telemetry"].dropped.items() if count} == {"corrupt": 10}
    async with running(settings(tmp_path)) as spool:
        assert {reason: count for reason, count in spool.lanes["telemetry"].dropped.items() if count} == {"corrupt": 10}


async def test_where_nobody_can_tell_the_last_number_of_a_stream_no_policy_drops_it(tmp_path: Path) -> None:
    clock = StepClock()
    brief = settings(tmp_path, streams=(Stream(name="telemetry", topics=("#",), time_to_live_s=60.0),))

    async def expire() -> None:
        async with running(brief, clock) as spool:
            await store(spool, names(10))
            await in_database(tmp_path, "UPDATE block SET count = 1 << 40 WHERE key = (1 << 48) | 1")
            clock.us += 61 * SECOND_US
            spool._committer.expire()
            await spool.written()

    with pytest.raises(SpoolCorrupt, match="The last row"):
        await expire()
    async with running(brief, clock) as spool:
        assert spool.salvage is not None
        assert spool.salvage.blocks_unreadable == 1
        assert spool.lanes["telemetry"].next_seq == 1


async def test_a_changed_count_in_the_last_row_never_gives_a_number_twice(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, names(10))
        await store(spool, names(10, "q"))
        epoch = spool.lanes["telemetry"].epoch
    await in_database(tmp_path, "UPDATE block SET count = 2 WHERE key = (1 << 48) | 11")
    async with running(settings(tmp_path)) as spool:
        assert spool.salvage is not None
        assert spool.lanes["telemetry"].epoch != epoch
        assert await payloads_of(spool.outbox(Uplink())) == names(10)


async def test_a_salvaged_stream_keeps_its_holes_with_their_reasons(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        for i in range(6):
            await store(spool, names(10, f"{i}-"))
        await spool.outbox(Uplink()).release("telemetry", 11)
    await in_database(tmp_path, "DELETE FROM block WHERE key IN ((1 << 48) | 21, (1 << 48) | 41)")
    await in_database(tmp_path, "INSERT INTO gap VALUES (1, '', 21, 10, 'full')")
    (tmp_path / "spool.damaged").touch()
    async with running(settings(tmp_path)) as spool:
        outbox = spool.outbox(Uplink())
        assert outbox.backlog("telemetry").next_to_deliver_seq == 1
        assert await payloads_of(outbox) == [payload for i in (1, 3, 5) for payload in names(10, f"{i}-")]
        gaps = [(gap.first_seq, gap.count, gap.reason) for _, gap in spool.lanes["telemetry"].gaps]
        assert sorted(gaps) == [(11, 10, "full"), (31, 10, "corrupt")]


async def test_a_gap_that_grows_while_it_is_declared_stays_on_disk(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB)
    async with running(full) as spool:
        lane = spool.lanes["telemetry"]
        outbox = spool.outbox(Uplink())
        for _ in range(80):
            if lane.first_seq > lane.watermark("cloud"):
                await outbox.release("telemetry", lane.first_seq)
            await store(spool, noise(10))
            with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other:
                rows = {row[0]: row[0] + row[1] for row in other.execute("SELECT first_seq, count FROM gap")}
            seq = lane.watermark("cloud")
            while seq < lane.first_seq:
                ends = [end for first, end in rows.items() if first <= seq < end]
                assert ends, f"{seq} to {lane.first_seq} is in no gap on disk: {rows}"
                seq = ends[0]
        assert lane.dropped["full"] > 0


async def test_records_that_are_not_there_become_a_gap_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        for i in range(4):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, "DELETE FROM block WHERE key = (1 << 48) | 11")
    async with running(settings(tmp_path)) as spool:
        outbox = spool.outbox(Uplink())
        assert await payloads_of(outbox) == [payload for i in (0, 2, 3) for payload in names(10, f"{i}-")]
        peek = await outbox.peek("telemetry", 11, max_records=5, max_bytes=1000)
        assert [(gap.first_seq, gap.count, gap.reason) for gap in peek.gaps] == [(11, 10, "corrupt")]


async def test_an_uplink_taken_out_and_put_back_begins_with_the_oldest_record_kept(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        for i in range(3):
            await store(spool, names(10, f"{i}-"))
        await spool.outbox(both[0]).release("telemetry", 5)
    async with running(settings(tmp_path, uplinks=both[1:])) as spool:
        await spool.outbox(both[1]).release("telemetry", 21)
        await spool.flush()
    async with running(settings(tmp_path, uplinks=both)) as spool:
        assert await payloads_of(spool.outbox(both[0])) == names(10, "2-")


async def test_a_dead_letter_of_records_that_a_policy_dropped_meanwhile_holds_no_others(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB)
    async with running(full) as spool:
        for _ in range(40):
            await store(spool, noise(10))
        lane = spool.lanes["telemetry"]
        assert lane.first_seq > 10
        outbox = spool.outbox(Uplink())
        await outbox.dead_letter("telemetry", 1, 5, reason="refused")
        await outbox.dead_letter("telemetry", lane.first_seq - 2, 4, reason="refused")
        kept = lane.first_seq
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other:
        rows = other.execute("SELECT first_seq, count FROM dead_letter WHERE uplink = 'cloud'").fetchall()
    assert rows == [(kept, 2)]


async def test_dead_letters_leave_most_of_the_spool_to_live_data_and_are_counted_when_they_go(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        lane = spool.lanes["telemetry"]
        outbox = spool.outbox(Uplink())
        for _ in range(60):
            first = lane.next_seq
            await store(spool, noise(10))
            await outbox.dead_letter("telemetry", first, 10, reason="refused")
            await outbox.release("telemetry", first + 10)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other:
        size, count = other.execute("SELECT sum(length(body)), sum(count) FROM dead_letter").fetchone()
        (gone,) = other.execute("SELECT value FROM counter WHERE name = 'dropped_discarded_dead_letter'").fetchone()
    assert size <= 2 * MIB / 8
    assert count + gone == 600


async def test_another_program_that_holds_the_database_fails_a_commit_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.database.BUSY_TIMEOUT_S", 0.05)
    async with running(settings(tmp_path)) as spool:
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await store(spool, names(2)) is Outcome.FAILED
            other.execute("ROLLBACK")
        assert await store(spool, names(2, "q")) is Outcome.DURABLE
        assert await payloads_of(spool.outbox(Uplink())) == names(2, "q")


def test_a_write_that_a_quota_refuses_is_a_full_disk() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert isinstance(translate(error), SpoolFull)
    assert "its quota is used up, or it is failing" in str(translate(error))
    assert errno.EDQUOT  # what the operating system said; SQLite keeps it to itself


async def test_a_session_that_ends_while_the_spool_is_full_is_forgotten_all_the_same(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(full) as spool:
        spool.remember("device", lambda: b"ids")
        await Commits().expect(spool)
        while await store(spool, noise(10)) is Outcome.DURABLE:
            pass
        spool.remember("device", lambda: None)
        put(spool, noise(10))
        assert await Commits().expect(spool) is Outcome.FULL
    async with running(full) as spool:
        assert spool.sessions() == {}


async def test_one_damaged_block_is_counted_once_however_many_uplinks_meet_it(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        for i in range(4):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, "UPDATE block SET body = x'00' WHERE key IN ((1 << 48) | 11, (1 << 48) | 21)")
    async with running(settings(tmp_path, uplinks=both)) as spool:
        outboxes = [spool.outbox(uplink) for uplink in both]
        peeks = await asyncio.gather(
            *(outbox.peek("telemetry", 11, max_records=5, max_bytes=1000) for outbox in outboxes)
        )
        assert all(sum(gap.count for gap in peek.gaps) == 20 for peek in peeks)
        lane = spool.lanes["telemetry"]
        assert lane.dropped["corrupt"] == 20
        assert lane.waiting_records == 20


async def test_damaged_blocks_that_uplinks_meet_in_another_order_are_counted_once_each(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        for i in range(4):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, "UPDATE block SET body = x'00' WHERE key IN ((1 << 48) | 11, (1 << 48) | 21)")
    async with running(settings(tmp_path, uplinks=both)) as spool:
        ahead, behind = (spool.outbox(uplink) for uplink in both)
        await ahead.peek("telemetry", 21, max_records=5, max_bytes=1000)
        peek = await behind.peek("telemetry", 11, max_records=5, max_bytes=1000)
        lane = spool.lanes["telemetry"]
        assert [(gap.first_seq, gap.count) for gap in peek.gaps] == [(11, 10), (21, 10)]
        assert (lane.dropped["corrupt"], lane.waiting_records) == (20, 20)
    async with running(settings(tmp_path, uplinks=both)) as spool:
        assert spool.lanes["telemetry"].dropped["corrupt"] == 20


async def test_a_hole_that_two_uplinks_meet_at_once_is_counted_once(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        for i in range(3):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, "DELETE FROM block WHERE key = (1 << 48) | 11")
    async with running(settings(tmp_path, uplinks=both)) as spool:
        peeks = await asyncio.gather(
            *(spool.outbox(uplink).peek("telemetry", 11, max_records=5, max_bytes=1000) for uplink in both)
        )
        assert [[(gap.first_seq, gap.count) for gap in peek.gaps] for peek in peeks] == [[(11, 10)]] * 2
        assert spool.lanes["telemetry"].dropped["corrupt"] == 10


async def test_a_drop_beside_a_hole_is_counted_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.spool.upkeep.INTERVAL_S", 0.01)
    brief = (Stream(name="telemetry", topics=("#",), time_to_live_s=60.0),)
    clock = StepClock()
    async with running(settings(tmp_path, streams=brief), clock) as spool:
        for i in range(4):
            await store(spool, names(10, f"{i}-"))
    await in_database(tmp_path, "UPDATE block SET body = x'00' WHERE key = (1 << 48) | 11")
    async with running(settings(tmp_path, streams=brief), clock) as spool:
        outbox = spool.outbox(Uplink())
        await outbox.peek("telemetry", 11, max_records=5, max_bytes=1000)
        lane = spool.lanes["telemetry"]
        changed = asyncio.Event()
        outbox.on_change(changed.set)
        clock.us += 61_000_000
        async with asyncio.timeout(10):
            while lane.first_seq < 41:
                await changed.wait()
                changed.clear()
        assert lane.dropped["expired"] == 30
        assert lane.dropped["corrupt"] == 10
        assert lane.waiting_records == 0
