"""A whole transaction in one hop."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bridge.database import open_database
from tests.support.documents import ROOT


async def test_it_is_in_wal_mode_with_the_synchronous_mode_that_was_asked_for(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "x.db", synchronous="FULL")
    assert await database.run(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    assert await database.run(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await database.run(lambda _: threading.current_thread()) is not threading.current_thread()
    await database.close()


async def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "x.db", synchronous="OFF")
    await database.transaction(lambda c: c.execute("CREATE TABLE t (n)"))

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (1)")
        raise LookupError

    with pytest.raises(LookupError):
        await database.transaction(fail)
    await database.transaction(lambda c: c.execute("INSERT INTO t VALUES (2)"))
    assert await database.run(lambda c: c.execute("SELECT n FROM t").fetchall()) == [(2,)]
    await database.close()


@pytest.mark.parametrize(("name", "content"), [("junk.db", b"not a database " * 500), ("missing/x.db", None)])
async def test_what_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = threading.active_count()
    with pytest.raises(sqlite3.Error):
        await open_database(tmp_path / name, synchronous="FULL")
    assert threading.active_count() == before


async def test_a_mode_that_does_not_exist_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no synchronous mode"):
        await open_database(tmp_path / "x.db", synchronous="SOMETIMES")


def test_a_program_that_fails_with_its_database_open_ends(tmp_path: Path) -> None:
    script = """
import asyncio, pathlib, sys
from bridge.database import open_database

held = []

async def main():
    held.append(await open_database(pathlib.Path(sys.argv[1]), synchronous="FULL"))
    raise SystemExit("could not go on")

asyncio.run(main())
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "x.db")]
    ended = subprocess.run(command, timeout=30, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 1
    assert "could not go on" in ended.stderr
