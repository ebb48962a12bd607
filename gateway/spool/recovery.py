"""Opening the spool's database, whatever state a power cut or a failing disk has left it in.

A sound database is opened in the time that a few look-ups take, however much is in it. One that SQLite can't read (or
whose last row is not what was written, or that a running gateway condemned) is set aside and saved from. Every step of
that can be cut by a power cut and is then taken up again:

    1. `spool.damaged` is written: it names the folder `damaged-N` that will take the files.
    2. The database's files are moved there, untouched, the database itself last.
    3. What can be read is saved into `spool.db.new` (`gateway.spool.salvage`); one that was begun before is begun anew.
    4. `spool.db.new` becomes `spool.db`.
    5. `spool.damaged` is removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from gateway.spool.errors import SpoolCorrupt, SpoolFull, SpoolUnusable, translate
from gateway.spool.folder import DataFolder, have_private
from gateway.spool.rows import last_block
from gateway.spool.salvage import Salvage, save
from gateway.spool.schema import PAGE_SIZE_BYTES, prepare

MARK: Final = "spool.damaged"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_SMALL_TABLES: Final = (
    "SELECT * FROM watermark",
    "SELECT * FROM gap",
    "SELECT * FROM session",
    "SELECT * FROM counter",
    "SELECT * FROM dead_letter_total",
)


def mark_damaged(folder: DataFolder) -> None:
    """Have the next opening set the database aside: it looked sound when opened, and was not."""
    try:
        (folder.path / MARK).touch()
    except OSError:
        folder.give_reserve()
        with contextlib.suppress(OSError):  # whoever calls this has a worse error to tell
            (folder.path / MARK).touch()


def recover(folder: DataFolder) -> Salvage | None:
    """See that the database can be opened; None when it was sound (or new), else what was saved.

    Blocking; call it before the event loop serves anybody. Raises SpoolFull when there is no room to save into, and
    SpoolUnusable when the folder can't be written at all.
    """
    try:
        try:
            return _recover(folder)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            folder.give_reserve()
            return _recover(folder)
    except OSError as error:
        what = f"The spool's database is damaged, and can't be set aside in {folder.path}: {error.strerror}."
        if error.errno in _NO_ROOM:
            raise SpoolFull(f"{what} Make room on that disk and start again.") from error
        raise SpoolUnusable(f"{what} Look at the disk and its file system.") from error


def _recover(folder: DataFolder) -> Salvage | None:
    mark = folder.path / MARK
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
    aside = _folder_for(mark)
    if (aside / folder.database.name).exists() and folder.database.exists():
        salvage = None  # saved already; the power went before the mark was removed
    else:
        _move(folder.database, aside)
        salvage = _save(folder, aside)
    mark.unlink()
    _sync(folder.path)
    return salvage


def _look_at(path: Path) -> None:
    """Read what every opening reads. Raises SpoolCorrupt."""
    refuse_stump(path)
    try:
        with contextlib.closing(_connect(path)) as connection:
            prepare(connection)
            examine(connection)
    except sqlite3.Error as error:
        raise translate(error) from error


def refuse_stump(path: Path) -> None:
    """Raises SpoolCorrupt for a file that is too short for a database: SQLite would take it for an empty one."""
    if path.exists() and 0 < path.stat().st_size < 512:
        raise SpoolCorrupt("The spool's database is shorter than a database's header.")


def examine(connection: sqlite3.Connection) -> None:
    """Read what every opening reads, and nothing else. Raises SpoolCorrupt, and sqlite3.Error."""
    for stream, next_seq in connection.execute("SELECT id, next_seq FROM stream").fetchall():
        last = last_block(connection, stream)
        if last is not None and not last.is_sound:
            raise SpoolCorrupt("The last row of a stream is not what was written.")
        end = max(next_seq, last.next_seq if last else 0)
        (highest,) = connection.execute("SELECT max(seq) FROM watermark WHERE stream = ?", (stream,)).fetchone()
        if highest is not None and highest > end:
            raise SpoolCorrupt("More was delivered of a stream than it has.")
    for table in _SMALL_TABLES:
        connection.execute(table).fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    """A plain connection in autocommit mode, before the event loop's own are there."""
    have_private(path)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _folder_for(mark: Path) -> Path:
    """The folder that the mark names; a mark without a name gets one, on disk before anything is moved."""
    name = mark.read_text().strip()
    if not name:
        name = next(f"damaged-{n}" for n in range(1, 10_000) if not (mark.parent / f"damaged-{n}").exists())
        written = mark.with_name(mark.name + ".new")
        written.write_text(name)
        _sync(written)
        written.replace(mark)
    aside = mark.parent / name
    aside.mkdir(mode=0o700, exist_ok=True)
    _sync(mark.parent)
    return aside


def _move(database: Path, aside: Path) -> None:
    for ending in ("-shm", "-wal", ""):
        name = database.name + ending
        with contextlib.suppress(FileNotFoundError):
            database.with_name(name).rename(aside / name)
    _sync(aside)
    _sync(database.parent)


def _save(folder: DataFolder, aside: Path) -> Salvage:
    fresh = folder.database.with_name(folder.database.name + ".new")
    fresh.unlink(missing_ok=True)
    have_private(fresh)
    old = sqlite3.connect(aside / folder.database.name, isolation_level=None)
    new = sqlite3.connect(fresh, isolation_level=None)
    try:
        # No journal: a new database that was not finished is thrown away.
        new.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
        new.execute("PRAGMA journal_mode = OFF").fetchone()
        new.execute("PRAGMA synchronous = OFF")
        prepare(new)
        with contextlib.suppress(sqlite3.Error):
            # The one way to have SQLite read a file that is shorter than its header says.
            old.execute("PRAGMA writable_schema = ON")
        salvage = save(old, new, aside)
    except sqlite3.Error as error:
        size = (aside / folder.database.name).stat().st_size
        raise SpoolFull(
            f"The spool's database is damaged, and what can be read of it can't be saved: {error}. "
            f"It is kept in {aside}. Have {size} bytes free on that disk and start again."
        ) from error
    finally:
        old.close()
        new.close()
    _sync(fresh)
    fresh.replace(folder.database)
    _sync(folder.path)
    return salvage


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
