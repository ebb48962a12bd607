"""A copy of the data folder, made while the gateway runs or when it does not.

The database is copied through a second connection that holds a read transaction: what it sees is one moment, and in
WAL mode a reader keeps no writer waiting. While it lasts the write-ahead log can't begin anew, so it grows by what
comes in meanwhile; the spool counts that as its own size.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bridge.crashpoints import reach
from bridge.json_lines import rfc3339
from bridge.version import VERSION
from gateway.spool import archive
from gateway.spool.archive import DATABASE, Manifest
from gateway.spool.errors import BackupError, SpoolCorrupt, SpoolFull, translate
from gateway.spool.scratch import scratch_beside

PAGES_AT_ONCE: Final = 1024
_SYNC_EVERY_PAGES: Final = 2048

OnProgress = Callable[[str, int, int], None]
"""What is done, how many bytes of it, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """What was written."""

    file: Path
    size_bytes: int
    records: int
    """That wait in its streams."""
    dead_letters: int
    files: Sequence[str]
    """Of the configuration, as they are named in the archive."""
    made_at: str


def back_up(
    data_dir: Path,
    target: Path,
    *,
    gateway: str,
    configuration: Sequence[Path],
    now_us: int,
    on_progress: OnProgress = lambda _what, _done, _of: None,
) -> BackedUp:
    """Write the archive. Blocking. Raises BackupError, SpoolCorrupt, or OSError when the target can't be written.

    Needs room beside the target for the database once more. What a backup to the same target left there when it was
    killed is removed.
    """
    database = data_dir / DATABASE
    if not database.exists():
        raise BackupError(f"There is no spool in {data_dir}, so there is nothing to back up. Is this the data folder?")
    with scratch_beside(target) as scratch:
        copy = scratch / DATABASE
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            _copy(database, copy, on_progress)
            reach("backup.copied")
            schema, records, letters = _look_at(copy)
        except sqlite3.Error as error:
            found = translate(error)
            if isinstance(found, SpoolFull):  # only the copy is written
                raise BackupError(
                    f"There is no room for the backup in {target.parent} ({error}). While it is made it takes that of "
                    f"the database ({database.stat().st_size} bytes) beside its own. Nothing is left of it."
                ) from error
            raise found from error
        named = archive.names_for(configuration)
        files = {DATABASE: copy}
        for number, (name, path) in enumerate(named.items()):  # copies: one may be edited while it is packed
            files[name] = scratch / str(number)
            files[name].write_bytes(path.read_bytes())
        size = copy.stat().st_size
        done = 0

        def count(what: str) -> Callable[[int], None]:
            nonlocal done
            done = 0

            def on_bytes(number: int) -> None:
                nonlocal done
                done += number
                on_progress(what, done, size)

            return on_bytes

        summing = count("Checking")
        members = {
            name: replace(archive.sum_of(path, summing), path=str(named[name].absolute()) if name in named else None)
            for name, path in files.items()
        }
        made_at = rfc3339(now_us)
        manifest = Manifest(fieldgate=VERSION, gateway=gateway, made_at=made_at, schema=schema, members=members)
        written = archive.write(target, manifest, files, count("Packing"))
    return BackedUp(
        file=target,
        size_bytes=written,
        records=records,
        dead_letters=letters,
        files=list(named),
        made_at=made_at,
    )


def _copy(database: Path, copy: Path, on_progress: OnProgress) -> None:
    synced = 0

    def on_pages(_status: int, remaining: int, total: int) -> None:
        nonlocal synced
        done = total - remaining
        on_progress("Copying", done * 4096, total * 4096)
        if done - synced >= _SYNC_EVERY_PAGES:
            synced = done
            os.fdatasync(fd)

    fd = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with (
            contextlib.closing(sqlite3.connect(database, timeout=10.0, isolation_level=None)) as source,
            contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target,
        ):
            source.execute("PRAGMA query_only = ON")
            # Without this transaction every commit of the gateway would make the copy begin anew.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM stream").fetchone()
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target, pages=PAGES_AT_ONCE, progress=on_pages)
            source.execute("ROLLBACK")
    finally:
        os.close(fd)


def _look_at(copy: Path) -> tuple[int, int, int]:
    """Schema, records and dead letters of the copy, which is left without a log beside it. Raises SpoolCorrupt."""
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise SpoolCorrupt(
                f"The spool's database is damaged ({verdict}), so that no backup was made. "
                "Stop the gateway and start it again: it saves what can be read."
            )
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        (records,) = connection.execute("SELECT coalesce(sum(count), 0) FROM block").fetchone()
        (letters,) = connection.execute("SELECT count(*) FROM dead_letter").fetchone()
    return schema, records, letters
