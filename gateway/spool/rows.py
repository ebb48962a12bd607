"""The spool's rows: how a block's row is made and checked, and the few questions that everybody asks of the tables.

A block's row carries two checksums (CRC-32C). `crc` is over the body as stored. `row_crc` is over everything else in
the row, `crc` included: the key and the count say which numbers were given, so they are trusted only when it fits.
"""

from __future__ import annotations

import sqlite3
import struct
from dataclasses import dataclass
from typing import Any, Final

import google_crc32c

from bridge.ports import Gap, StoredBlock
from gateway.spool.gaps import EVERYONE
from gateway.spool.schema import key_of, seq_of

_ROW: Final = struct.Struct(">qqqqqqqq")
BLOCK_COLUMNS: Final = "key, count, received_at_us, raw_size, plain_size, compressed, stored_end, crc, row_crc, body"
INSERT_BLOCK: Final = "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def block_row(stream: int, block: StoredBlock, *, stored_end: int, crc: int) -> tuple[Any, ...]:
    """The row of a block."""
    head = (
        key_of(stream, block.first_seq),
        block.count,
        block.received_at_us,
        block.raw_size_bytes,
        block.plain_size_bytes,
        int(block.compressed),
        stored_end,
        crc,
    )
    return (*head, google_crc32c.value(_ROW.pack(*head)), block.body)


def is_row_sound(row: tuple[Any, ...]) -> bool:
    """Whether a row's numbers (the first nine of BLOCK_COLUMNS) are what was written."""
    try:
        return bool(google_crc32c.value(_ROW.pack(*row[:8])) == row[8])
    except struct.error:
        return False


def is_body_sound(row: tuple[Any, ...]) -> bool:
    """Whether the body of a row (all of BLOCK_COLUMNS) is what was written."""
    return isinstance(row[9], bytes) and google_crc32c.value(row[9]) == row[7]


def block_of(row: tuple[Any, ...]) -> StoredBlock:
    """The block in a row (all of BLOCK_COLUMNS)."""
    return StoredBlock(
        first_seq=seq_of(row[0]),
        count=row[1],
        received_at_us=row[2],
        raw_size_bytes=row[3],
        plain_size_bytes=row[4],
        compressed=bool(row[5]),
        body=row[9],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first block that a stream has."""

    first_seq: int
    received_at_us: int | None
    stored_start: int


def head_of(connection: sqlite3.Connection, stream: int) -> Head | None:
    """The first block of a stream; None when it has none."""
    row = connection.execute(
        "SELECT key, received_at_us, stored_end - length(body) FROM block"
        " WHERE key >= ? AND key < ? ORDER BY key LIMIT 1",
        (key_of(stream, 0), key_of(stream + 1, 0)),
    ).fetchone()
    return row and Head(first_seq=seq_of(row[0]), received_at_us=row[1], stored_start=row[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """The last block that a stream has."""

    next_seq: int
    stored_end: int
    is_sound: bool
    """Whether its numbers are what was written: on them depends which number comes next."""


def last_block(connection: sqlite3.Connection, stream: int) -> Last | None:
    """The last block of a stream; None when it has none."""
    row = connection.execute(
        "SELECT key, count, received_at_us, raw_size, plain_size, compressed, stored_end, crc, row_crc FROM block"
        " WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1",
        (key_of(stream, 0), key_of(stream + 1, 0)),
    ).fetchone()
    return row and Last(next_seq=seq_of(row[0]) + row[1], stored_end=row[6], is_sound=is_row_sound(row))


def next_block_seq(connection: sqlite3.Connection, stream: int, after_seq: int) -> int | None:
    """The first number of the first block that begins after `after_seq`; None when there is none."""
    row = connection.execute(
        "SELECT min(key) FROM block WHERE key > ? AND key < ?", (key_of(stream, after_seq), key_of(stream + 1, 0))
    ).fetchone()
    return None if row[0] is None else seq_of(row[0])


def delete_below(connection: sqlite3.Connection, stream: int, seq: int) -> None:
    """Delete the blocks that end at or below `seq`: all that begin below it but, perhaps, the last."""
    low, high = key_of(stream, 0), key_of(stream, seq)
    last = connection.execute(
        "SELECT key, count FROM block WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1", (low, high)
    ).fetchone()
    if last and last[0] + last[1] > high:
        high = last[0]
    connection.execute("DELETE FROM block WHERE key >= ? AND key < ?", (low, high))


def lost_from(connection: sqlite3.Connection, stream: int, seq: int) -> tuple[Gap | None, int | None]:
    """The gap of everyone's that holds `seq`, if there is one, and where what lies behind `seq` begins: the next block,
    or the next such gap, whose records were counted before; None where nothing does."""
    row = connection.execute(
        "SELECT first_seq, count, reason FROM gap"
        " WHERE stream = ? AND uplink = '' AND first_seq <= ? AND first_seq + count > ?",
        (stream, seq, seq),
    ).fetchone()
    (next_gap,) = connection.execute(
        "SELECT min(first_seq) FROM gap WHERE stream = ? AND uplink = '' AND first_seq > ?", (stream, seq)
    ).fetchone()
    found = [place for place in (next_gap, next_block_seq(connection, stream, seq)) if place is not None]
    return row and Gap(first_seq=row[0], count=row[1], reason=row[2]), min(found, default=None)


def note_gap(connection: sqlite3.Connection, stream: int, gap: Gap, uplink: str = EVERYONE) -> None:
    """Add a gap's row, or let the one before it grow."""
    grown = connection.execute(
        "UPDATE gap SET count = count + ? WHERE stream = ? AND uplink = ? AND reason = ? AND first_seq + count = ?",
        (gap.count, stream, uplink, gap.reason, gap.first_seq),
    ).rowcount
    if not grown:
        connection.execute(
            # One that begins there already is no reason to end the gateway: the longer of the two holds.
            "INSERT INTO gap VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
            (stream, uplink, gap.first_seq, gap.count, gap.reason),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterTotal:
    """How many dead letters there are."""

    letters: int = 0
    records: int = 0
    size_bytes: int = 0


def dead_letter_total(connection: sqlite3.Connection) -> DeadLetterTotal:
    """The row that the triggers of the table keep."""
    row = connection.execute("SELECT letters, records, size FROM dead_letter_total").fetchone() or (0, 0, 0)
    return DeadLetterTotal(letters=row[0], records=row[1], size_bytes=row[2])


def add_to_counter(connection: sqlite3.Connection, stream: str, name: str, value: int) -> None:
    """Let a total of the stream grow."""
    connection.execute(
        "INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
        (stream, name, value),
    )
