"""What can go wrong with the store.

SpoolError
├── DataFolderInUse      another process holds the data folder
├── SpoolVersionError    the database was written by a newer Fieldgate
├── SpoolCorrupt         the database can't be read as one; it is set aside and saved from at the next opening
├── SpoolFull            no room, and the policy or the disk gives none
├── SpoolBusy            another program holds the database; this commit failed, the next one may not
├── SpoolUnusable        the disk failed in a way that can't be trusted any more
└── BackupError          a backup can't be made, or what is to be restored is none
"""

from __future__ import annotations

import sqlite3
from typing import ClassVar


class SpoolError(Exception):
    """Root of the tree above; `code` is a stable word for logs and metrics."""

    code: ClassVar[str] = "spool"


class DataFolderInUse(SpoolError):
    """Another process holds the data folder."""

    code = "data_folder_in_use"


class SpoolVersionError(SpoolError):
    """The database was written by a newer version."""

    code = "spool_version"


class SpoolCorrupt(SpoolError):
    """The database's own structure is damaged."""

    code = "spool_corrupt"


class SpoolFull(SpoolError):
    """There is no room for these records."""

    code = "spool_full"


class SpoolBusy(SpoolError):
    """Another program (a person's sqlite3, a backup) holds the database."""

    code = "spool_busy"


class SpoolUnusable(SpoolError):
    """The disk failed: what was written can't be trusted to be there."""

    code = "spool_unusable"


class BackupError(SpoolError):
    """A backup can't be made, or what is to be restored is none."""

    code = "backup"


_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_ROOM = sqlite3.SQLITE_IOERR_SHMSIZE
"""The write-ahead log's index is a file that grows, too."""


def translate(error: sqlite3.Error) -> SpoolError:
    """The error of ours that a SQLite error means; the primary code is the low byte (sqlite.org/rescode.html)."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or code == _NO_ROOM:
        return SpoolFull(
            f"There is no room on the disk that holds the spool ({error}). "
            "Free some, or set gateway.data_dir to another disk."
        )
    if code == sqlite3.SQLITE_IOERR_WRITE:  # a quota that is used up, or a bad sector: SQLite does not say which
        return SpoolFull(
            f"The disk that holds the spool did not take what was written ({error}): its quota is used up, or it is "
            "failing. `quota` and `df` show whether room is left: if not, free some; if so, the disk or its file "
            "system is at fault, and `dmesg` says how. The gateway tries again."
        )
    if primary in _BUSY:
        return SpoolBusy(f"Another program holds the spool's database ({error}). Close it; the gateway tries again.")
    if primary in _CORRUPT or not primary:  # without a code: Python could not read a value that SQLite gave it
        return SpoolCorrupt(f"The spool's database is damaged: {error}.")
    return SpoolUnusable(f"The spool's database can't be used: {error}. Look at the disk and its file system.")
