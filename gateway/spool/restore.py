"""A backup becomes the data folder again.

All of it is checked before anything changes. What is there is set aside, never deleted. Every stream begins a new
epoch: the receiver has seen numbers that were given after the backup was made, and would take the new records that get
them now for duplicates. Places of uplinks and gaps are kept (`gateway.spool.salvage`). So records that were delivered
since the backup was made go again, under new numbers, and arrive a second time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.crashpoints import reach
from gateway.spool import archive
from gateway.spool.archive import CONFIGURATION, DATABASE, Manifest
from gateway.spool.errors import BackupError, DataFolderInUse, SpoolCorrupt, translate
from gateway.spool.folder import DataFolder
from gateway.spool.recovery import MARK
from gateway.spool.salvage import Salvage, save
from gateway.spool.schema import PAGE_SIZE_BYTES, SCHEMA_VERSION, prepare
from gateway.words import counted

_LOG_ENDINGS: Final = ("-shm", "-wal")
_SCRATCH: Final = "restore.partial"
_FRESH: Final = "fresh.db"

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done."""

    manifest: Manifest
    records: int
    lost_records: int
    """Of the backup, that could not be read in it."""
    streams: int
    set_aside: Path | None
    """Where the data is that was there; None when there was none."""
    files: Sequence[Path]
    """Of the configuration, as they were written."""


def look_at(path: Path) -> Manifest:
    """The manifest of a backup, whose other members are not looked at. Raises BackupError."""
    with archive.reading(path) as reader:
        return reader.manifest


def restore(
    path: Path,
    data_dir: Path,
    *,
    files_to: Path | None = None,
    partly: bool = False,
    session: Callable[[bytes], bytes] = lambda snapshot: snapshot,
    on_progress: OnProgress = lambda _what, _done, _of: None,
) -> Restored:
    """Check the backup, set aside what is there, begin with what is in it. Blocking.

    `files_to`: the folder for the files of the configuration; None: they stay in the archive. `partly`: go on where not
    all records in the backup can be read; what is lost in front of others is a gap, and counted as `corrupt`.
    `session` makes of each session's snapshot what holds of it at a later time: only the broker can read it.

    Raises BackupError, DataFolderInUse while a gateway runs on the folder, and OSError.
    """
    folder = DataFolder(data_dir, reserve_bytes=0)
    try:
        folder.open()
    except DataFolderInUse as error:
        raise DataFolderInUse(f"{error} A backup can be restored only while no gateway runs on the folder.") from None
    try:
        with _scratch(data_dir) as scratch:
            manifest = _extract(path, scratch, on_progress)
            fresh = scratch / _FRESH
            salvage, lost = _renumber(scratch / DATABASE, fresh, manifest, session, on_progress)
            if not partly and (lost or salvage.blocks_unreadable or salvage.rows_unreadable):
                raise BackupError(
                    f"Of the backup {counted(lost, 'record')} and {counted(salvage.rows_unreadable, 'other row')} "
                    "can't be read, so nothing was changed. Restore another backup, or take what can be read with "
                    "--partly."
                )
            _bring_log_in(folder.database)
            written = [] if files_to is None else _write_files(scratch, manifest, files_to)
            reach("restore.checked")
            set_aside = _put_in_place(folder, fresh)
            reach("restore.in_place")
        return Restored(
            manifest=manifest,
            records=salvage.records,
            lost_records=lost,
            streams=_streams(folder.database),
            set_aside=set_aside,
            files=written,
        )
    finally:
        folder.close()


@contextlib.contextmanager
def _scratch(data_dir: Path) -> Iterator[Path]:
    scratch = data_dir / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    (scratch / CONFIGURATION).mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _extract(path: Path, scratch: Path, on_progress: OnProgress) -> Manifest:
    """Have all members in the scratch folder, checked."""
    with archive.reading(path) as reader:
        manifest = reader.manifest
        if manifest.schema > SCHEMA_VERSION:
            raise BackupError(
                f"The backup was made by a newer Fieldgate ({manifest.fieldgate}, schema {manifest.schema}; this one "
                f"knows {SCHEMA_VERSION}). Upgrade Fieldgate, then restore it."
            )
        size = sum(member.size_bytes for member in manifest.members.values())
        free = shutil.disk_usage(scratch).free
        if free < 2 * size:
            raise BackupError(
                f"Restoring needs {2 * size} bytes on the disk of {scratch.parent}, and {free} are free. "
                "Make room, or set gateway.data_dir to another disk."
            )
        done = 0

        def on_bytes(number: int) -> None:
            nonlocal done
            done += number
            on_progress("Checking", done, size)

        reader.extract({name: scratch / name for name in manifest.members}, on_bytes)
    return manifest


def _renumber(
    copy: Path, fresh: Path, manifest: Manifest, session: Callable[[bytes], bytes], on_progress: OnProgress
) -> tuple[Salvage, int]:
    """The database of the backup, in new epochs, as another file; returns too how many records could not be read."""
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with (
        contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as old,
        contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as new,
    ):
        try:
            (verdict,) = old.execute("PRAGMA quick_check(1)").fetchone()
            (schema,) = old.execute("PRAGMA user_version").fetchone()
            (total,) = old.execute("SELECT coalesce(sum(count), 0) FROM block").fetchone()
        except sqlite3.Error as error:
            raise BackupError(f"The database in the backup can't be read: {error}.") from error
        if verdict != "ok" or schema != manifest.schema:
            raise BackupError(f"The database in the backup is damaged: {verdict}.")
        try:
            new.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
            new.execute("PRAGMA journal_mode = OFF").fetchone()  # one that was not finished is thrown away
            new.execute("PRAGMA synchronous = OFF")
            prepare(new)
            salvage = save(old, new, copy, on_records=lambda done: on_progress("Restoring", done, total))
            for client_id, snapshot in old.execute("SELECT client_id, snapshot FROM session"):
                if (later := session(snapshot)) != snapshot:
                    new.execute("UPDATE session SET snapshot = ? WHERE client_id = ?", (later, client_id))
        except sqlite3.Error as error:
            raise BackupError(f"The database can't be written: {error}. Nothing was changed.") from error
    _sync(fresh)
    return salvage, total - salvage.records


def _write_files(scratch: Path, manifest: Manifest, files_to: Path) -> list[Path]:
    """The files of the configuration; one that is there and differs is kept beside it."""
    files_to.mkdir(parents=True, exist_ok=True)
    written = []
    for name in manifest.members:
        if name == DATABASE:
            continue
        source, target = scratch / name, files_to / name.removeprefix(CONFIGURATION)
        if target.exists() and target.read_bytes() != source.read_bytes():
            target.rename(_free_name(target.with_name(target.name + ".replaced")))
        part = target.with_name(target.name + ".partial")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(source.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        written.append(target)
    return written


def _put_in_place(folder: DataFolder, fresh: Path) -> Path | None:
    """Have `fresh` as the database, and what was there in a folder of its own; returns that, None: nothing was there.

    At every moment there is one database or the other, and whole: power may be cut in between, and a gateway that began
    without the log of the old one would give its last numbers to other records.
    """
    log_files = [folder.database.with_name(folder.database.name + ending) for ending in _LOG_ENDINGS]
    aside = None
    if any(path.exists() for path in (folder.database, *log_files, folder.path / MARK)):
        aside = _free_name(folder.path / "replaced")
        aside.mkdir(mode=0o700)
        _keep_beside(folder.database, aside)
        for path in (*log_files, folder.path / MARK):  # there is a log only where the database is damaged
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside / path.name)
        _sync(aside)
    reach("restore.set_aside")
    fresh.replace(folder.database)
    _sync(folder.path)
    return aside


def _bring_log_in(database: Path) -> None:
    """Have all that was committed in the database itself; the log goes with the last connection, which this is.

    Raises BackupError where that can't be: between the moves of the log and of the database there would be a moment
    without what is in the log, and power may be cut in it. A damaged database has its log set aside with it.
    """
    if not database.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
            (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        found = translate(error)
        if isinstance(found, SpoolCorrupt):
            return
        raise BackupError(f"{found} Nothing was changed.") from error
    if is_busy:
        raise BackupError(
            f"Another program reads {database} (a backup, or somebody's sqlite3), so nothing was changed. "
            "End it, then restore again."
        )


def _keep_beside(database: Path, aside: Path) -> None:
    """Give the database a second name, under which it stays when another one takes the first."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.link(database, aside / database.name)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links: then there is a moment without a database
            database.rename(aside / database.name)


def _free_name(path: Path) -> Path:
    return next(found for n in range(1, 10_000) if not (found := path.with_name(f"{path.name}-{n}")).exists())


def _streams(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (streams,) = connection.execute("SELECT count(*) FROM stream").fetchone()
    return int(streams)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
