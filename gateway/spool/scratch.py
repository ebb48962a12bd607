"""The folder beside a backup in which it is made. What a killed one left there, records in it, goes with the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.spool.archive import DATABASE

_LOCK: Final = "lock"


@contextlib.contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """A folder of its own, for its owner alone, that is gone at the end. Raises OSError.

    Whoever makes it holds its lock; one whose lock nobody holds is stale. Two backups to one target may run at once.
    """
    _remove_stale(target)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
        folder = Path(name)
        fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):  # without locks nobody can take it for stale, either
                fcntl.flock(fd, fcntl.LOCK_EX)  # at most for the moment in which another looks whether it is stale
            yield folder
        finally:
            os.close(fd)


def _remove_stale(target: Path) -> None:
    """What can't be removed stays: a backup is more than its order."""
    named = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}")  # as tempfile names them
    with contextlib.suppress(OSError):
        for folder in [path for path in target.parent.iterdir() if named.fullmatch(path.name)]:
            with contextlib.suppress(OSError):
                _remove_if_stale(folder)


def _remove_if_stale(folder: Path) -> None:
    """Raises OSError where it has no lock that can be taken."""
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        return
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (folder / DATABASE).exists():  # else it is being made at this moment
            shutil.rmtree(folder)
    finally:
        os.close(fd)
