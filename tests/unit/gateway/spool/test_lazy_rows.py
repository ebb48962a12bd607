"""Rows that nobody waits for: when they are written, and when they are lost; and the notes."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from config.settings import WhenFull
from gateway.spool import committer
from gateway.spool.errors import SpoolBusy
from gateway.spool.notes import Notes
from gateway.spool.ports import Outcome, Table
from gateway.spool.spool import Spool
from tests.support.spool import Commits, running, settings, store
from tests.unit.gateway.spool.test_retention import noise

MIB = 1024 * 1024


def on_disk(folder: Path, table: Table = Table.HISTORY) -> dict[int | str, bytes]:
    with contextlib.closing(sqlite3.connect(folder / "spool.db")) as other:
        return dict(other.execute(f"SELECT key, body FROM {table.value}").fetchall())


async def settled(spool: Spool) -> None:
    """The loop has come round to everything that was to be done at once."""
    for _ in range(10):
        await asyncio.sleep(0)
    await spool._committer.settled()


async def test_a_lazy_row_makes_no_commit_of_its_own_and_goes_along_with_the_next(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        commits = spool.counters.commits
        spool.keep_lazily(Table.HISTORY, 1, b"one")
        spool.keep_lazily(Table.HISTORY, 1, b"newer")
        await settled(spool)
        assert spool.counters.commits == commits
        await store(spool, [b"record"])
        assert on_disk(tmp_path) == {1: b"newer"}
        assert spool.counters.commits == commits + 1


async def test_an_idle_spool_writes_lazy_rows_together_once_their_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert committer.LAZY_LINGER_S == 30.0
    monkeypatch.setattr(committer, "LAZY_LINGER_S", 0.2)
    async with running(settings(tmp_path)) as spool:
        commits = spool.counters.commits
        for i in range(20):
            spool.keep_lazily(Table.EVENT, i, b"x")
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while spool.counters.commits == commits:  # noqa: ASYNC110 - until the timer has rung
                await asyncio.sleep(0.01)
        assert spool.counters.commits == commits + 1
        assert len(on_disk(tmp_path, Table.EVENT)) == 20


@pytest.mark.parametrize("flush", [True, False])
async def test_lazy_rows_are_on_disk_at_the_end(tmp_path: Path, flush: bool) -> None:
    spool = await Spool.open(settings(tmp_path), clock=_Clock())
    task = asyncio.create_task(spool.run())
    spool.keep_lazily(Table.HISTORY, 1, b"one")
    if flush:
        await spool.flush()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    spool.keep_lazily(Table.EVENT, 1, b"stopped")
    await spool.close()
    assert on_disk(tmp_path) == {1: b"one"}
    assert on_disk(tmp_path, Table.EVENT) == {1: b"stopped"}


async def test_what_comes_later_holds_among_lazy_and_other_rows(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        spool.keep_lazily(Table.HISTORY, 1, b"lazy")
        spool.keep(Table.HISTORY, 1, b"kept")
        spool.keep(Table.HISTORY, 2, b"kept")
        spool.keep_lazily(Table.HISTORY, 2, b"lazy")
        spool.keep_lazily(Table.HISTORY, 3, b"lazy")
        spool.discard(Table.HISTORY, 3)
        spool.keep_lazily(Table.HISTORY, 4, b"lazy")
        spool.discard_range(Table.HISTORY, 4, 9)
        spool.keep_lazily(Table.HISTORY, 5, b"lazy")
        await Commits().expect(spool)
        assert on_disk(tmp_path) == {1: b"kept", 2: b"lazy", 5: b"lazy"}


async def test_a_removal_put_off_to_a_later_commit_spares_the_lazy_row_that_came_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "REMOVALS_AT_ONCE", 1)
    async with running(settings(tmp_path)) as spool:
        for i in range(8):
            spool.keep_lazily(Table.EVENT, i, b"old")
        await store(spool, [b"record"])
        for i in range(8):
            spool.discard(Table.EVENT, i)
            spool.keep_lazily(Table.EVENT, i, b"new")
        await store(spool, [b"record"])
        await spool.flush()
        assert on_disk(tmp_path, Table.EVENT) == dict.fromkeys(range(8), b"new")


@pytest.mark.parametrize("when_full", WhenFull)
async def test_lazy_rows_never_make_a_record_go_nor_have_one_refused(tmp_path: Path, when_full: WhenFull) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB, when_full=when_full)) as spool:
        lane = spool.lanes["telemetry"]
        while lane.dropped["full"] == 0 and spool.has_room:
            await store(spool, noise(5, 4000))
        before = (dict(lane.dropped), lane.first_seq)
        refused = spool.counters.refused
        for i in range(100):
            spool.keep_lazily(Table.HISTORY, i, noise(1, 40_000)[0])
        assert await Commits().expect(spool) in {Outcome.DURABLE, Outcome.FULL}
        assert (dict(lane.dropped), lane.first_seq, spool.counters.refused) == (*before, refused)
        assert spool.counters.lazy_lost == 100
        spool.keep_lazily(Table.EVENT, 1, b"the spool is full")
        await spool.flush()
        assert on_disk(tmp_path, Table.EVENT) == {1: b"the spool is full"}, "a small one finds room in any case"


async def test_lazy_rows_wait_for_a_commit_that_failed_for_another_reason(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await spool._writer.execute("PRAGMA busy_timeout = 1")
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            spool.keep_lazily(Table.HISTORY, 1, b"one")
            spool.keep_lazily(Table.HISTORY, 2, b"two")
            assert await Commits().expect(spool) is Outcome.FAILED
            spool.keep_lazily(Table.HISTORY, 2, b"newer")
            other.execute("ROLLBACK")
        assert await Commits().expect(spool) is Outcome.DURABLE
        assert on_disk(tmp_path) == {1: b"one", 2: b"newer"}


async def test_who_paused_an_uplink_is_known_after_a_restart_and_forgotten_when_it_is_resumed(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        notes = Notes(spool)
        assert notes.paused_by("cloud") is None
        notes.paused("cloud", "anna")
        notes.paused("Kühler/2", "ben")
        await Commits().expect(spool)
        notes.resumed("Kühler/2")
        notes.resumed("nobody")
    async with running(settings(tmp_path)) as spool:
        notes = Notes(spool)
        assert (notes.paused_by("cloud"), notes.paused_by("Kühler/2")) == ("anna", None)


class _Clock:
    def now_us(self) -> int:
        return 1_700_000_000_000_000

    def monotonic_s(self) -> float:
        return 1.0


async def test_a_pause_is_noted_in_a_spool_that_is_full_and_says_nothing_of_its_room(tmp_path: Path) -> None:
    of = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(of) as spool:
        while await store(spool, noise(5, 4000)) is Outcome.DURABLE:
            pass
        notes = Notes(spool)
        notes.paused("cloud", "anna")
        await spool.flush()
        assert spool.is_refusing
        notes.paused("archive", "ben")
        assert await store(spool, noise(5, 4000)) is Outcome.FULL
    async with running(of) as spool:
        notes = Notes(spool)
        assert (notes.paused_by("cloud"), notes.paused_by("archive")) == ("anna", "ben")


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [("nothing", "anna"), ("resumed", None), ("paused again", "ben")],
)
async def test_a_note_whose_commit_failed_is_written_with_the_next_unless_something_came_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str, expected: str | None
) -> None:
    async with running(settings(tmp_path)) as spool:
        notes = Notes(spool)
        attempt = spool._transactor._attempt

        def once(*_: object) -> None:
            monkeypatch.setattr(spool._transactor, "_attempt", attempt)
            raise SpoolBusy("Another program holds it.")

        monkeypatch.setattr(spool._transactor, "_attempt", once)
        notes.paused("cloud", "anna")
        await settled(spool)
        if meanwhile != "nothing":
            notes.resumed("cloud")
        if meanwhile == "paused again":
            notes.paused("cloud", "ben")
        await store(spool, [b"x"])
    async with running(settings(tmp_path)) as spool:
        assert Notes(spool).paused_by("cloud") == expected


@pytest.mark.parametrize("is_later_commit", [False, True])
async def test_a_note_of_a_commit_that_failed_takes_no_lazy_row_that_came_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_later_commit: bool
) -> None:
    monkeypatch.setattr("bridge.database.BUSY_TIMEOUT_S", 0.05)
    async with running(settings(tmp_path)) as spool:
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            spool.keep(Table.NOTE, "place", b"older")
            if not is_later_commit:
                spool.keep_lazily(Table.NOTE, "place", b"newer")
            ended = Commits().expect(spool)
            while spool._committer.open:  # noqa: ASYNC110 - until the loop has come round to it
                await asyncio.sleep(0)
            if is_later_commit:
                spool.keep_lazily(Table.NOTE, "place", b"newer")
            assert await ended is Outcome.FAILED
            other.execute("ROLLBACK")
    assert on_disk(tmp_path, Table.NOTE) == {"place": b"newer"}
