"""A table `record` in a SQLite database, with the ledger of what is in it moved in the same transaction.

So the database alone tells, at any moment and after any crash, which records it has: exactly once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final

import orjson

from bridge.crashpoints import reach
from bridge.database import Database, open_database
from bridge.errors import SinkRefused, SinkUnavailable
from bridge.json_lines import properties_object
from bridge.receiver.batch import Batch, Portion, Refusal
from bridge.receiver.ledger import Ledger
from bridge.receiver.ledger_table import SCHEMA as LEDGER_SCHEMA
from bridge.receiver.ledger_table import read_ledger, write_ledger
from bridge.record import FLAG_QOS_SHIFT, FLAG_RETAIN, FLAGS_MASK

_OWNER: Final = "sqlite"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS record (
    gateway TEXT NOT NULL,
    stream TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    received_at_us INTEGER NOT NULL,
    client TEXT NOT NULL,
    topic TEXT NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    payload BLOB NOT NULL,
    properties TEXT,
    PRIMARY KEY (gateway, stream, epoch, seq)
) WITHOUT ROWID
"""
_RUN: Final = 100
"""Rows in one statement; with its 803 parameters it stays below the limit of 999 that old SQLite has."""
_COLUMNS: Final = 8
"""Of a row, without the three of its lane."""
_QOS: Final = bytes(flags >> FLAG_QOS_SHIFT for flags in range(FLAGS_MASK + 1)).ljust(256, b"\0")
_RETAIN: Final = bytes(flags & FLAG_RETAIN for flags in range(256))
_CACHE_KIB: Final = 32 * 1024
_CHECKPOINT_PAGES: Final = 8192


class Sqlite:
    """The sink."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._database: Database | None = None
        self._inode = 0

    @property
    def name(self) -> str:
        """As the protocol says."""
        return f"sqlite:{self._path}"

    async def open(self) -> Ledger:
        """Open or create the database."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = await open_database(self._path, synchronous="FULL")
            ledger = await self._database.run(_prepare)
            self._inode = self._path.stat().st_ino
            return ledger
        except (sqlite3.OperationalError, FileNotFoundError) as error:
            raise SinkUnavailable(f"The database {self._path} cannot be opened for now: {error}.") from error
        except (sqlite3.Error, ValueError, OSError) as error:
            raise SinkRefused(
                f"The database {self._path} cannot be used: {error}. Move it away, or choose another path (sinks)."
            ) from error

    async def write(self, batch: Batch) -> Sequence[Refusal]:
        """Insert the batch and move the ledger in one transaction, synced to disk at its commit."""
        if self._database is None or self._was_replaced():
            raise SinkUnavailable(f"The database {self._path} was moved or removed; a new one is begun.")

        def insert(connection: sqlite3.Connection) -> None:
            for portion in batch.portions:
                _insert(connection, portion)
            write_ledger(connection, _OWNER, batch.ledger_rows)
            reach("receiver.before_sink_commit")

        try:
            await self._database.transaction(insert)
        except sqlite3.Error as error:
            raise SinkUnavailable(f"The database {self._path} took nothing: {error}.") from error
        reach("receiver.after_sink_commit")
        return ()

    async def close(self) -> None:
        """Close the database."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    def _was_replaced(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode
        except OSError:
            return True


def _prepare(connection: sqlite3.Connection) -> Ledger:
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(_SCHEMA)
    connection.execute(LEDGER_SCHEMA)
    return read_ledger(connection, _OWNER)


@cache
def _statement(rows: int) -> str:
    own = [[f"?{4 + row * _COLUMNS + column}" for column in range(_COLUMNS)] for row in range(rows)]
    values = ", ".join(f"(?1, ?2, ?3, {', '.join(row)})" for row in own)
    # Not OR IGNORE: that would drop, without a word, what an index of the owner's own making refuses.
    known = "ON CONFLICT (gateway, stream, epoch, seq) DO NOTHING"
    return f"INSERT INTO record VALUES {values} {known}"  # noqa: S608 - made of parameters only


def _insert(connection: sqlite3.Connection, portion: Portion) -> None:
    """Insert the portion's rows, _RUN in a statement.

    Python lets go of its lock around each step of a statement. With a row a statement that is so often that the event
    loop and another sink's thread take turns with this one at every row; with a hundred SQLite works beside them, and
    alone it is half again as fast. Guarded by tests/bench (receiver into sqlite).
    """
    block = portion.block
    base_us = block.received_at_us
    sets = [None, *(orjson.dumps(properties_object(item)).decode() for item in block.property_sets)]
    index = block.property_index
    rows: Iterable[tuple[Any, ...]] = zip(
        range(block.first_seq, block.next_seq),
        [base_us + delta_us for delta_us in block.delta_us],
        map(block.clients.__getitem__, block.client_index),
        map(block.topics.__getitem__, block.topic_index),
        block.flags.translate(_QOS),
        block.flags.translate(_RETAIN),
        block.payloads,
        repeat(None) if index is None else map(sets.__getitem__, index),
        strict=False,  # `repeat` has no end; every other column has one entry a record
    )
    values = list(chain.from_iterable(rows))
    step = _RUN * _COLUMNS
    for at in range(0, len(values), step):
        part = values[at : at + step]
        connection.execute(_statement(len(part) // _COLUMNS), [*portion.lane, *part])
