"""Opening the spool's database, whatever state a power cut or a failing disk has left it in.

A sound database is opened in the time that a few index look-ups take, however much is in it. One that SQLite can't
read as a database (or that a running gateway marked as damaged) is moved into a folder `damaged-N`, untouched, and what
can be read of it is saved into a new one. The new one begins new epochs: blocks are numbered anew from 1, so that no
number is ever given to two records. Blocks that were in flight at that moment may reach the receiver twice.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import google_crc32c

from gateway.spool.errors import SpoolCorrupt, SpoolFull, translate
from gateway.spool.folder import DataFolder
from gateway.spool.schema import PAGE_SIZE_BYTES, key_of, prepare, seq_of

_MARK: Final = "spool.damaged"
_KIN: Final = ("", "-wal", "-shm")
_ENDS: Final = (
    "SELECT key, length(body) FROM block WHERE key >= ? AND key < ? ORDER BY key LIMIT 1",
    "SELECT key, length(body) FROM block WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1",
)
_SMALL_TABLES: Final = (
    "SELECT * FROM watermark",
    "SELECT * FROM gap",
    "SELECT * FROM session",
    "SELECT * FROM counter",
)
_CARRIED_OVER: Final = (
    ("SELECT * FROM dead_letter", "INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    ("SELECT * FROM session", "INSERT OR IGNORE INTO session VALUES (?, ?)"),
    ("SELECT * FROM counter", "INSERT OR IGNORE INTO counter VALUES (?, ?, ?)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What was saved out of a damaged database."""

    set_aside: Path
    records: int
    blocks: int
    blocks_unreadable: int

    def __str__(self) -> str:
        return (
            f"The spool's database was damaged. {self.records} records in {self.blocks} blocks were saved into a new "
            "one; "
            f"{self.blocks_unreadable} blocks could not be read, and there may have been others. "
            f"The damaged files are kept in {self.set_aside}; delete the folder when you no longer need it."
        )


def mark_damaged(folder: DataFolder) -> None:
    """Have the next opening set the database aside: it looked sound when opened, and was not."""
    (folder.path / _MARK).touch()


def new_epoch() -> str:
    """An identity for a new life of a stream's numbering."""
    return secrets.token_hex(8)


def recover(folder: DataFolder) -> Salvage | None:
    """See that the database can be opened; None when it was sound (or new), else what was saved.

    Blocking; call it before the event loop serves anybody.
    """
    mark = folder.path / _MARK
    if not mark.exists():
        try:
            try:
                _look_at(folder.database)
            except SpoolFull:
                folder.give_reserve()
                _look_at(folder.database)
        except SpoolCorrupt:
            mark.touch()
        else:
            return None
    salvage = _set_aside_and_save(folder)
    mark.unlink()
    return salvage


def _look_at(path: Path) -> None:
    """Read what every opening reads. Raises SpoolCorrupt."""
    if path.exists() and 0 < path.stat().st_size < 512:
        raise SpoolCorrupt("The spool's database is shorter than a database's header.")
    try:
        with contextlib.closing(connect(path)) as connection:
            prepare(connection)
            for (stream,) in connection.execute("SELECT id FROM stream").fetchall():
                for ends in _ENDS:
                    connection.execute(ends, (key_of(stream, 0), key_of(stream + 1, 0))).fetchone()
            for table in _SMALL_TABLES:
                connection.execute(table).fetchall()
    except sqlite3.Error as error:
        raise translate(error) from error


def connect(path: Path) -> sqlite3.Connection:
    """A plain connection in autocommit mode, for work before and beside the event loop."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _set_aside_and_save(folder: DataFolder) -> Salvage:
    aside = next(path for n in range(1, 10_000) if not (path := folder.path / f"damaged-{n}").exists())
    aside.mkdir()
    for kin in _KIN:
        name = folder.database.name + kin
        with contextlib.suppress(FileNotFoundError):
            (folder.path / name).rename(aside / name)
    with contextlib.closing(connect(folder.database)) as new:
        prepare(new)
        try:
            with contextlib.closing(sqlite3.connect(aside / folder.database.name, isolation_level=None)) as old:
                # The one way to have SQLite read a file that is shorter than its header says.
                old.execute("PRAGMA writable_schema = ON")
                records, blocks, unreadable = _save(old, new)
        except sqlite3.Error:  # not even a header: there is nothing to save from
            records = blocks = unreadable = 0
    return Salvage(set_aside=aside, records=records, blocks=blocks, blocks_unreadable=unreadable)


def _save(old: sqlite3.Connection, new: sqlite3.Connection) -> tuple[int, int, int]:
    """Copy what can be read; returns records and blocks saved, and blocks found unreadable."""
    names = {row[0]: row[1] for row in _rows(old, "SELECT id, name FROM stream")}
    watermarks = list(_rows(old, "SELECT uplink, stream, seq FROM watermark"))
    moved = {(uplink, stream): 1 for uplink, stream, _ in watermarks}
    next_seq: dict[int, int] = {}
    stored_end: dict[int, int] = {}
    records = blocks = unreadable = 0
    new.execute("BEGIN IMMEDIATE")
    for row in _blocks(old):
        if row is None:
            unreadable += 1
            continue
        key, count, received_at_us, raw_size, plain_size, compressed, _, crc, body = row
        stream = key >> 48
        if not isinstance(body, bytes) or google_crc32c.value(body) != crc or count < 1:
            unreadable += 1
            continue
        seq = next_seq.get(stream, 1)
        stored_end[stream] = stored_end.get(stream, 0) + len(body)
        new.execute(
            "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key_of(stream, seq),
                count,
                received_at_us,
                raw_size,
                plain_size,
                compressed,
                stored_end[stream],
                crc,
                body,
            ),
        )
        next_seq[stream] = seq + count
        for uplink, of, mark in watermarks:
            if of == stream and seq_of(key) + count <= mark:
                moved[uplink, of] = seq + count
        records += count
        blocks += 1
    for stream in sorted(set(names) | set(next_seq)):
        new.execute(
            "INSERT INTO stream VALUES (?, ?, ?, ?, ?)",
            (
                stream,
                names.get(stream, f"recovered-{stream}"),
                new_epoch(),
                next_seq.get(stream, 1),
                stored_end.get(stream, 0),
            ),
        )
    new.executemany(
        "INSERT INTO watermark VALUES (?, ?, ?)", [(uplink, of, seq) for (uplink, of), seq in moved.items()]
    )
    for select, insert in _CARRIED_OVER:
        new.executemany(insert, _rows(old, select))
    new.execute("COMMIT")
    return records, blocks, unreadable


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[Any]:
    """The rows of a query, up to the point where the database can't be read."""
    with contextlib.suppress(sqlite3.Error):
        yield from connection.execute(query)


def _blocks(connection: sqlite3.Connection) -> Iterator[Any]:
    """Every block row that can be reached, in the order of the keys; None where one could not be read.

    A damaged page ends a scan. Behind it we go on: from growing distances after the last key, until the last key that a
    scan from the end can reach.
    """
    try:
        last = connection.execute("SELECT key FROM block ORDER BY key DESC LIMIT 1").fetchone()
    except sqlite3.Error:
        last = None
    end = last[0] if last else key_of(1 << 15, 0)
    key, step = -1, 1
    while key < end:
        try:
            row = connection.execute("SELECT * FROM block WHERE key > ? ORDER BY key LIMIT 1", (key,)).fetchone()
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
