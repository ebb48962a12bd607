"""A spool that is made larger or smaller while it is at work."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from config.settings import Spool as SpoolSettings
from config.settings import Uplink, WhenFull
from gateway.spool import transaction
from gateway.spool.ports import Outcome
from gateway.spool.size import Size
from tests.support.spool import Commits, running, settings, store
from tests.unit.gateway.spool.test_dead_letters import condemned
from tests.unit.gateway.spool.test_retention import noise
from tests.unit.gateway.spool.test_spool import payloads_of

MIB = 1024 * 1024


async def test_a_larger_spool_takes_what_a_smaller_one_refused(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)) as spool:
        while await store(spool, noise(5, 4000)) is Outcome.DURABLE:
            pass
        assert spool.resize(SpoolSettings(max_size_bytes=8 * MIB, when_full=WhenFull.REJECT)) == ()
        for _ in range(50):
            assert await store(spool, noise(5, 4000)) is Outcome.DURABLE


async def test_a_smaller_spool_gives_its_oldest_records_up_step_by_step_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "SHRINK_PAGES", 100)
    async with running(settings(tmp_path, max_size_bytes=16 * MIB)) as spool:
        lane = spool.lanes["telemetry"]
        for _ in range(100):
            await store(spool, noise(10, 8000))
        assert spool.resize(SpoolSettings(max_size_bytes=2 * MIB, durability_s=1.0)) == ("durability",)
        dropped = []
        for _ in range(40):
            assert await store(spool, [b"x"]) is Outcome.DURABLE
            dropped.append(lane.dropped["full"])
        assert 0 < dropped[0] < 400, "not all at once"
        assert dropped[-1] > 750
        assert dropped[-1] == dropped[-2], "and no more than it has to"
        assert len(await payloads_of(spool.outbox(Uplink()))) == 1040 - dropped[-1]


async def test_of_a_smaller_spool_letters_beyond_their_share_go_before_records_that_can_be_delivered(
    tmp_path: Path,
) -> None:
    async with running(settings(tmp_path, max_size_bytes=64 * MIB)) as spool:
        lane = spool.lanes["telemetry"]
        for _ in range(10):
            await condemned(spool, noise(5, 50_000))
        await spool.outbox(Uplink()).release("telemetry", lane.next_seq)
        await store(spool, noise(10, 50_000))
        spool.resize(SpoolSettings(max_size_bytes=2 * MIB))
        for _ in range(5):
            assert await store(spool, [b"x"]) is Outcome.DURABLE, "nor is the log, which was larger, in the way"
        assert lane.dropped["full"] == 0
        assert lane.dropped["discarded_dead_letter"] >= 45
        assert spool.dead_letters.records == 50 - lane.dropped["discarded_dead_letter"]


async def test_commits_without_records_do_not_make_the_step_of_the_next_one_with_some_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "SHRINK_PAGES", 100)
    async with running(settings(tmp_path, max_size_bytes=16 * MIB)) as spool:
        for _ in range(100):
            await store(spool, noise(10, 8000))
        spool.resize(SpoolSettings(max_size_bytes=2 * MIB))
        for n in range(30):
            spool.remember(f"device-{n}", lambda: None)
            await Commits().expect(spool)
        await store(spool, [b"x"])
        assert 0 < spool.lanes["telemetry"].dropped["full"] < 200, "of 1 000, most of which will have to go"


async def test_what_is_done_when_it_is_full_can_change(tmp_path: Path) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)) as spool:
        while await store(spool, noise(5, 4000)) is Outcome.DURABLE:
            pass
        spool.resize(SpoolSettings(max_size_bytes=2 * MIB, when_full=WhenFull.DROP_OLDEST))
        assert await store(spool, noise(5, 4000)) is Outcome.DURABLE
        assert spool.lanes["telemetry"].dropped["full"] > 0


async def test_a_size_that_could_not_be_followed_is_followed_with_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings(tmp_path, max_size_bytes=16 * MIB)) as spool:
        await store(spool, noise(10, 8000))

        def held(*_: object) -> None:
            monkeypatch.undo()
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise busy

        monkeypatch.setattr(Size, "bound_log", held)
        spool.resize(SpoolSettings(max_size_bytes=4 * MIB))
        assert await store(spool, [b"x"]) is Outcome.FAILED
        assert await store(spool, [b"x"]) is Outcome.DURABLE
        assert spool.ceiling_bytes < 4 * MIB
