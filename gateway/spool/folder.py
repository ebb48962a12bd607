"""The data folder: one process at a time, and room kept back for the moment when the disk is full."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from pathlib import Path
from typing import Final

from gateway.spool.errors import DataFolderInUse, SpoolUnusable

log = logging.getLogger(__name__)

_TRIES: Final = 4
_TRY_EVERY_S: Final = 0.02


def have_private(path: Path) -> None:
    """Have a file, empty if it is new, that its owner alone can read; what SQLite puts beside it gets the same mode."""
    with contextlib.suppress(OSError):  # SQLite will meet the same, and say what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def holder_of(path: Path) -> str | None:
    """The number of the process that has the data folder, "unknown" where it does not say; None: nobody has it.

    Raises SpoolUnusable when that can't be found out. A gateway that starts at this very moment tries once more.
    """
    try:
        fd = os.open(path / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SpoolUnusable(
            f"The data folder {path} can't be looked at: {error.strerror}. Do this as the user who runs the gateway."
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(fd)
    finally:
        os.close(fd)  # which unlocks it
    return None


def _named(fd: int) -> str:
    """Who wrote his number into the lock."""
    text = os.pread(fd, 32, 0).decode(errors="replace").strip()
    return text if text.isdigit() else "unknown"


def _lock(fd: int) -> None:
    """Raises BlockingIOError when somebody has it, and not only to see whether anybody has it (`holder_of`)."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_TRY_EVERY_S)
    return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


class DataFolder:
    """The folder that holds the spool, locked for this process from `open` to `close`.

    `reserve` is a file that holds disk blocks: on a full disk even a DELETE needs room for its write-ahead log, and
    giving the reserve back is what makes that room.
    """

    def __init__(self, path: Path, *, reserve_bytes: int) -> None:
        self.path = path
        self.database = path / "spool.db"
        self._reserve = path / "spool.reserve"
        self.reserve_bytes = reserve_bytes
        self._lock_fd: int | None = None

    def open(self) -> None:
        """Make the folder and lock it. Raises DataFolderInUse, or SpoolUnusable when it can't be made or written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolUnusable(
                f"The data folder {self.path} can't be used: {error.strerror}. "
                "Make it writable for this user, or set gateway.data_dir to another folder."
            ) from error
        try:
            _lock(fd)
        except BlockingIOError:
            holder = _named(fd)
            os.close(fd)
            raise DataFolderInUse(
                f"The data folder {self.path} is in use by another gateway (process {holder}). "
                "Stop that one, or set gateway.data_dir to another folder."
            ) from None
        except OSError as error:
            os.close(fd)
            raise SpoolUnusable(
                f"The data folder {self.path} can't be locked: {error.strerror}. Set gateway.data_dir to a local disk."
            ) from error
        with contextlib.suppress(OSError):  # the process number is a courtesy; on a full disk we go without
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = fd
        self._close_to_others()

    def _close_to_others(self) -> None:
        """What devices said is nobody else's business: mend files of a version that left their mode to the umask."""
        for ending in ("", "-wal", "-shm", ".new"):
            path = self.database.with_name(self.database.name + ending)
            try:
                if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    path.chmod(0o600)
                    log.warning("%s was open to other users of this machine; only its owner can read it now.", path)
            except FileNotFoundError:
                continue
            except OSError as error:
                log.error(
                    "%s is open to other users of this machine, and that can't be changed: %s. "
                    "Give it to the user that runs the gateway, with mode 0600.", path, error.strerror,
                )  # fmt: skip

    def close(self) -> None:
        """Unlock; idempotent."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def keep_reserve(self) -> bool:
        """Have the reserve in place, or as much of it as the disk has room for; True when it is whole."""
        with contextlib.suppress(FileNotFoundError):
            if self._reserve.stat().st_size >= self.reserve_bytes:
                return True
        for share in (1, 2, 4, 8):
            if self._allocate(self.reserve_bytes // share):
                return share == 1
        return False

    def _allocate(self, size_bytes: int) -> bool:
        try:
            fd = os.open(self._reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, size_bytes)
        except OSError:
            self.give_reserve()
            return False
        finally:
            os.close(fd)
        return True

    def give_reserve(self) -> None:
        """Give the reserve's disk blocks to the database."""
        with contextlib.suppress(OSError):  # a file system that is read-only now: SQLite meets the same, and says so
            self._reserve.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """What the disk has left for this user."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def size_bytes(self) -> int:
        """The database and its write-ahead log, as they stand on disk."""
        total = 0
        with contextlib.suppress(FileNotFoundError):
            total += self.database.stat().st_size
        return total + self.wal_size_bytes()

    def wal_size_bytes(self) -> int:
        """The write-ahead log, as it stands on disk."""
        with contextlib.suppress(FileNotFoundError):
            return self.database.with_name(self.database.name + "-wal").stat().st_size
        return 0
