"""The data folder: is it there, does it hold what it is given, and how quickly?"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from config.settings import GatewaySettings, WhenFull
from gateway.cli.doctor import proc
from gateway.cli.doctor.finding import Report
from gateway.cli.words import size
from gateway.words import counted

SYNCS: Final = 20
SYNC_TIME_S: Final = 2.0
SLOW_SYNC_S: Final = 0.1
LOOK_TIME_S: Final = 2.0
_STEPS: Final = 10_000

_NETWORK: Final = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "fuse.glusterfs"}
_MEMORY: Final = {"tmpfs", "ramfs"}


def check_folder(settings: GatewaySettings) -> tuple[Report, int | None]:
    """What was found, and the process id of the gateway that runs on it."""
    report = Report("data folder")
    path = settings.gateway.data_dir
    holder = _holder(path)
    if not path.exists():
        parent = next((one for one in path.absolute().parents if one.exists()), Path("/"))
        if not parent.is_dir():
            report.wrong(f"{path} can't be made: {parent} is a file", "Set gateway.data_dir to a folder.")
        elif os.access(parent, os.W_OK | os.X_OK):
            report.ok(f"{path} is not there yet; the gateway makes it")
        else:
            report.wrong(
                f"{path} is not there, and {parent} can't be written by this user",
                f"Make it, and give it to the user who runs the gateway: install -d -o USER -m 0700 {path}",
            )
            return report, holder
        where = parent
    elif not path.is_dir():
        report.wrong(f"{path} is no folder", "Set gateway.data_dir to a folder.")
        return report, holder
    else:
        where = path
        if not _is_writable(report, path):
            return report, holder
    _file_system(report, where)
    _room(report, where, settings)
    if path.exists():
        _speed(report, path, settings)
        _database(report, path / "spool.db", is_running=holder is not None)
        _set_aside(report, path)
    if holder is not None:
        report.ok(f"a gateway runs on it (process {holder})")
    return report, holder


def _holder(path: Path) -> int | None:
    """Who has the folder; asked without touching its lock, which a gateway that starts just now would find taken."""
    with contextlib.suppress(OSError):
        status = (path / "lock").stat()
        return proc.lock_holder(proc.read("/proc/locks"), status.st_dev, status.st_ino)
    return None


def _is_writable(report: Report, path: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix=".doctor-") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        report.wrong(
            f"{path} can't be written: {error.strerror}",
            "Make room on its disk, or set gateway.data_dir to another one."
            if error.errno in {28, 122}  # ENOSPC, EDQUOT
            else f"Give it to the user who runs the gateway: chown -R USER {path} (and run the doctor as that user)",
        )
        return False
    report.ok(f"{path} can be written")
    return True


def _file_system(report: Report, path: Path) -> None:
    found = proc.file_system(proc.read("/proc/self/mountinfo"), path.resolve())
    if found is None:
        report.skipped("what file system it is on is not told here")
        return
    point, kind = found
    if kind in _NETWORK:
        report.warning(
            f"it is on a network file system ({kind} at {point})",
            "Set gateway.data_dir to a local disk: SQLite's write-ahead log does not work over a network.",
        )
    elif kind in _MEMORY:
        report.warning(
            f"it is in memory ({kind} at {point}): a power cut loses all of it", "Set gateway.data_dir to a disk."
        )
    elif kind == "overlay":
        report.warning(
            f"it is in a container's own layer (overlay at {point}), which goes with the container",
            "Mount a volume there.",
        )
    else:
        report.ok(f"it is on {kind} (mounted at {point})")


def _room(report: Report, path: Path, settings: GatewaySettings) -> None:
    free = shutil.disk_usage(path).free
    has = 0
    for name in ("spool.db", "spool.db-wal"):  # as the status counts: the reserve is none of what may grow
        with contextlib.suppress(OSError):
            has += (settings.gateway.data_dir / name).stat().st_size
    limit = settings.spool.max_size_bytes
    if free + has >= limit:
        report.ok(f"{size(free)} are free; the spool may grow to {size(limit)} and has {size(has)}")
        return
    what = "drops its oldest records" if settings.spool.when_full is WhenFull.DROP_OLDEST else "takes no more"
    report.warning(
        f"{size(free)} are free, and the spool may grow to {size(limit)} (it has {size(has)})",
        f"Make room, or set spool.max_size to what there is: on a full disk the gateway {what} earlier than you think.",
    )


def _speed(report: Report, path: Path, settings: GatewaySettings) -> None:
    took: list[float] = []
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix=".doctor-") as file:
            until = time.monotonic() + SYNC_TIME_S
            while len(took) < SYNCS and time.monotonic() < until:
                file.write(bytes(4096))
                file.flush()
                began = time.perf_counter()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - began)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            report.wrong(f"its disk is full: {error.strerror}", "Make room, or set gateway.data_dir to another disk.")
        else:
            report.wrong(f"its disk could not be measured: {error.strerror}", "Look at the disk's health (dmesg).")
        return
    median = statistics.median(took)
    text = f"fsync takes {1000 * median:.1f} ms (the slowest of {len(took)}: {1000 * max(took):.1f} ms)"
    if median <= SLOW_SYNC_S or settings.spool.durability_s is not None:
        report.ok(text)
    else:
        report.warning(
            f"{text}: a device waits so long for each acknowledgement",
            "Use another disk, or see what else writes to it; spool.durability trades a power cut's loss for speed.",
        )


def _database(report: Report, path: Path, *, is_running: bool) -> None:
    """A look that leaves nothing behind: a file of this user's beside the database would be in the gateway's way."""
    if not path.exists():
        report.ok("there is no database yet; the gateway makes it")
        return
    how = "mode=ro"
    if not is_running:
        with contextlib.suppress(OSError):
            if path.with_name(f"{path.name}-wal").stat().st_size:
                report.skipped("the database was not closed in order (a crash, a power cut); the gateway mends it")
                return
        how = "immutable=1"
    until = time.monotonic() + LOOK_TIME_S
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=2)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            streams = database.execute("SELECT count(*) FROM stream").fetchone()[0] if version else 0
            database.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            faults = [str(row[0]) for row in database.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            report.ok(
                f"the database opens ({counted(streams, 'stream')}); it is too large to be looked through in a moment"
            )
        else:
            report.wrong(f"the database {path} can't be read: {error}", "Run the doctor as the gateway's user.")
        return
    except sqlite3.DatabaseError as error:
        report.wrong(
            f"the database {path} is damaged: {error}",
            "Start the gateway: it sets the file aside, and saves what can be read into a new one.",
        )
        return
    if faults != ["ok"]:
        report.wrong(
            f"the database {path} is damaged: {faults[0]}",
            "Restart the gateway: it sets the file aside, and saves what can be read into a new one.",
        )
    elif _is_newer(version):
        report.wrong(f"the database was written by a newer Fieldgate (schema {version})", "Upgrade Fieldgate.")
    else:
        report.ok(f"the database is sound ({size(path.stat().st_size)}, {counted(streams, 'stream')})")


def _is_newer(version: int) -> bool:
    from gateway.spool.schema import SCHEMA_VERSION

    return version > SCHEMA_VERSION


def _set_aside(report: Report, path: Path) -> None:
    found = sorted(one.name for one in path.iterdir() if one.is_dir() and one.name.startswith("damaged-"))
    if found:
        report.warning(
            f"a damaged database was set aside here: {', '.join(found[-3:])}",
            "Its records were saved as far as they could be read; delete the folder when you need it no more.",
        )
