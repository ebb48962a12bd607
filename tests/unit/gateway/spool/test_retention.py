"""When there is no room, and when records are too old: the operator's policy, and an account of every drop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from config.settings import MIB, Stream, Uplink, WhenFull
from gateway.spool import upkeep
from gateway.spool.ports import Outcome
from tests.support.spool import Commits, StepClock, put, running, settings, store


def noise(n: int, size: int = 8192) -> list[bytes]:
    """Payloads that no compression makes smaller."""
    return [os.urandom(size) for _ in range(n)]


async def test_drop_oldest_keeps_the_newest_and_the_folder_within_its_size(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        lane = spool.lanes["telemetry"]
        for _ in range(60):
            assert await store(spool, noise(10)) is Outcome.DURABLE
            assert spool.size_bytes() <= 2 * MIB
        assert lane.next_seq == 601
        assert lane.first_seq > 1
        assert lane.dropped["full"] == lane.first_seq - 1
        assert lane.stored_bytes > MIB
        peek = await spool.outbox(Uplink()).peek("telemetry", 1, max_records=5, max_bytes=100_000)
        assert [(gap.first_seq, gap.count, gap.reason) for gap in peek.gaps] == [(1, lane.first_seq - 1, "full")]
        assert peek.blocks[0].first_seq == lane.first_seq


async def test_the_account_of_drops_survives_a_restart(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        for _ in range(40):
            await store(spool, noise(10))
        dropped, first_seq = dict(spool.lanes["telemetry"].dropped), spool.lanes["telemetry"].first_seq
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        assert spool.lanes["telemetry"].dropped == dropped
        peek = await spool.outbox(Uplink()).peek("telemetry", 1, max_records=5, max_bytes=100_000)
        assert sum(gap.count for gap in peek.gaps) == first_seq - 1


async def test_the_oldest_blocks_of_all_streams_go_first(tmp_path: Path) -> None:
    clock = StepClock()
    two = (Stream(name="alarms", topics=("alarm/#",)), Stream(name="telemetry", topics=("#",)))
    async with running(settings(tmp_path, streams=two, max_size_bytes=2 * MIB), clock) as spool:
        await store(spool, noise(10), stream=1)
        clock.us += 1_000_000
        await store(spool, noise(10), stream=0)
        for _ in range(50):
            clock.us += 1_000_000
            await store(spool, noise(5), stream=1)
        alarms, telemetry = spool.lanes["alarms"], spool.lanes["telemetry"]
        assert telemetry.first_seq > 10
        assert alarms.first_seq == 11
        assert alarms.dropped["full"] == 10


async def test_a_declared_gap_is_forgotten_when_every_uplink_is_past_it(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        for _ in range(40):
            await store(spool, noise(10))
        lane = spool.lanes["telemetry"]
        await spool.outbox(Uplink()).release("telemetry", lane.first_seq + 10)
        await spool.flush()
        assert list(lane.gaps) == []
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
        assert other.execute("SELECT count(*) FROM gap").fetchone() == (0,)


async def test_reject_refuses_what_does_not_fit_and_keeps_what_was_there(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(full) as spool:
        outcomes = [await store(spool, noise(10)) for _ in range(40)]
        stored = outcomes.count(Outcome.DURABLE)
        assert 0 < stored < 40
        assert outcomes == [Outcome.DURABLE] * stored + [Outcome.FULL] * (40 - stored)
        lane = spool.lanes["telemetry"]
        assert (lane.first_seq, lane.next_seq) == (1, stored * 10 + 1)
        assert spool.is_refusing
        assert not spool.has_room
        assert spool.size_bytes() <= 2 * MIB


async def test_a_full_spool_takes_records_again_when_some_were_released(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(full) as spool:
        while await store(spool, noise(10)) is Outcome.DURABLE:
            pass
        lane = spool.lanes["telemetry"]
        await spool.outbox(Uplink()).release("telemetry", lane.next_seq)
        await spool.flush()
        assert await store(spool, noise(10)) is Outcome.DURABLE
        assert spool.has_room


async def test_a_refused_record_is_tried_again_after_a_moment(tmp_path: Path) -> None:
    clock = StepClock()
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(full, clock) as spool:
        while await store(spool, noise(10)) is Outcome.DURABLE:
            pass
        assert not spool.has_room
        clock.us += 1_500_000
        assert spool.has_room
        assert spool.is_refusing


async def test_releases_are_kept_when_the_records_beside_them_are_refused(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(full) as spool:
        while await store(spool, noise(10)) is Outcome.DURABLE:
            pass
        lane = spool.lanes["telemetry"]
        await spool.outbox(Uplink()).release("telemetry", 11)
        put(spool, noise(40))
        assert await Commits().expect(spool) is Outcome.FULL
        assert lane.first_seq == 11


async def test_a_commit_larger_than_the_spool_is_refused_not_looped_over(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=MIB)) as spool:
        put(spool, noise(200))
        assert await Commits().expect(spool) is Outcome.FULL
        assert await store(spool, noise(2)) is Outcome.DURABLE


async def test_records_past_their_time_to_live_go_and_are_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "INTERVAL_S", 0.01)
    clock = StepClock()
    brief = (Stream(name="telemetry", topics=("#",), time_to_live_s=60.0),)
    async with running(settings(tmp_path, streams=brief), clock) as spool:
        await store(spool, noise(3, 10))
        clock.us += 59_000_000
        await store(spool, noise(4, 10))
        lane = spool.lanes["telemetry"]
        clock.us += 2_000_000
        outbox = spool.outbox(Uplink())
        changed = asyncio.Event()
        outbox.on_change(changed.set)
        async with asyncio.timeout(10):
            while lane.dropped["expired"] < 3:
                await changed.wait()
                changed.clear()
        assert lane.first_seq == 4
        peek = await outbox.peek("telemetry", 1, max_records=50, max_bytes=10_000)
        assert [(gap.first_seq, gap.count, gap.reason) for gap in peek.gaps] == [(1, 3, "expired")]
