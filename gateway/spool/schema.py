"""The spool's database: its tables, and what each row promises.

    stream      one row a stream. `next_seq` is the floor of the numbering: it is written whenever blocks are deleted,
                so that an emptied stream goes on counting where it was. While it has blocks, the last one tells.
    block       one row a block. `key` is stream << 48 | first_seq: one B-tree, in order within each stream, so that the
                first and the last block of a stream are found without a scan, however many there are. `stored_end` is
                the sum of the bodies of all blocks of the stream up to and with this one, since its epoch began: the
                bytes in a range are a difference of two rows. `crc` and `row_crc`: see `gateway.spool.rows`.
    watermark   one row an uplink and stream: everything below `seq` is delivered.
    gap         ranges dropped on purpose; `uplink` '' means for all of them. Kept until every uplink declared it.
    dead_letter blocks that can't be delivered, with the reason; `uplink` '' when none of them will get it.
    session     the broker's persistent sessions, as opaque snapshots.
    message, delivery, retained, history, event, note
                rows of the broker and of the operator's pages: a key, a body, and a checksum over both
                (`gateway.spool.tables`).
    dead_letter_total
                one row: how many dead letters there are, their records and bytes; two triggers keep it, so that nobody
                has to count.
    counter     totals that outlive a restart.

A commit of new records touches `block` only: one leaf page for a small one.
Limits: 2^15 streams, 2^48 records a stream and epoch.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Final

from gateway.spool.errors import SpoolVersionError

log = logging.getLogger(__name__)

SEQ_BITS: Final = 48
SCHEMA_VERSION: Final = 3
PAGE_SIZE_BYTES: Final = 4096
"""SQLite's smallest sensible page: a small commit writes whole pages to flash, so the page is the price of one."""

_TABLES: Final = """
CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    next_seq INTEGER NOT NULL,
    stored_end INTEGER NOT NULL
);
CREATE TABLE block (
    key INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    received_at_us INTEGER NOT NULL,
    raw_size INTEGER NOT NULL,
    plain_size INTEGER NOT NULL,
    compressed INTEGER NOT NULL,
    stored_end INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    row_crc INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE watermark (
    uplink TEXT NOT NULL,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (uplink, stream)
) WITHOUT ROWID;
CREATE TABLE gap (
    stream INTEGER NOT NULL,
    uplink TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (stream, uplink, first_seq)
) WITHOUT ROWID;
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY,
    uplink TEXT NOT NULL,
    stream TEXT NOT NULL,
    epoch TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    compressed INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE session (client_id TEXT PRIMARY KEY, snapshot BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (
    stream TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (stream, name)
) WITHOUT ROWID;
"""
# `retained` has its topics in an index and its bodies in a table: bodies may be large, and would make the one tree of a
# table WITHOUT ROWID as tall as they are wide. What is retained again, the common case, changes one page of the table.
_TABLES_OF_2: Final = """
CREATE TABLE message (key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE delivery (key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE retained (key TEXT PRIMARY KEY NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
"""
_TABLES_OF_3: Final = """
CREATE TABLE history (key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE event (key INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE note (key TEXT PRIMARY KEY NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE dead_letter_total (letters INTEGER NOT NULL, records INTEGER NOT NULL, size INTEGER NOT NULL);
INSERT INTO dead_letter_total SELECT count(*), coalesce(sum(count), 0), coalesce(sum(length(body)), 0) FROM dead_letter;
CREATE TRIGGER dead_letter_came AFTER INSERT ON dead_letter BEGIN
    UPDATE dead_letter_total
    SET letters = letters + 1, records = records + new.count, size = size + length(new.body);
END;
CREATE TRIGGER dead_letter_went AFTER DELETE ON dead_letter BEGIN
    UPDATE dead_letter_total
    SET letters = letters - 1, records = records - old.count, size = size - length(old.body);
END;
"""
_SINCE: Final = {0: _TABLES + _TABLES_OF_2 + _TABLES_OF_3, 1: _TABLES_OF_2 + _TABLES_OF_3, 2: _TABLES_OF_3}
"""What a database of that version lacks."""


def key_of(stream: int, seq: int) -> int:
    """The block table's key."""
    return stream << SEQ_BITS | seq


def seq_of(key: int) -> int:
    """The first sequence number in a block table's key."""
    return key & ((1 << SEQ_BITS) - 1)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database; add to one of an older version what it lacks, all at once or not at all.

    Raises SpoolVersionError when a newer Fieldgate wrote it, and sqlite3.DatabaseError when it can't be read.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    refuse_newer(version)
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {_SINCE[version]} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if version:
        log.info("The spool's database was brought from schema %d to %d.", version, SCHEMA_VERSION)


def refuse_newer(version: int) -> None:
    """Raises SpoolVersionError for a database that this Fieldgate can't know."""
    if version > SCHEMA_VERSION:
        raise SpoolVersionError(
            f"The spool was written by a newer Fieldgate (schema {version}, this one knows {SCHEMA_VERSION}). "
            "Upgrade Fieldgate, or set gateway.data_dir to another folder."
        )
