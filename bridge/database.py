"""SQLite through aiosqlite, with a whole transaction in one hop to the connection's thread.

aiosqlite sends every statement to its thread on its own: a transaction of thousands of rows would cross the event
loop thousands of times. `Database.run` sends one function, which does it all there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite

T = TypeVar("T")

BUSY_TIMEOUT_S: Final = 10.0
"""How long a statement waits for another process (a person's `sqlite3`, a backup) that holds the lock."""


class Database(aiosqlite.Connection):
    """A connection on a thread of its own, in autocommit mode: transactions are begun and ended in SQL."""

    async def run(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Call `fn` with the connection, on the connection's thread; what it returns or raises comes back.

        Calls run one at a time, in the order made. Cancelling the caller does not stop a call that has begun.
        """
        result: T = await self._execute(lambda: fn(self._conn))  # type: ignore[no-untyped-call]
        return result

    async def close(self) -> None:
        """Close the connection and see its thread end: it has nothing to do any more, so that takes microseconds."""
        await super().close()
        self._thread.join()

    async def transaction(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """`run` between BEGIN IMMEDIATE and COMMIT; whatever `fn` or the COMMIT raises, nothing of it is stored."""
        return await self.run(lambda connection: in_transaction(connection, fn))


def in_transaction(connection: sqlite3.Connection, fn: Callable[[sqlite3.Connection], T]) -> T:
    """`fn` between BEGIN IMMEDIATE and COMMIT, on the thread of `connection`; rolled back when anything raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = fn(connection)
        connection.execute("COMMIT")
    except BaseException:  # raised again at once: only the rollback must not be left out
        if connection.in_transaction:  # SQLite has already rolled back after some errors (disk full, I/O)
            connection.execute("ROLLBACK")
        raise
    return result


async def open_database(path: Path, *, synchronous: str) -> Database:
    """Open or create the database in WAL mode. `synchronous` is SQLite's word: FULL, NORMAL, EXTRA or OFF.

    Raises sqlite3.Error as SQLite does; no connection and no thread are left behind then.
    """
    if synchronous not in {"OFF", "NORMAL", "FULL", "EXTRA"}:
        raise ValueError(f"{synchronous!r} is no synchronous mode of SQLite; use FULL, NORMAL, EXTRA or OFF.")

    failures: list[sqlite3.Error] = []

    def connect() -> sqlite3.Connection:
        # aiosqlite does not wait for its thread when connecting raises, and that thread then speaks to a loop that may
        # be closed. So it is given a connection in any case, and closed as one closes it.
        try:
            return _connect(path, synchronous)
        except sqlite3.Error as error:
            failures.append(error)
            return sqlite3.connect(":memory:")

    database = Database(connect, iter_chunk_size=64)
    # A program that ends by an error without closing it must end: supervised, it is started again; hanging, it is not.
    database._thread.daemon = True
    await database
    if failures:
        await database.close()
        raise failures[0]
    return database


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException:  # raised again at once: only the close must not be left out
        connection.close()
        raise
    return connection
