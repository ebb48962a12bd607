"""The ledger's table: the same in the receiver's state and in a sink's own database.

One row a lane and owner; `intervals` is what `Lane.encode` makes. The owner is the receiver or a sink.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from bridge.receiver.ledger import Lane, LaneKey, Ledger

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ledger (
    owner TEXT NOT NULL,
    gateway TEXT NOT NULL,
    stream TEXT NOT NULL,
    epoch TEXT NOT NULL,
    intervals BLOB NOT NULL,
    PRIMARY KEY (owner, gateway, stream, epoch)
) WITHOUT ROWID
"""


def read_ledger(connection: sqlite3.Connection, owner: str) -> Ledger:
    """The owner's ledger. Raises ValueError when a row is not what this code writes."""
    rows = connection.execute("SELECT gateway, stream, epoch, intervals FROM ledger WHERE owner = ?", (owner,))
    return Ledger({LaneKey(gateway, stream, epoch): Lane.decode(data) for gateway, stream, epoch, data in rows})


def write_ledger(connection: sqlite3.Connection, owner: str, rows: Iterable[tuple[str, str, str, bytes]]) -> None:
    """Put the lanes of a draft in the place of what was there; to be called within a transaction."""
    connection.executemany(
        "INSERT INTO ledger VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (owner, gateway, stream, epoch) DO UPDATE SET intervals = excluded.intervals",
        [(owner, *row) for row in rows],
    )
