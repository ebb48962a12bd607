"""A data folder as it lies there, looked at while no gateway runs on it, or beside one; nothing in it is changed.

The spool itself is opened by changing it: tables of an older version are brought up, a damaged database is saved from,
places of uplinks are written down. Here nothing of that is done, and where it would have to be, that is said.

How SQLite reads a database in WAL mode that it must not touch (sqlite.org/wal.html, "Read-Only Databases"):

    nothing in the log              `immutable`: the file alone, without locks and without files beside it. What that
                                    relies on (nobody writes) is looked at after every read.
    something in the log            `readonly_shm`: the log's index is made in memory; the file that holds it stays as
                                    the killed process left it.
    no index, or a gateway at work  `ro`: the index is a file that readers share; the database and its log stay as they
                                    are.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from gateway.spool.errors import SpoolBusy, SpoolCorrupt, SpoolError, SpoolUnusable, SpoolVersionError, translate
from gateway.spool.lane import Lane
from gateway.spool.letters import Letters
from gateway.spool.loading import STREAMS, stored_lane
from gateway.spool.queue import Queue
from gateway.spool.recovery import MARK, examine, refuse_stump
from gateway.spool.rows import DeadLetterTotal, dead_letter_total
from gateway.spool.schema import SCHEMA_VERSION, refuse_newer

T = TypeVar("T")

_BUSY_TIMEOUT_S: Final = 10.0


class StoredSpool:
    """What is stored, with the names that `Spool` has for it. Belongs to the thread that opened it."""

    def __init__(self, data_dir: Path, *, is_running: bool = False) -> None:
        """`is_running`: a gateway has the folder. Raises SpoolError with a sentence."""
        database = data_dir / "spool.db"
        if (data_dir / MARK).exists():
            raise SpoolCorrupt(
                f"The spool in {data_dir} was found damaged, and is saved from when the gateway is started next. "
                "Start it; then look again."
            )
        if not database.exists():
            raise SpoolUnusable(f"There is no spool in {data_dir}. Is this the data folder (gateway.data_dir)?")
        if not os.access(database, os.R_OK):
            raise SpoolUnusable(f"{database} can't be read by this user. Do this as the user who runs the gateway.")
        self._connection: sqlite3.Connection | None = None
        try:
            refuse_stump(database)
            address, frozen = _way_to_read(database, is_running=is_running)
            self._connection = sqlite3.connect(
                address, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False
            )
            self._read_all(_Still(self._connection, database, frozen))
        except (sqlite3.Error, SpoolError) as error:
            self.close()
            raise _said(error, database) from error

    def _read_all(self, reader: _Still) -> None:
        reader.do(_refuse_other_versions)
        reader.do(lambda connection: connection.execute("BEGIN"))
        lanes, total = reader.do(_load)
        reader.do(lambda connection: connection.execute("COMMIT"))
        self.lanes = {lane.name: lane for lane in lanes}
        self.queue = Queue(reader=reader, lanes=self.lanes)
        self.dead_letters = Letters(reader=reader, total=lambda: total)

    def close(self) -> None:
        """Close it; idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Still:
    """Reads, and sees that what must not change meanwhile has not (`frozen`: what the file was; None: it may)."""

    def __init__(self, connection: sqlite3.Connection, database: Path, frozen: tuple[int, ...] | None) -> None:
        self._connection = connection
        self._database = database
        self._frozen = frozen

    async def run(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        return self.do(fn)

    def do(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return fn(self._connection)
        finally:
            if self._frozen is not None and _look_of(self._database) != self._frozen:
                raise SpoolBusy(
                    f"Somebody began to write into {self._database.parent} meanwhile: has the gateway been started? "
                    "What was read may be wrong. Run the command again."
                )


def _way_to_read(database: Path, *, is_running: bool) -> tuple[str, tuple[int, ...] | None]:
    """The address that SQLite is given, and what the files must go on looking like."""
    address = f"{database.absolute().as_uri()}?mode=ro"
    frozen = _look_of(database)
    if is_running:
        return address, None
    if not frozen[0]:
        return f"{address}&immutable=1", frozen
    if database.with_name(f"{database.name}-shm").exists():
        return f"{address}&readonly_shm=1", None
    return address, None


def _look_of(database: Path) -> tuple[int, ...]:
    """The size of the log, and what tells of a write to the database."""
    log_bytes = 0
    with contextlib.suppress(FileNotFoundError):
        log_bytes = database.with_name(f"{database.name}-wal").stat().st_size
    with contextlib.suppress(FileNotFoundError):
        file = database.stat()
        return log_bytes, file.st_ino, file.st_size, file.st_mtime_ns
    return log_bytes, 0


def _refuse_other_versions(connection: sqlite3.Connection) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    refuse_newer(version)
    if version < SCHEMA_VERSION:
        raise SpoolVersionError(
            f"The spool was written by an older Fieldgate (schema {version}, this one reads {SCHEMA_VERSION}). "
            "Start the gateway once: it brings the spool up to date."
            if version
            else "The spool is empty: no gateway has written anything into it yet."
        )


def _load(connection: sqlite3.Connection) -> tuple[list[Lane], DeadLetterTotal]:
    examine(connection)
    lanes = [stored_lane(connection, row) for row in connection.execute(STREAMS).fetchall()]
    return lanes, dead_letter_total(connection)


def _said(error: sqlite3.Error | SpoolError, database: Path) -> SpoolError:
    """What to do about it, as this place knows it."""
    found = translate(error) if isinstance(error, sqlite3.Error) else error
    if isinstance(found, SpoolCorrupt):
        return SpoolCorrupt(
            f"{found} It is {database}, and nothing in it was changed. The gateway saves what can be read of it into a "
            "new one when it is started next; then look again."
        )
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}:
        return SpoolUnusable(
            f"{database} can't be read before its log was gone through, and for that there is no room, or no right "
            f"to write ({error}). Make room, or copy the folder to another disk and give that with --data-dir."
        )
    return found
