"""Rows that the broker keeps: on disk with their commit, gone when discarded, the later of the two always holding."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.block_builder import BlockBuilder
from config.settings import MIB, Uplink, WhenFull
from gateway.spool import committer, tables
from gateway.spool.open_commit import OpenCommit
from gateway.spool.ports import Outcome, Table
from gateway.spool.removals import Removals
from gateway.spool.rows import INSERT_BLOCK, block_row
from gateway.spool.schema import prepare
from gateway.spool.sealer import Sealer
from gateway.spool.spool import CONGESTED_BYTES, Spool
from tests.support.spool import Commits, StepClock, put, running, settings, store
from tests.unit.gateway.spool.test_retention import noise
from tests.unit.gateway.spool.test_spool import payloads_of

KEYS: dict[Table, list[Any]] = {
    Table.MESSAGE: [1, 2, 3],
    Table.DELIVERY: [1 << 32, 1 << 32 | 1, 7 << 32],
    Table.RETAINED: ["a", "plant/Kühler", "z/1"],
    Table.HISTORY: [1, 60, 1 << 40],
    Table.EVENT: [1, 2, 3],
    Table.NOTE: ["paused/Kühler", "paused/cloud", "seen"],
}


def on_disk(folder: Path, table: Table) -> list[tuple[int | str, bytes]]:
    with contextlib.closing(sqlite3.connect(folder / "spool.db")) as other:
        return other.execute(f"SELECT key, body FROM {table.value} ORDER BY key").fetchall()


async def committed(spool: Spool) -> Outcome:
    async with asyncio.timeout(20):
        return await Commits().expect(spool)


@pytest.mark.parametrize("table", Table)
async def test_kept_rows_are_on_disk_when_their_commit_ended_and_come_back_in_order(
    tmp_path: Path, table: Table
) -> None:
    expected = [(key, f"body of {key}".encode()) for key in KEYS[table]]
    async with running(settings(tmp_path)) as spool:
        for key, body in reversed(expected):
            spool.keep(table, key, body)
        assert await committed(spool) is Outcome.DURABLE
        assert on_disk(tmp_path, table) == expected
    async with running(settings(tmp_path)) as spool:
        assert spool.load(table) == expected
        assert spool.load(table) == []
        assert all(spool.load(other) == [] for other in Table)
        assert spool.damaged_rows == 0


async def test_a_row_kept_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        spool.keep(Table.RETAINED, "a", b"old")
        await committed(spool)
        spool.keep(Table.RETAINED, "a", b"newer")
        spool.keep(Table.RETAINED, "a", b"newest")
        await committed(spool)
        assert on_disk(tmp_path, Table.RETAINED) == [("a", b"newest")]


async def test_a_removal_makes_a_commit_of_its_own_after_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "RELEASE_LINGER_S", 0.01)
    async with running(settings(tmp_path)) as spool:
        spool.keep(Table.MESSAGE, 1, b"x")
        await committed(spool)
        before = spool.counters.commits
        spool.discard(Table.MESSAGE, 1)
        assert spool.counters.commits == before
        async with asyncio.timeout(10):
            await spool._committer.work.wait()  # nobody but the timer sets it
        await spool.flush()
        assert spool.counters.commits == before + 1
        assert on_disk(tmp_path, Table.MESSAGE) == []


@pytest.mark.parametrize("table", Table)
async def test_a_keep_and_a_discard_of_one_commit_leave_what_the_later_one_says(tmp_path: Path, table: Table) -> None:
    first, second, third = KEYS[table]
    async with running(settings(tmp_path)) as spool:
        for key in KEYS[table]:
            spool.keep(table, key, b"old")
        await committed(spool)
        spool.keep(table, first, b"new")
        spool.discard(table, first)
        spool.discard(table, second)
        spool.keep(table, second, b"new")
        await committed(spool)
        assert on_disk(tmp_path, table) == [(second, b"new"), (third, b"old")]


async def test_a_row_kept_and_discarded_before_the_commit_writes_nothing(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        before, wal = spool.size_bytes(), (tmp_path / "spool.db-wal").stat().st_size
        spool.keep(Table.MESSAGE, 1, b"x" * 10_000)
        spool.keep(Table.DELIVERY, 1 << 32, b"x")
        spool.discard(Table.MESSAGE, 1)
        spool.discard_range(Table.DELIVERY, 1 << 32, (2 << 32) - 1)
        assert await committed(spool) is Outcome.DURABLE
        assert (spool.size_bytes(), (tmp_path / "spool.db-wal").stat().st_size) == (before, wal)


async def test_a_row_kept_while_its_removal_still_waits_survives_it(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        spool.keep(Table.RETAINED, "a", b"old")
        await committed(spool)
        spool.discard(Table.RETAINED, "a")
        spool.discard_range(Table.DELIVERY, 0, 1 << 40)
        ended = Commits().expect(spool)  # the removals go with this commit, and the rows that follow with the next
        await asyncio.sleep(0)
        spool.keep(Table.RETAINED, "a", b"new")
        spool.keep(Table.DELIVERY, 1, b"new")
        await ended
        assert await committed(spool) is Outcome.DURABLE
    assert on_disk(tmp_path, Table.RETAINED) == [("a", b"new")]
    assert on_disk(tmp_path, Table.DELIVERY) == [(1, b"new")]


async def test_a_row_discarded_while_its_commit_runs_is_gone_after_it(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        spool.keep(Table.MESSAGE, 1, b"x")
        ended = Commits().expect(spool)
        await asyncio.sleep(0)
        spool.discard(Table.MESSAGE, 1)
        assert await ended is Outcome.DURABLE
    assert on_disk(tmp_path, Table.MESSAGE) == []


async def test_a_range_takes_the_keys_at_both_its_ends_and_no_others(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        for key in range(10):
            spool.keep(Table.DELIVERY, key, b"x")
        await committed(spool)
        spool.keep(Table.DELIVERY, 5, b"y")
        spool.keep(Table.DELIVERY, 10, b"y")
        spool.discard_range(Table.DELIVERY, 2, 7)
        await committed(spool)
        assert [key for key, _ in on_disk(tmp_path, Table.DELIVERY)] == [0, 1, 8, 9, 10]


async def test_stopping_waits_for_removals(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        spool.keep(Table.MESSAGE, 1, b"x")
        await committed(spool)
        spool.discard(Table.MESSAGE, 1)  # and the spool is flushed and closed before its moment has come
    assert on_disk(tmp_path, Table.MESSAGE) == []


async def test_many_removals_are_spread_over_commits_and_all_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "REMOVALS_AT_ONCE", 10)
    async with running(settings(tmp_path)) as spool:
        for key in range(1000):
            spool.keep(Table.MESSAGE, key, b"x")
        await committed(spool)
        for key in range(1000):
            spool.discard(Table.MESSAGE, key)
        spool.keep(Table.MESSAGE, 500, b"again")
        await committed(spool)
        assert len(on_disk(tmp_path, Table.MESSAGE)) > 900
    assert on_disk(tmp_path, Table.MESSAGE) == [(500, b"again")]


# A store without room, or without a hand free.


async def full_of_records(spool: Spool) -> None:
    while await store(spool, noise(10)) is Outcome.DURABLE:
        pass


async def test_rows_are_refused_with_their_commit_and_removals_are_carried_out_all_the_same(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(full) as spool:
        for key in (1, 2, 3):
            spool.keep(Table.MESSAGE, key, b"old")
        await committed(spool)
        await full_of_records(spool)
        spool.keep(Table.MESSAGE, 1, b"new")
        spool.discard(Table.MESSAGE, 2)
        spool.discard(Table.MESSAGE, 3)
        spool.keep(Table.MESSAGE, 3, b"new")
        put(spool, noise(10))
        assert await committed(spool) is Outcome.FULL
        assert on_disk(tmp_path, Table.MESSAGE) == [(1, b"old")]


async def test_rows_alone_are_refused_when_there_is_no_room_and_taken_when_some_were_removed(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    async with running(full) as spool:
        key = 0
        while True:
            key += 1
            spool.keep(Table.RETAINED, f"plant/{key}", noise(1, 30_000)[0])
            if await committed(spool) is Outcome.FULL:
                break
        assert not spool.has_room
        assert spool.size_bytes() <= 2 * MIB
        for old in range(1, key):
            spool.discard(Table.RETAINED, f"plant/{old}")
        await spool.flush()
        spool.keep(Table.RETAINED, "plant/new", noise(1, 30_000)[0])
        assert await committed(spool) is Outcome.DURABLE
        assert spool.has_room


async def test_drop_oldest_never_drops_a_row_and_refuses_new_ones_when_rows_alone_fill_the_spool(
    tmp_path: Path,
) -> None:
    async with running(settings(tmp_path, max_size_bytes=2 * MIB)) as spool:
        for _ in range(30):
            await store(spool, noise(10))
        kept: list[int] = []
        while True:
            key = len(kept) + 1
            spool.keep(Table.MESSAGE, key, noise(1, 30_000)[0])
            if await committed(spool) is Outcome.FULL:
                break
            kept.append(key)
        lane = spool.lanes["telemetry"]
        assert lane.dropped["full"] > 200  # records made room, as far as there were any
        assert spool.size_bytes() <= 2 * MIB
        assert [key for key, _ in on_disk(tmp_path, Table.MESSAGE)] == kept
        assert len(kept) > 20
        assert spool.is_refusing


async def test_small_rows_keep_within_the_size_of_the_spool(tmp_path: Path) -> None:
    full = settings(tmp_path, max_size_bytes=2 * MIB, when_full=WhenFull.REJECT)
    key = 0
    async with running(full) as spool:
        while True:
            for _ in range(500):
                key += 1
                spool.keep(Table.DELIVERY, key * 7919 % 104_729 << 32, b"x" * 40)  # all over the tree
                spool.keep(Table.RETAINED, f"plant/{key * 7919 % 104_729}", b"x" * 700)
            if await committed(spool) is Outcome.FULL:
                break
            assert spool.size_bytes() <= 2 * MIB
    assert key > 1000


async def test_on_a_full_disk_rows_are_refused_and_removals_are_not(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        for key in range(100):
            spool.keep(Table.MESSAGE, key, noise(1, 3000)[0])
        await committed(spool)
        # SQLite's own ceiling answers as a full disk does, with SQLITE_FULL.
        (pages,) = (await (await spool._writer.execute("PRAGMA page_count")).fetchone()) or (0,)
        await spool._writer.execute(f"PRAGMA max_page_count = {pages}")
        spool.keep(Table.MESSAGE, 1000, noise(1, 100_000)[0])
        spool.discard_range(Table.MESSAGE, 0, 9)
        spool.discard(Table.MESSAGE, 10)
        assert await committed(spool) is Outcome.FULL
        assert not (tmp_path / "spool.reserve").exists()
        assert [key for key, _ in on_disk(tmp_path, Table.MESSAGE)] == list(range(11, 100))
        spool.keep(Table.MESSAGE, 1000, b"small enough for what the removals have freed")
        assert await committed(spool) is Outcome.DURABLE


async def test_removals_wait_while_another_program_holds_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.database.BUSY_TIMEOUT_S", 0.05)
    async with running(settings(tmp_path)) as spool:
        for key in (1, 2, 3):
            spool.keep(Table.MESSAGE, key, b"old")
        spool.remember("device", lambda: b"state")
        await committed(spool)
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            spool.discard(Table.MESSAGE, 1)
            spool.discard_range(Table.MESSAGE, 2, 3)
            spool.remember("device", lambda: None)
            spool.keep(Table.MESSAGE, 4, b"refused")
            assert await committed(spool) is Outcome.FAILED
            other.execute("ROLLBACK")
        spool.keep(Table.MESSAGE, 3, b"new")
        assert await committed(spool) is Outcome.DURABLE
        assert on_disk(tmp_path, Table.MESSAGE) == [(3, b"new")]
    async with running(settings(tmp_path)) as spool:
        assert spool.sessions() == {}


async def test_readers_are_held_back_by_rows_that_wait_for_their_commit(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        found = []
        spool.keep(Table.MESSAGE, 1, bytes(CONGESTED_BYTES))
        found.append(spool.is_congested)
        spool.discard(Table.MESSAGE, 1)
        found.append(spool.is_congested)
        spool.keep(Table.MESSAGE, 1, bytes(CONGESTED_BYTES))
        found.append(spool.is_congested)
        spool.keep(Table.MESSAGE, 1, b"")
        found.append(spool.is_congested)
        assert found == [True, False, True, False]


async def test_with_an_interval_of_durability_rows_are_kept_and_removed_too(tmp_path: Path) -> None:
    async with running(settings(tmp_path, durability_s=0.01)) as spool:
        spool.keep(Table.MESSAGE, 1, b"x")
        spool.keep(Table.MESSAGE, 2, b"y")
        assert await committed(spool) is Outcome.DURABLE
        spool.discard(Table.MESSAGE, 1)
    async with running(settings(tmp_path, durability_s=0.01)) as spool:
        assert spool.load(Table.MESSAGE) == [(2, b"y")]


# Damage.


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE retained SET body = x'00' WHERE key = 'b'",
        "UPDATE retained SET crc = crc + 1 WHERE key = 'b'",
        "UPDATE retained SET crc = 'many' WHERE key = 'b'",
        "UPDATE retained SET key = 'bb' WHERE key = 'b'",
        "UPDATE retained SET key = CAST(x'ff62' AS TEXT) WHERE key = 'b'",
        "UPDATE retained SET body = CAST(x'ff62' AS TEXT) WHERE key = 'b'",
    ],
)
async def test_a_row_that_is_not_what_was_written_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    async with running(settings(tmp_path)) as spool:
        for topic in "abc":
            spool.keep(Table.RETAINED, topic, f"body of {topic}".encode())
        await committed(spool)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        other.execute(damage)
    with caplog.at_level(logging.ERROR, logger="gateway.spool"):
        async with running(settings(tmp_path)) as spool:
            assert spool.load(Table.RETAINED) == [("a", b"body of a"), ("c", b"body of c")]
            assert spool.damaged_rows == 1
            assert spool.salvage is None
            spool.keep(Table.RETAINED, "b", b"anew")
    assert "1 rows of the spool's table retained are not what was written and are left out" in caplog.text
    async with running(settings(tmp_path)) as spool:
        assert dict(spool.load(Table.RETAINED))["b"] == b"anew"


async def fill(folder: Path, *, rows: int) -> None:
    async with running(settings(folder)) as spool:
        await store(spool, [b"record"] * 10)
        for i in range(rows):
            spool.keep(Table.MESSAGE, i, f"message {i}".encode() * 20)
            spool.keep(Table.DELIVERY, 3 << 32 | i, f"delivery {i}".encode())
            spool.keep(Table.RETAINED, f"plant/{i}", f"retained {i}".encode() * 20)
            spool.keep(Table.HISTORY, 60 * i, f"history {i}".encode() * 5)
            spool.keep(Table.EVENT, i, f"event {i}".encode() * 5)
            spool.keep(Table.NOTE, f"note {i}", b"x")
            spool.remember(f"client {i:05}", lambda i=i: f"session {i}".encode() * 5)  # type: ignore[misc]
        assert await committed(spool) is Outcome.DURABLE


async def test_a_database_set_aside_gives_its_sessions_and_rows_to_the_new_one(tmp_path: Path) -> None:
    await fill(tmp_path, rows=700)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        other.execute("UPDATE message SET body = x'00' WHERE key = 7")
    (tmp_path / "spool.damaged").touch()
    async with running(settings(tmp_path)) as spool:
        assert spool.salvage is not None
        assert (spool.salvage.rows, spool.salvage.rows_unreadable) == (4199, 1)
        assert "4199 were saved; 1 could not be read" in str(spool.salvage)
        assert [key for key, _ in spool.load(Table.MESSAGE)] == [i for i in range(700) if i != 7]
        assert spool.load(Table.DELIVERY)[-1] == (3 << 32 | 699, b"delivery 699")
        assert dict(spool.load(Table.RETAINED)) == {f"plant/{i}": f"retained {i}".encode() * 20 for i in range(700)}
        assert len(spool.sessions()) == 700
        assert spool.damaged_rows == 0


async def test_a_page_of_zeros_anywhere_never_keeps_the_gateway_from_starting_and_costs_rows_of_one_table(
    tmp_path: Path,
) -> None:
    await fill(tmp_path, rows=300)
    whole = (tmp_path / "spool.db").read_bytes()
    lost = []
    for page in range(1, len(whole) // 4096, 3):
        folder = tmp_path / str(page)
        folder.mkdir()
        zeros = whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :]
        (folder / "spool.db").write_bytes(zeros)
        spool = await Spool.open(settings(folder), clock=StepClock())
        try:
            rows = {table: spool.load(table) for table in Table}
            sessions = spool.sessions()
        finally:
            await spool.close()
        tables_hit = [len(found) for found in (*rows.values(), sessions) if len(found) < 300]
        assert len(tables_hit) <= 1, "one page belongs to one table"
        lost += [300 - found for found in tables_hit]
        for i, body in rows[Table.MESSAGE]:
            assert body == f"message {i}".encode() * 20
        for topic, body in rows[Table.RETAINED]:
            assert body == f"retained {str(topic).removeprefix('plant/')}".encode() * 20
    assert lost
    assert sorted(lost)[len(lost) // 2] < 50, "most pages hold a few rows, and no more than those are lost"


# Versions, and who may read.


def schema_1(folder: Path) -> None:
    """A database as the version before wrote it: ten records of one stream, and a session."""
    with contextlib.closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as other:
        other.execute("PRAGMA page_size = 4096")
        other.execute("PRAGMA journal_mode = WAL").fetchone()
        other.executescript(SCHEMA_1)
        builder = BlockBuilder(1_700_000_000_000_000)
        builder.extend(
            client="device",
            now_us=1_700_000_000_000_000,
            topics=[b"plant/a"] * 10,
            payloads=[f"p{i}".encode() for i in range(10)],
            flags=bytes([2] * 10),
            plain_size_bytes=200,
            properties=None,
        )
        item = Sealer().seal(1, builder, 1)
        other.execute(INSERT_BLOCK, block_row(1, item.block, stored_end=len(item.block.body), crc=item.crc))
        other.execute("INSERT INTO stream VALUES (1, 'telemetry', 'e1', 1, 0)")
        other.execute("INSERT INTO session VALUES ('device', x'0102')")
        other.execute("PRAGMA user_version = 1")


SCHEMA_1 = """
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
    next_seq INTEGER NOT NULL, stored_end INTEGER NOT NULL);
CREATE TABLE block (key INTEGER PRIMARY KEY, count INTEGER NOT NULL, received_at_us INTEGER NOT NULL,
    raw_size INTEGER NOT NULL, plain_size INTEGER NOT NULL, compressed INTEGER NOT NULL, stored_end INTEGER NOT NULL,
    crc INTEGER NOT NULL, row_crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE watermark (uplink TEXT NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (uplink, stream)) WITHOUT ROWID;
CREATE TABLE gap (stream INTEGER NOT NULL, uplink TEXT NOT NULL, first_seq INTEGER NOT NULL, count INTEGER NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (stream, uplink, first_seq)) WITHOUT ROWID;
CREATE TABLE dead_letter (id INTEGER PRIMARY KEY, uplink TEXT NOT NULL, stream TEXT NOT NULL, epoch TEXT NOT NULL,
    first_seq INTEGER NOT NULL, count INTEGER NOT NULL, reason TEXT NOT NULL, at_us INTEGER NOT NULL,
    compressed INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE session (client_id TEXT PRIMARY KEY, snapshot BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (stream TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (stream, name)) WITHOUT ROWID;
"""


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_spool_of_the_version_before_opens_with_its_records_and_takes_rows(
    tmp_path: Path, damaged: bool
) -> None:
    schema_1(tmp_path)
    if damaged:
        (tmp_path / "spool.damaged").touch()
    async with running(settings(tmp_path)) as spool:
        assert await payloads_of(spool.outbox(Uplink())) == [f"p{i}".encode() for i in range(10)]
        assert (spool.lanes["telemetry"].epoch == "e1") is not damaged
        assert spool.sessions() == {"device": b"\1\2"}
        assert spool.salvage is None or spool.salvage.rows_unreadable == 0
        spool.keep(Table.RETAINED, "a", b"x")
        assert await committed(spool) is Outcome.DURABLE
    async with running(settings(tmp_path)) as spool:
        assert spool.load(Table.RETAINED) == [("a", b"x")]
        assert await payloads_of(spool.outbox(Uplink())) == [f"p{i}".encode() for i in range(10)]


def test_a_version_is_raised_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    schema_1(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE retained (key)")  # so that the last of the new tables can't be made
        with pytest.raises(sqlite3.OperationalError):
            prepare(other)
        assert other.execute("PRAGMA user_version").fetchone() == (1,)
        assert other.execute("SELECT count(*) FROM sqlite_master WHERE name = 'message'").fetchone() == (0,)
        other.execute("DROP TABLE retained")
        prepare(other)
        assert other.execute("SELECT count(*) FROM message").fetchone() == (0,)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
async def test_nobody_else_can_read_the_database_and_its_log(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"secret"])
        found = modes(tmp_path)
        assert {"spool.db", "spool.db-wal", "spool.db-shm"} <= set(found)
        assert set(found.values()) == {0o600}


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("damaged", [False, True])
async def test_a_database_that_others_could_read_is_mended_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: bool
) -> None:
    await fill(tmp_path, rows=3)
    (tmp_path / "spool.db").chmod(0o644)
    if damaged:
        (tmp_path / "spool.damaged").touch()
    with caplog.at_level(logging.WARNING, logger="gateway.spool"):
        async with running(settings(tmp_path)) as spool:
            assert len(spool.load(Table.MESSAGE)) == 3
            assert {mode for name, mode in modes(tmp_path).items()} == {0o600}
    assert f"{tmp_path / 'spool.db'} was open to other users of this machine" in caplog.text
    if damaged:
        assert (tmp_path / "damaged-1").stat().st_mode & 0o777 == 0o700


# Order, whatever becomes of the commits.

OPERATIONS = st.one_of(
    st.tuples(st.just("keep"), st.integers(0, 5), st.integers(0, 255)),
    st.tuples(st.just("discard"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("range"), st.integers(0, 5), st.integers(0, 5)),
)


@given(
    st.lists(
        st.tuples(st.lists(OPERATIONS, max_size=8), st.sampled_from(["written", "refused", "not even removals"])),
        max_size=8,
    ),
    st.integers(0, 3),
)
def test_of_a_keep_and_a_discard_the_later_one_holds_whatever_becomes_of_their_commits(
    commits: list[tuple[list[tuple[str, int, int]], str]], limit: int
) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as disk:
        prepare(disk)
        expected: dict[int, bytes] = {}
        commit = OpenCommit()
        for operations, end in [*commits, ([], "written")]:
            kept: dict[int, bytes] = {}
            for operation, key, value in operations:
                if operation == "keep":
                    commit.keep(Table.MESSAGE, key, bytes([value]))
                    kept[key] = bytes([value])
                elif operation == "discard":
                    commit.discard(Table.MESSAGE, key)
                else:
                    commit.discard_range(Table.MESSAGE, key, value)
                gone = range(key, value + 1) if operation == "range" else [key]
                for number in gone if operation != "keep" else []:
                    kept.pop(number, None)
                    expected.pop(number, None)
            following = OpenCommit()
            is_last = end == "written" and not operations
            following.removals = commit.removals.cut(100 if is_last else limit, commit.kept)
            if end == "not even removals":
                following.removals.add_all(commit.removals)
            else:
                tables.discard(disk, commit.removals)
            if end == "written":
                for table, rows in commit.kept.items():
                    tables.keep(disk, table, rows)
                expected |= kept
                found = dict(tables.load(disk)[Table.MESSAGE].rows)
                assert all(found[key] == body for key, body in kept.items())
            commit = following
        tables.discard(disk, commit.removals)
        assert dict(tables.load(disk)[Table.MESSAGE].rows) == expected


@given(st.integers(0, 1500), st.sampled_from(Table))
def test_any_number_of_rows_is_written_and_removed(count: int, table: Table) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as disk:
        prepare(disk)
        rows: dict[int | str, bytes] = {
            (f"{key:06}" if table.has_text_key else key): str(key).encode() for key in range(count)
        }
        tables.keep(disk, table, rows)
        assert tables.load(disk)[table].rows == list(rows.items())
        removals = Removals()
        for key in rows:
            removals.add(table, key)
        tables.discard(disk, removals)
        assert tables.load(disk)[table].rows == []
