"""A data folder that is looked at where no gateway runs: what is there is read, and stays as it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from config.settings import Uplink
from gateway.spool.errors import DataFolderInUse, SpoolBusy, SpoolCorrupt, SpoolError, SpoolUnusable, SpoolVersionError
from gateway.spool.folder import DataFolder, holder_of
from gateway.spool.reading import StoredSpool
from gateway.spool.recovery import mark_damaged
from gateway.spool.schema import SCHEMA_VERSION
from tests.support.killed_spool import BLOCK, LETTERS, RECORDS, leave, payload_of
from tests.support.spool import running, settings, store


@contextlib.contextmanager
def stored(folder: Path, *, is_running: bool = False) -> Iterator[StoredSpool]:
    spool = StoredSpool(folder, is_running=is_running)
    try:
        yield spool
    finally:
        spool.close()


async def told(records: AsyncIterator[object]) -> int:
    return len([record async for record in records])


def look(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Everything about the files of a folder but when they were read."""
    return {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
    }


def set_version(folder: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(folder / "spool.db")) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


def cut_rows(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as connection:
        connection.execute("UPDATE block SET count = count + 1")


async def test_what_a_killed_process_left_is_read_to_the_last_record_and_no_byte_changes(tmp_path: Path) -> None:
    leave(tmp_path)
    before = look(tmp_path)
    assert before["spool.db-wal"][0] > 0, "what counts is still in the log"
    with stored(tmp_path) as spool, stored(tmp_path) as other:
        found = [(record.seq, record.payload) async for record in spool.queue.export("telemetry")]
        assert found == [(number, payload_of(number)) for number in range(1, RECORDS + 1)]
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (LETTERS, LETTERS * BLOCK)
        assert [letter.id for letter in await other.dead_letters.list()] == [2, 1]
        assert await told(other.dead_letters.export()) == LETTERS * BLOCK
    assert look(tmp_path) == before
    async with running(settings(tmp_path)) as gateway:
        assert gateway.salvage is None
        assert gateway.dead_letters.letters == LETTERS
        lane, seen = gateway.lanes["telemetry"], spool.lanes["telemetry"]
        assert (lane.epoch, lane.first_seq, lane.watermarks) == (seen.epoch, seen.first_seq, seen.watermarks)


async def test_what_a_gateway_left_in_good_order_is_read_without_a_file_beside_it(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"x"] * 7)
        await spool.outbox(Uplink()).release("telemetry", 5)
    before = look(tmp_path)
    assert not before.keys() & {"spool.db-wal", "spool.db-shm"}
    with stored(tmp_path) as found:
        assert await told(found.queue.export("telemetry", 5)) == 3
        assert found.lanes["telemetry"].released_seq == 5
    assert look(tmp_path) == before


async def test_a_log_whose_index_is_missing_is_read_all_the_same(tmp_path: Path) -> None:
    leave(tmp_path)
    (tmp_path / "spool.db-shm").unlink()
    before = look(tmp_path)
    with stored(tmp_path) as found:
        assert await told(found.queue.export("telemetry")) == RECORDS
    assert {name: was for name, was in look(tmp_path).items() if name != "spool.db-shm"} == before


async def test_beside_a_gateway_at_work_each_new_look_has_the_newest(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        for number in range(1, 4):
            await store(spool, [b"x"] * 5)
            with stored(tmp_path, is_running=True) as found:
                assert await told(found.queue.export("telemetry")) == number * 5
        assert holder_of(tmp_path) == str(os.getpid())
    assert holder_of(tmp_path) is None


async def test_a_gateway_that_is_started_meanwhile_is_not_hindered_and_is_noticed(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"x"])
    with stored(tmp_path) as found:
        async with running(settings(tmp_path)) as spool:
            await store(spool, [b"y"] * 100)
            with pytest.raises(SpoolBusy, match="has the gateway been started"):
                await found.queue.peek("telemetry")


async def test_from_the_log_of_a_killed_gateway_is_read_on_while_another_starts(tmp_path: Path) -> None:
    leave(tmp_path)
    with stored(tmp_path) as found:
        first = await found.queue.peek("telemetry", None, 3)
        leave(tmp_path)  # a process of its own: it has opened the same files, written and been killed
        rest = [record.seq async for record in found.queue.export("telemetry", first[-1].seq + 1)]
    assert rest == list(range(4, RECORDS + 1)), "what was there when it was opened"


@pytest.mark.parametrize(
    ("harm", "kind", "said"),
    [
        (lambda folder: (folder / "spool.db").unlink(), SpoolUnusable, "There is no spool in"),
        (lambda folder: (folder / "spool.db").write_bytes(b"x" * 9000), SpoolCorrupt, "nothing in it was changed"),
        (lambda folder: (folder / "spool.db").write_bytes(b"x" * 90), SpoolCorrupt, "shorter than a database's header"),
        (lambda folder: mark_damaged(DataFolder(folder, reserve_bytes=0)), SpoolCorrupt, "was found damaged"),
        (lambda folder: set_version(folder, SCHEMA_VERSION + 1), SpoolVersionError, "by a newer Fieldgate"),
        (lambda folder: set_version(folder, 1), SpoolVersionError, "Start the gateway once"),
        (lambda folder: set_version(folder, 0), SpoolVersionError, "is empty"),
        (cut_rows, SpoolCorrupt, "last row of a stream is not what was written"),
    ],
    ids=["gone", "garbage", "a stump", "marked", "newer", "older", "new", "a row"],
)
async def test_what_can_not_be_read_as_it_is_is_told_and_left_alone(
    tmp_path: Path, harm: object, kind: type[SpoolError], said: str
) -> None:
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"x"])
    assert callable(harm)
    harm(tmp_path)
    before = look(tmp_path)
    with pytest.raises(kind, match=said):
        StoredSpool(tmp_path)
    assert look(tmp_path) == before


def test_to_see_who_has_a_folder_does_not_keep_a_gateway_from_starting(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    folder = DataFolder(tmp_path, reserve_bytes=0)
    folder.open()
    assert holder_of(tmp_path) == str(os.getpid())
    with pytest.raises(DataFolderInUse, match=f"process {os.getpid()}"):
        DataFolder(tmp_path, reserve_bytes=0).open()
    folder.close()
    assert holder_of(tmp_path) is None
    folder.open()
    folder.close()
