"""From the schema before to this one: in one transaction, with everything that was there."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from config.settings import Uplink
from gateway.spool.ports import Table
from gateway.spool.schema import SCHEMA_VERSION, prepare
from tests.support.spool import running, settings
from tests.unit.gateway.spool.test_spool import payloads_of
from tests.unit.gateway.spool.test_tables import schema_1

ADDED_IN_2 = """
CREATE TABLE message (key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE delivery (key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE retained (key TEXT PRIMARY KEY NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
INSERT INTO dead_letter VALUES (7, 'cloud', 'telemetry', 'e0', 1, 3, 'refused', 1700000000000000, 0, x'0102030405');
INSERT INTO dead_letter VALUES (8, '', 'telemetry', 'e0', 4, 2, 'corrupt', 1700000000000001, 0, x'01');
PRAGMA user_version = 2;
"""


def schema_2(folder: Path) -> None:
    """A database as the version before wrote it: ten records of one stream, a session, two dead letters."""
    schema_1(folder)
    with contextlib.closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as other:
        other.executescript(ADDED_IN_2)


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_spool_of_schema_2_keeps_its_records_and_counts_its_dead_letters(tmp_path: Path, damaged: bool) -> None:
    schema_2(tmp_path)
    if damaged:
        (tmp_path / "spool.damaged").touch()
    async with running(settings(tmp_path)) as spool:
        assert await payloads_of(spool.outbox(Uplink())) == [f"p{i}".encode() for i in range(10)]
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (2, 5)
        assert [letter.uplink for letter in await spool.dead_letters.list()] == [None, "cloud"]
        assert await spool.dead_letters.discard([8]) == 1
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (1, 3)
        assert all(spool.load(table) == [] for table in Table)


def test_the_step_is_taken_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    schema_2(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        other.execute("CREATE TRIGGER dead_letter_went AFTER DELETE ON dead_letter BEGIN SELECT 1; END")
        with pytest.raises(sqlite3.OperationalError):
            prepare(other)
        assert other.execute("PRAGMA user_version").fetchone() == (2,)
        assert other.execute("SELECT count(*) FROM sqlite_master WHERE name = 'history'").fetchone() == (0,)
        other.execute("DROP TRIGGER dead_letter_went")
        prepare(other)
        assert other.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert other.execute("SELECT * FROM dead_letter_total").fetchone() == (2, 5, 6)
