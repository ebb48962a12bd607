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
from bridge.receiver import aside_table
from bridge.receiver.aside_table import Aside, StoredAside
from bridge.receiver.errors import StateLocked, StateUnusable
from bridge.receiver.ledger import Ledger
from bridge.receiver.ledger_table import SCHEMA as LEDGER_SCHEMA
from bridge.receiver.ledger_table import read_ledger, write_ledger

__all__ = ["OWNER", "SET_ASIDE", "Aside", "FileMark", "State", "StoredAside"]

T = TypeVar("T")

OWNER: Final = "receiver"
"""The receiver's own rows in the ledger."""
SET_ASIDE: Final = "set_aside."
"""What the tally of each reason begins with."""

_VERSION: Final = 1
_SCHEMA: Final = (
    LEDGER_SCHEMA,
    """CREATE TABLE IF NOT EXISTS sink_file (
        sink TEXT PRIMARY KEY, inode INTEGER NOT NULL, length INTEGER NOT NULL, head BLOB NOT NULL
    ) WITHOUT ROWID""",
    aside_table.SCHEMA,
    "CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMark:
    """How much of a file is accounted for, and how to know the file again: its inode and its first bytes."""

    inode: int
    length: int
    head: bytes


class State:
    """The open state file; made by `State.open`."""

    def __init__(self, path: Path, database: Database, lock: int) -> None:
        self._path = path
        self._database = database
        self._lock = lock
        self.set_aside = 0
        """How many are kept aside."""

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
            state.set_aside = await state._run(aside_table.count)
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

        def save(connection: sqlite3.Connection) -> int:
            write_ledger(connection, sink, rows)
            added = aside_table.add(connection, asides) if asides else 0
            if asides:
                _count(connection, Counter(SET_ASIDE + aside.code for aside in asides))
            if mark is not None:
                connection.execute(
                    "INSERT INTO sink_file VALUES (?, ?, ?, ?) ON CONFLICT (sink) DO UPDATE "
                    "SET inode = excluded.inode, length = excluded.length, head = excluded.head",
                    (sink, mark.inode, mark.length, mark.head),
                )
            return added

        self.set_aside += await self._run(save, in_transaction=True)

    async def settle(
        self, rows: Sequence[tuple[str, str, str, bytes]], asides: Sequence[Aside], counted: Mapping[str, int]
    ) -> None:
        """Make the receiver's ledger rows, what was set aside and what was counted durable together.

        What is set aside is counted here, by SET_ASIDE and its code, besides `counted`.
        """

        def save(connection: sqlite3.Connection) -> int:
            write_ledger(connection, OWNER, rows)
            added = aside_table.add(connection, asides) if asides else 0
            _count(connection, Counter(counted) + Counter(SET_ASIDE + aside.code for aside in asides))
            return added

        self.set_aside += await self._run(save, in_transaction=True)

    async def asides(self, *, before: int | None = None, limit: int) -> list[StoredAside]:
        """What is set aside, the newest first; those below the id `before` where one is given."""
        return await self._run(lambda connection: aside_table.page(connection, before, limit))

    async def aside(self, number: int) -> StoredAside | None:
        """The one with this id."""
        return await self._run(lambda connection: aside_table.one(connection, number))

    async def aside_bytes(self, number: int, *, max_bytes: int | None = None) -> bytes | None:
        """What came, or its first bytes; None when there is no such one, or its bytes were not kept."""
        return await self._run(lambda connection: aside_table.content(connection, number, max_bytes))

    async def discard_asides(self, numbers: Sequence[int] | None) -> int:
        """Delete those with these ids, durably; None: all. Returns how many there were."""
        gone = await self._run(lambda connection: aside_table.discard(connection, numbers), in_transaction=True)
        self.set_aside -= gone
        return gone


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
