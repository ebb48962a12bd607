"""What the receiver remembers between two lives, in one SQLite file.

    ledger       what has arrived: one for the receiver, one for each sink that has no database of its own
    sink_file    how much of a file a sink has accounted for
    set_aside    frames that could not be decoded and records that a sink refused, with their reason
    tally        what was counted over all lives

One process a state file: `<state>.lock` is locked as long as it is open.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from bridge.database import Database, open_database
from bridge.receiver.errors import StateLocked, StateUnusable
from bridge.receiver.ledger import Ledger
from bridge.receiver.ledger_table import SCHEMA as LEDGER_SCHEMA
from bridge.receiver.ledger_table import read_ledger, write_ledger

T = TypeVar("T")

OWNER: Final = "receiver"
"""The receiver's own rows in the ledger."""
SET_ASIDE: Final = "set_aside."
"""What the tally of each reason begins with."""

MAX_SET_ASIDE_BYTES: Final = 64 * 1024 * 1024
"""Of frames set aside, so many bytes are kept in all; later ones are kept without their bytes."""
MAX_SET_ASIDE_ROWS: Final = 10_000
"""So many are kept in all; later ones are only counted."""

_VERSION: Final = 1
_SCHEMA: Final = (
    LEDGER_SCHEMA,
    """CREATE TABLE IF NOT EXISTS sink_file (
        sink TEXT PRIMARY KEY, inode INTEGER NOT NULL, length INTEGER NOT NULL, head BLOB NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS set_aside (
        id INTEGER PRIMARY KEY, received_at_us INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
        topic TEXT NOT NULL, size INTEGER NOT NULL, bytes BLOB
    )""",
    "CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMark:
    """How much of a file is accounted for, and how to know the file again: its inode and its first bytes."""

    inode: int
    length: int
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Something that is kept out of the way. `code` is an error's code, `reason` a sentence."""

    received_at_us: int
    code: str
    reason: str
    topic: str
    data: bytes


class State:
    """The open state file; made by `State.open`."""

    def __init__(self, path: Path, database: Database, lock: int) -> None:
        self._path = path
        self._database = database
        self._lock = lock

    @classmethod
    async def open(cls, path: Path) -> State:
        """Lock, open or create. Raises StateLocked or StateUnusable."""
        lock = _locked(path)
        try:
            database = await open_database(path, synchronous="FULL")
        except sqlite3.Error as error:
            os.close(lock)
            raise StateUnusable(
                f"The receiver's state file {path} cannot be opened: {error}. Choose another path (receiver.state), or "
                "move it away; a new one is begun then, which knows nothing of what came before."
            ) from error
        state = cls(path, database, lock)
        try:
            await state._run(_create, in_transaction=True)
        except BaseException:  # raised again at once: only the close must not be left out
            await state.close()
            raise
        return state

    async def close(self) -> None:
        """Close the file and let go of the lock; idempotent."""
        await self._database.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _run(self, fn: Callable[[sqlite3.Connection], T], *, in_transaction: bool = False) -> T:
        try:
            return await (self._database.transaction(fn) if in_transaction else self._database.run(fn))
        except (sqlite3.Error, ValueError) as error:
            raise StateUnusable(f"The receiver's state file {self._path} cannot be used: {error}") from error

    async def check(self) -> None:
        """Read something. Raises StateUnusable."""
        await self._run(lambda connection: connection.execute("SELECT 1 FROM tally LIMIT 1").fetchall())

    async def ledger(self, owner: str) -> Ledger:
        """The owner's ledger as it is on disk."""
        return await self._run(lambda connection: read_ledger(connection, owner))

    async def tallies(self) -> dict[str, int]:
        """What was counted over all lives, by name."""
        return await self._run(lambda connection: dict(connection.execute("SELECT name, value FROM tally").fetchall()))

    async def file_mark(self, sink: str) -> FileMark | None:
        """What is known of the sink's file."""

        def read(connection: sqlite3.Connection) -> FileMark | None:
            row = connection.execute("SELECT inode, length, head FROM sink_file WHERE sink = ?", (sink,)).fetchone()
            return None if row is None else FileMark(inode=row[0], length=row[1], head=row[2])

        return await self._run(read)

    async def save_progress(
        self,
        sink: str,
        rows: Sequence[tuple[str, str, str, bytes]],
        mark: FileMark | None = None,
        asides: Sequence[Aside] = (),
    ) -> None:
        """Make a sink's ledger rows, how far its file is accounted for, and what it refused durable together."""

        def save(connection: sqlite3.Connection) -> None:
            write_ledger(connection, sink, rows)
            if asides:
                _set_aside(connection, asides)
                _count(connection, Counter(SET_ASIDE + aside.code for aside in asides))
            if mark is not None:
                connection.execute(
                    "INSERT INTO sink_file VALUES (?, ?, ?, ?) ON CONFLICT (sink) DO UPDATE "
                    "SET inode = excluded.inode, length = excluded.length, head = excluded.head",
                    (sink, mark.inode, mark.length, mark.head),
                )

        await self._run(save, in_transaction=True)

    async def settle(
        self, rows: Sequence[tuple[str, str, str, bytes]], asides: Sequence[Aside], counted: Mapping[str, int]
    ) -> None:
        """Make the receiver's ledger rows, what was set aside and what was counted durable together.

        What is set aside is counted here, by SET_ASIDE and its code, besides `counted`.
        """

        def save(connection: sqlite3.Connection) -> None:
            write_ledger(connection, OWNER, rows)
            if asides:
                _set_aside(connection, asides)
            _count(connection, Counter(counted) + Counter(SET_ASIDE + aside.code for aside in asides))

        await self._run(save, in_transaction=True)


def _set_aside(connection: sqlite3.Connection, asides: Sequence[Aside]) -> None:
    rows, kept = connection.execute("SELECT count(*), coalesce(sum(length(bytes)), 0) FROM set_aside").fetchone()
    for aside in asides[: max(0, MAX_SET_ASIDE_ROWS - rows)]:
        has_room = kept + len(aside.data) <= MAX_SET_ASIDE_BYTES
        kept += len(aside.data) if has_room else 0
        connection.execute(
            "INSERT INTO set_aside (received_at_us, code, reason, topic, size, bytes) VALUES (?, ?, ?, ?, ?, ?)",
            (
                aside.received_at_us,
                aside.code,
                aside.reason,
                aside.topic,
                len(aside.data),
                aside.data if has_room else None,
            ),
        )


def _count(connection: sqlite3.Connection, counted: Mapping[str, int]) -> None:
    connection.executemany(
        "INSERT INTO tally VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        list(counted.items()),
    )


def _create(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _VERSION}:
        raise ValueError(f"it is of version {version} and this receiver reads version {_VERSION}.")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _locked(path: Path) -> int:
    lock_path = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateUnusable(
            f"The receiver's state file {path} cannot be opened: {error.strerror} ({error.filename})."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StateLocked(
            f"Another receiver is running with the state file {path}. Stop it, or give this one a state file of its "
            "own (receiver.state)."
        ) from error
    return lock
