"""Tables of a key and a body, which outlive a restart: the broker's own, and those of the operator's pages.

Each row carries a CRC-32C over its key and its body; one that does not agree is left out when the tables are loaded.

Many rows go to a statement. Between two statements the database's thread has to get the interpreter's lock back from
the event loop, which under load keeps it for milliseconds: a thousand rows written and removed by `executemany`, which
is a statement a row, were measured at 1.5 s beside a busy loop, and at 45 ms like this.
"""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import google_crc32c

from gateway.spool.ports import Table
from gateway.spool.removals import Key, Removals

log = logging.getLogger(__name__)

_NUMBER: Final = struct.Struct(">q")
_MOST: Final = 320
_AT_ONCE: Final = (_MOST, 64, 8, 1)
"""Rows in a statement: few different ones, which are compiled once; three values a row, and SQLite binds 999."""
_KEEP: Final = {
    (table, n): (
        f"INSERT INTO {table.value} VALUES {', '.join(['(?, ?, ?)'] * n)}"  # noqa: S608 - a constant
        # An update leaves a retained message where it is, and the index of the topics untouched.
        " ON CONFLICT (key) DO UPDATE SET crc = excluded.crc, body = excluded.body"
    )
    for table in Table
    for n in _AT_ONCE
}
_DISCARD: Final = {
    (table, n): f"DELETE FROM {table.value} WHERE key IN ({', '.join('?' * n)})"  # noqa: S608 - a constant
    for table in Table
    for n in _AT_ONCE
}
_DISCARD_RANGE: Final = {
    table: f"DELETE FROM {table.value} WHERE key BETWEEN ? AND ?"  # noqa: S608 - a constant
    for table in Table
}
# A damaged text that is no valid UTF-8 any more would end the query, wherever it is: nothing is read as text.
_VALUES: Final = "CAST(crc AS INTEGER), CAST(body AS BLOB)"
COLUMNS: Final = {
    table: f"CAST(key AS BLOB), {_VALUES}" if table.has_text_key else f"key, {_VALUES}" for table in Table
}
"""What `sound` judges."""
# Topics come in the order of the table, not of the keys: to go through the index would read the table in no order.
_LOAD: Final = {table: f"SELECT {columns} FROM {table.value} ORDER BY rowid" for table, columns in COLUMNS.items()}  # noqa: S608 - constants


@dataclass(slots=True)
class Loaded:
    """What one table held when the spool was opened."""

    rows: list[tuple[Key, bytes]] = field(default_factory=list)
    """In the order of the keys."""
    damaged: int = 0
    """Rows that were left out."""


def keep(connection: sqlite3.Connection, table: Table, rows: Mapping[Key, bytes]) -> None:
    """Write rows, in the place of those with their keys."""
    extend, value, pack = google_crc32c.extend, google_crc32c.value, _NUMBER.pack
    flat: list[Any] = []
    if table.has_text_key:
        for key, body in rows.items():
            flat += (key, extend(value(str(key).encode()), body), body)
    else:
        for key, body in rows.items():
            flat += (key, extend(value(pack(key)), body), body)
    for start, n in _parts(len(rows)):
        connection.execute(_KEEP[table, n], flat[start * 3 : (start + n) * 3])


def discard(connection: sqlite3.Connection, removals: Removals) -> None:
    """Delete rows; those that are not there are none to it."""
    for table, first, last in removals.ranges:
        connection.execute(_DISCARD_RANGE[table], (first, last))
    for table, keys in removals.keys.items():
        listed: Sequence[Key] = list(keys)
        for start, n in _parts(len(listed)):
            connection.execute(_DISCARD[table, n], listed[start : start + n])


def load(connection: sqlite3.Connection) -> dict[Table, Loaded]:
    """All rows that are as they were written."""
    found = {table: _load(connection, table) for table in Table}
    for table, loaded in found.items():
        if loaded.damaged:
            log.error(
                "%d rows of the spool's table %s are not what was written and are left out; the %d others are in use.",
                loaded.damaged, table.value, len(loaded.rows),
            )  # fmt: skip
    return found


def sound(table: Table, row: Sequence[Any]) -> tuple[Key, bytes] | None:
    """Key and body in a row (COLUMNS of the table); None when it is not what was written."""
    key, crc, body = row
    if not isinstance(body, bytes):
        return None
    if table.has_text_key:
        if not isinstance(key, bytes) or google_crc32c.extend(google_crc32c.value(key), body) != crc:
            return None
        try:
            return key.decode(), body
        except UnicodeDecodeError:
            return None
    if not isinstance(key, int) or google_crc32c.extend(google_crc32c.value(_NUMBER.pack(key)), body) != crc:
        return None
    return key, body


def _load(connection: sqlite3.Connection, table: Table) -> Loaded:
    loaded = Loaded()
    rows = loaded.rows
    for row in connection.execute(_LOAD[table]).fetchall():
        pair = sound(table, row)
        if pair is None:
            loaded.damaged += 1
        else:
            rows.append(pair)
    if table.has_text_key:
        rows.sort()
    return loaded


def _parts(count: int) -> Iterator[tuple[int, int]]:
    """Where each statement's rows begin, and how many they are."""
    start = 0
    for n in _AT_ONCE:
        while count - start >= n:
            yield start, n
            start += n
