"""The SQLite sink, on real databases."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import SinkRefused, SinkUnavailable
from bridge.receiver.batch import Batch, Portion, cut
from bridge.receiver.ledger import LaneKey
from bridge.receiver.sinks.sqlite import Sqlite
from bridge.record import Properties
from tests.support.receiver_frames import EPOCH, RECEIVED_AT_US, frame
from tests.support.receiver_parts import batch

LANE = LaneKey("edge-01", "telemetry", EPOCH)


def select(path: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()


async def test_a_record_is_a_row_that_anybody_can_select(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "received.db"
    sink = Sqlite(path)
    properties = Properties(content_type="text/plain", correlation_data=b"\xff")
    await sink.write(batch(await sink.open(), frame(1, [b"one", b"\xff\x00"], properties=[None, properties])))
    await sink.close()
    rows = select(path, "SELECT * FROM record ORDER BY seq")
    key = ("edge-01", "telemetry", EPOCH)
    assert rows[0] == (*key, 1, RECEIVED_AT_US, "device-0", "site/a/device-0", 1, 1, b"one", None)
    assert rows[1][:-1] == (*key, 2, RECEIVED_AT_US + 1, "device-1", "site/a/device-1", 1, 0, b"\xff\x00")
    assert json.loads(rows[1][-1]) == {"content_type": "text/plain", "correlation_data_base64": "/w=="}


async def test_the_ledger_is_in_the_database_itself(tmp_path: Path) -> None:
    path = tmp_path / "received.db"
    sink = Sqlite(path)
    ledger = await sink.open()
    await sink.write(batch(ledger, frame(1, 5)))
    await sink.write(batch(ledger, frame(8, 2), frame(1, 1, gateway="edge-02")))
    await sink.close()
    again = await sink.open()
    assert again[LANE].arrived.bounds == [1, 6, 8, 10]
    assert len(again) == 2
    await sink.close()


async def test_records_and_ledger_are_stored_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "received.db"
    sink = Sqlite(path)
    ledger = await sink.open()
    good = batch(ledger, frame(1, 5))
    bad = Batch(portions=good.portions, ledger_rows=[("edge-01", "telemetry", EPOCH, None)], records=5)  # type: ignore[list-item]
    with pytest.raises(SinkUnavailable, match="took nothing"):
        await sink.write(bad)
    assert select(path, "SELECT count(*) FROM record") == [(0,)]
    await sink.write(good)
    await sink.close()
    assert select(path, "SELECT count(*) FROM record") == [(5,)]


async def test_a_part_of_a_block_is_written_with_its_own_numbers(tmp_path: Path) -> None:
    path = tmp_path / "received.db"
    sink = Sqlite(path)
    whole = batch(await sink.open(), frame(1, 9, properties=[Properties(content_type=str(n)) for n in range(1, 10)]))
    part = cut(whole.portions[0].block, 4, 7)
    await sink.write(Batch(portions=[Portion(lane=LANE, block=part)], ledger_rows=(), records=3))
    await sink.close()
    rows = select(path, "SELECT seq, payload, received_at_us, client, properties FROM record")
    assert [row[0] for row in rows] == [4, 5, 6]
    assert rows[0] == (4, b"p4", RECEIVED_AT_US + 3, "device-3", '{"content_type":"4"}')


async def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "received.db"
    path.write_bytes(b"not a database at all" * 1000)
    sink = Sqlite(path)
    with pytest.raises(SinkRefused, match=r"received\.db cannot be used: file is not a database"):
        await sink.open()
    await sink.close()
    assert path.read_bytes() == b"not a database at all" * 1000


async def test_a_database_that_was_removed_is_noticed_before_anything_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "received.db"
    sink = Sqlite(path)
    ledger = await sink.open()
    await sink.write(batch(ledger, frame(1, 5)))
    remove(path)
    late = batch(ledger, frame(6, 5))
    with pytest.raises(SinkUnavailable, match="was moved or removed"):
        await sink.write(late)
    await sink.close()
    assert len(await sink.open()) == 0
    await sink.write(late)
    await sink.close()
    assert select(path, "SELECT min(seq), count(*) FROM record") == [(6, 5)]


async def test_what_an_index_of_the_owner_refuses_is_told_and_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "received.db"
    sink = Sqlite(path)
    ledger = await sink.open()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE UNIQUE INDEX mine ON record (client)")
    with pytest.raises(SinkUnavailable, match=r"took nothing: UNIQUE constraint failed: record\.client"):
        await sink.write(batch(ledger, frame(1, 10)))
    await sink.close()
    assert select(path, "SELECT count(*) FROM record") == [(0,)]
