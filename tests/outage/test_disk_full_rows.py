"""The broker's rows on a disk that is really full: new ones are refused, and those that may go do go."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from gateway.spool.ports import Outcome, Table
from tests.outage.test_disk_full import disk, fill
from tests.support.spool import Commits, running, settings

__all__ = ["disk"]
ROWS = 5000


def rows_on(disk: Path) -> int:
    with contextlib.closing(sqlite3.connect(disk / "spool.db")) as other:
        count: int = other.execute("SELECT count(*) FROM delivery").fetchone()[0]
        return count


async def test_on_a_full_disk_new_rows_are_refused_and_removals_make_room(disk: Path) -> None:
    async with running(settings(disk, max_size_bytes=16 * 1024 * 1024)) as spool:
        keys = [(n * 7919 % 104_729) << 32 for n in range(ROWS)]
        for key in keys:
            spool.keep(Table.DELIVERY, key, os.urandom(300))
        assert await Commits().expect(spool) is Outcome.DURABLE
        filler = fill(disk)
        refused = 0
        for number in range(200):
            spool.keep(Table.MESSAGE, number, os.urandom(100_000))
            refused += await Commits().expect(spool) is Outcome.FULL
        assert refused
        for key in keys:
            spool.discard(Table.DELIVERY, key)
        for _ in range(100):
            await Commits().expect(spool)
            if not rows_on(disk):
                break
        assert not rows_on(disk)
        spool.keep(Table.MESSAGE, 1000, os.urandom(100_000))
        assert await Commits().expect(spool) is Outcome.DURABLE
        filler.unlink()
    async with running(settings(disk, max_size_bytes=16 * 1024 * 1024)) as spool:
        kept = dict(spool.load(Table.MESSAGE))
        assert len(kept) == 200 - refused + 1
        assert 1000 in kept
