"""What the configured size of the spool means for its parts."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from config.settings import Spool, WhenFull
from gateway.spool.schema import PAGE_SIZE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`of` the settings."""

    max_size_bytes: int
    when_full: WhenFull

    @classmethod
    def of(cls, settings: Spool) -> Size:
        """The bounds that the settings ask for."""
        return cls(max_size_bytes=settings.max_size_bytes, when_full=settings.when_full)

    @property
    def wal_pages(self) -> int:
        """Beyond this size a commit is followed by a checkpoint of the write-ahead log."""
        return min(1024, max(64, self.max_size_bytes // 8 // PAGE_SIZE_BYTES))

    @property
    def wal_bytes(self) -> int:
        """What the log takes at most, the commit that goes beyond `wal_pages` included."""
        return self.wal_pages * 3 // 2 * PAGE_SIZE_BYTES

    @property
    def max_pages(self) -> int:
        """What the database may take."""
        return self.max_size_bytes // PAGE_SIZE_BYTES - 2 * self.wal_pages

    @property
    def reserve_bytes(self) -> int:
        """On a full disk the reserve makes room for all of the log to go into the database, and for a new log."""
        return 2 * self.wal_pages * PAGE_SIZE_BYTES

    def bound_log(self, connection: sqlite3.Connection) -> None:
        """Have the writer's connection keep the write-ahead log within it."""
        connection.execute(f"PRAGMA wal_autocheckpoint = {self.wal_pages}").fetchone()
        connection.execute(f"PRAGMA journal_size_limit = {2 * self.wal_pages * PAGE_SIZE_BYTES}").fetchone()
