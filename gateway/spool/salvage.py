"""Saving what can be read of a database that is damaged, or came out of a backup, into a new one.

The new database begins new epochs, so that no number is ever given to two records, and each stream's numbers begin at 1
again: every number is moved down by the same amount. Holes stay holes: a gap that was known keeps its reason, what
could not be read becomes a gap `corrupt`, and every uplink keeps its place. Records that were in flight at that moment
may reach the receiver twice. What was lost behind the last readable block leaves no trace.

Of what belongs to the broker (sessions, messages that wait for them, retained messages) everything is kept that can be
read and is what was written; the broker does without the rest.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bridge.ports import Gap
from gateway.spool import tables
from gateway.spool.gaps import EVERYONE
from gateway.spool.ports import Table
from gateway.spool.removals import Key
from gateway.spool.rows import (
    BLOCK_COLUMNS,
    INSERT_BLOCK,
    add_to_counter,
    block_of,
    block_row,
    is_body_sound,
    is_row_sound,
)
from gateway.spool.schema import key_of

_CARRIED_OVER: Final = (
    ("dead_letter ORDER BY id", "INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    ("session ORDER BY client_id", "INSERT OR IGNORE INTO session VALUES (?, ?)"),
    ("counter ORDER BY stream", "INSERT OR IGNORE INTO counter VALUES (?, ?, ?)"),
)
_LAST_BLOCK: Final = "SELECT key FROM block ORDER BY key DESC LIMIT 1"
_NEXT_BLOCK: Final = f"SELECT {BLOCK_COLUMNS} FROM block WHERE key > ? ORDER BY key LIMIT 1"  # noqa: S608 - a constant
_ROWS_AT_ONCE: Final = 512
_BLOCKS_BETWEEN: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What was saved out of a damaged database."""

    set_aside: Path
    records: int
    blocks: int
    blocks_unreadable: int
    rows: int = 0
    """Of the broker's tables."""
    rows_unreadable: int = 0

    def __str__(self) -> str:
        return (
            f"The spool's database was damaged. {self.records} records in {self.blocks} blocks were saved into a new "
            f"one; {self.blocks_unreadable} blocks could not be read, and there may have been others. "
            f"Of the rows of messages that wait for local subscribers or are retained, {self.rows} were saved; "
            f"{self.rows_unreadable} could not be read. "
            f"The damaged files are kept in {self.set_aside}; delete the folder when you no longer need it."
        )


def new_epoch() -> str:
    """An identity for a new life of a stream's numbering."""
    return secrets.token_hex(8)


@dataclass(slots=True)
class _Stream:
    """One stream while it is saved; numbers are the old ones."""

    id: int
    base: int
    """What is taken off every number."""
    next_seq: int
    stored_end: int = 0
    lost: list[Gap] = field(default_factory=list)


def save(
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    aside: Path,
    *,
    on_records: Callable[[int], None] = lambda _records: None,
) -> Salvage:
    """Copy what can be read. Errors of `old` are what this is for; one of `new` is raised.

    `on_records` is told from time to time how many records have been copied.
    """
    names = {row[0]: row[1] for row in _rows(old, "SELECT id, name FROM stream") if _is_name(row)}
    marks = [row for row in _rows(old, "SELECT uplink, stream, seq FROM watermark") if isinstance(row[2], int)]
    gaps = list(_rows(old, "SELECT stream, uplink, first_seq, count, reason FROM gap"))
    streams: dict[int, _Stream] = {}
    records = blocks = unreadable = 0
    new.execute("BEGIN IMMEDIATE")
    for row in _walk(old, _LAST_BLOCK, _NEXT_BLOCK):
        if row is None or not (is_row_sound(row) and is_body_sound(row)):
            unreadable += 1
            continue
        number, block = row[0] >> 48, block_of(row)
        stream = streams.get(number)
        if stream is None:
            place = min([block.first_seq, *(seq for _, of, seq in marks if of == number)])
            stream = streams[number] = _Stream(number, base=place - 1, next_seq=place)
        if block.first_seq < stream.next_seq:
            unreadable += 1
            continue
        if block.first_seq > stream.next_seq:
            stream.lost += _holes(stream, block.first_seq, gaps)
        stream.stored_end += len(block.body)
        moved = replace(block, first_seq=block.first_seq - stream.base)
        new.execute(INSERT_BLOCK, block_row(number, moved, stored_end=stream.stored_end, crc=row[7]))
        stream.next_seq = block.next_seq
        records += block.count
        blocks += 1
        if blocks % _BLOCKS_BETWEEN == 0:
            on_records(records)
    taken = set(names.values())
    for number in sorted(set(names) | set(streams)):
        stream = streams.get(number) or _Stream(number, base=0, next_seq=1)
        name = names.get(number) or next(
            name for n in range(10_000) if (name := f"recovered-{number + n}") not in taken
        )
        taken.add(name)
        new.execute(
            "INSERT INTO stream VALUES (?, ?, ?, ?, ?)",
            (number, name, new_epoch(), stream.next_seq - stream.base, stream.stored_end),
        )
        _save_gaps(new, stream, gaps)
        for uplink, of, seq in marks:
            if of == number:
                place = max(1, min(seq, stream.next_seq) - stream.base)
                new.execute("INSERT INTO watermark VALUES (?, ?, ?)", (uplink, of, place))
    for source, insert in _CARRIED_OVER:
        new.executemany(insert, _from_both_ends(old, f"SELECT * FROM {source}"))  # noqa: S608 - a constant
    for number, stream in streams.items():
        lost = sum(gap.count for gap in stream.lost)
        if lost:
            (name,) = new.execute("SELECT name FROM stream WHERE id = ?", (number,)).fetchone()
            add_to_counter(new, name, "dropped_corrupt", lost)
    rows, rows_unreadable = _save_tables(old, new)
    new.execute("COMMIT")
    return Salvage(
        set_aside=aside,
        records=records,
        blocks=blocks,
        blocks_unreadable=unreadable,
        rows=rows,
        rows_unreadable=rows_unreadable,
    )


def _save_tables(old: sqlite3.Connection, new: sqlite3.Connection) -> tuple[int, int]:
    """Copy the broker's tables; returns how many rows were saved, and how many could not be read."""
    saved = unreadable = 0
    for table in Table:
        if not _has(old, table):
            continue
        batch: dict[Key, bytes] = {}
        last = f"SELECT rowid FROM {table.value} ORDER BY rowid DESC LIMIT 1"  # noqa: S608 - a constant
        following = (
            f"SELECT rowid, {tables.COLUMNS[table]} FROM {table.value}"  # noqa: S608 - constants
            " WHERE rowid > ? ORDER BY rowid LIMIT 1"
        )
        for row in _walk(old, last, following):
            pair = row and tables.sound(table, row[1:])
            if not pair:
                unreadable += 1
                continue
            batch[pair[0]] = pair[1]
            saved += 1
            if len(batch) == _ROWS_AT_ONCE:
                tables.keep(new, table, batch)
                batch = {}
        tables.keep(new, table, batch)
    return saved, unreadable


def _has(connection: sqlite3.Connection, table: Table) -> bool:
    """Whether there is such a table: older versions had none."""
    try:
        connection.execute(f"SELECT 1 FROM {table.value} LIMIT 0")  # noqa: S608 - a constant
    except sqlite3.Error:
        return False
    return True


def _is_name(row: tuple[Any, ...]) -> bool:
    return isinstance(row[0], int) and isinstance(row[1], str)


def _holes(stream: _Stream, stop: int, gaps: list[Any]) -> list[Gap]:
    """What lies between the last saved block and `stop` and is in no known gap of everyone's."""
    known = sorted(
        (first, first + count) for of, uplink, first, count, _ in gaps if of == stream.id and uplink == EVERYONE
    )
    holes = []
    seq = stream.next_seq
    for first, end in [*known, (stop, stop)]:
        if seq < min(first, stop):
            holes.append(Gap(first_seq=seq, count=min(first, stop) - seq, reason="corrupt"))
        seq = max(seq, end)
    return holes


def _save_gaps(new: sqlite3.Connection, stream: _Stream, gaps: list[Any]) -> None:
    rows = [(uplink, first, count, reason) for of, uplink, first, count, reason in gaps if of == stream.id]
    rows += [(EVERYONE, gap.first_seq, gap.count, gap.reason) for gap in stream.lost]
    for uplink, first, count, reason in rows:
        begin, end = max(first, stream.base + 1), min(first + count, stream.next_seq)
        if begin < end:
            new.execute(
                "INSERT OR IGNORE INTO gap VALUES (?, ?, ?, ?, ?)",
                (stream.id, uplink, begin - stream.base, end - begin, reason),
            )


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[Any]:
    """The rows of a query, up to the point where the database can't be read."""
    with contextlib.suppress(sqlite3.Error):
        cursor = connection.execute(query)
        while (row := cursor.fetchone()) is not None:
            yield row


def _from_both_ends(connection: sqlite3.Connection, query: str) -> Iterator[Any]:
    """The rows of an ordered query, and where that can't be read to its end, also those from the other end to there."""
    for direction in ("", " DESC"):
        try:
            cursor = connection.execute(query + direction)
            while (row := cursor.fetchone()) is not None:
                yield row
        except sqlite3.Error:
            continue
        return


def _walk(connection: sqlite3.Connection, last_query: str, next_query: str) -> Iterator[Any]:
    """Every row that can be reached, in the order of the keys (the first column); None where one could not be read.

    A damaged page ends a scan. Behind it we go on, from growing distances after the last key, until the last key that a
    scan from the end can reach.
    """
    try:
        last = connection.execute(last_query).fetchone()
    except sqlite3.Error:
        last = None
    end = last[0] if last and isinstance(last[0], int) else key_of(1 << 15, 0)
    key, step = -1, 1
    while key < end:
        try:
            row = connection.execute(next_query, (key,)).fetchone()
        except sqlite3.Error:
            if step == 1:
                yield None
            key, step = key + step, step * 2
            continue
        if row is None:
            return
        if row[0] <= key:  # a damaged page leads back: what lies there was already seen, or can't be trusted
            key, step = key + step, step * 2
            continue
        step = 1
        key = row[0]
        yield row
