"""What was set aside, as rows: frames that could not be decoded and records that a sink refused, with their reason.

Bounded in rows and bytes: what comes later is kept without its bytes, and later still only counted, until somebody
discards. An id is never given twice, so that what a person looks at is what he discards.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_SET_ASIDE_BYTES: Final = 64 * 1024 * 1024
"""Of frames set aside, so many bytes are kept in all; later ones are kept without their bytes."""
MAX_SET_ASIDE_ROWS: Final = 10_000
"""So many are kept in all; later ones are only counted."""

SCHEMA: Final = """CREATE TABLE IF NOT EXISTS set_aside (
    id INTEGER PRIMARY KEY, received_at_us INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
    topic TEXT NOT NULL, size INTEGER NOT NULL, bytes BLOB
)"""
_LAST_ID: Final = "last_set_aside"
"""The name, in the tally, of the highest id that was discarded."""
_COLUMNS: Final = "id, received_at_us, code, reason, topic, size, bytes IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Something that is kept out of the way. `code` is an error's code, `reason` a sentence."""

    received_at_us: int
    code: str
    reason: str
    topic: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAside:
    """One that is on disk; `has_bytes`: there was room for what it holds."""

    id: int
    received_at_us: int
    code: str
    reason: str
    topic: str
    size_bytes: int
    has_bytes: bool


def count(connection: sqlite3.Connection) -> int:
    """How many there are."""
    (rows,) = connection.execute("SELECT count(*) FROM set_aside").fetchone()
    return int(rows)


def add(connection: sqlite3.Connection, asides: Sequence[Aside]) -> int:
    """Keep them as far as there is room. Returns how many rows that made."""
    rows, kept = connection.execute("SELECT count(*), coalesce(sum(length(bytes)), 0) FROM set_aside").fetchone()
    taken = asides[: max(0, MAX_SET_ASIDE_ROWS - rows)]
    number = _last_id(connection)
    for aside in taken:
        number += 1
        has_room = kept + len(aside.data) <= MAX_SET_ASIDE_BYTES
        kept += len(aside.data) if has_room else 0
        connection.execute(
            "INSERT INTO set_aside (id, received_at_us, code, reason, topic, size, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                aside.received_at_us,
                aside.code,
                aside.reason,
                aside.topic,
                len(aside.data),
                aside.data if has_room else None,
            ),
        )
    return len(taken)


def page(connection: sqlite3.Connection, before: int | None, limit: int) -> list[StoredAside]:
    """The newest first; those below the id `before` where one is given."""
    sql = f"SELECT {_COLUMNS} FROM set_aside WHERE id < ? ORDER BY id DESC LIMIT ?"  # noqa: S608 - our own words
    rows = connection.execute(sql, (2**62 if before is None else before, limit)).fetchall()
    return [_stored(row) for row in rows]


def one(connection: sqlite3.Connection, number: int) -> StoredAside | None:
    """The one with this id."""
    sql = f"SELECT {_COLUMNS} FROM set_aside WHERE id = ?"  # noqa: S608 - our own words
    row = connection.execute(sql, (number,)).fetchone()
    return None if row is None else _stored(row)


def content(connection: sqlite3.Connection, number: int, max_bytes: int | None) -> bytes | None:
    """What came, or its first bytes; None when there is no such one, or its bytes were not kept."""
    if max_bytes is None:
        row = connection.execute("SELECT bytes FROM set_aside WHERE id = ?", (number,)).fetchone()
    else:
        row = connection.execute(
            "SELECT substr(bytes, 1, ?) FROM set_aside WHERE id = ?", (max_bytes, number)
        ).fetchone()
    return None if row is None else row[0]


def discard(connection: sqlite3.Connection, numbers: Sequence[int] | None) -> int:
    """Delete those with these ids; None: all. Returns how many there were."""
    last = _last_id(connection)
    if numbers is None:
        gone = connection.execute("DELETE FROM set_aside").rowcount
    else:
        gone = sum(
            connection.execute("DELETE FROM set_aside WHERE id = ?", (number,)).rowcount for number in set(numbers)
        )
    connection.execute(
        "INSERT INTO tally VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        (_LAST_ID, last),
    )
    return gone


def _last_id(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute(
        "SELECT max(coalesce((SELECT max(id) FROM set_aside), 0), "
        "coalesce((SELECT value FROM tally WHERE name = ?), 0))",
        (_LAST_ID,),
    ).fetchone()
    return int(last)


def _stored(row: tuple[int, int, str, str, str, int, int]) -> StoredAside:
    number, received_at_us, code, reason, topic, size, has_bytes = row
    return StoredAside(
        id=number,
        received_at_us=received_at_us,
        code=code,
        reason=reason,
        topic=topic,
        size_bytes=size,
        has_bytes=bool(has_bytes),
    )
