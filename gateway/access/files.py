"""The reading of the files that say who may come in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gateway.access.errors import AccessError, problem, unreadable


def read_file(path: Path, *, key: str, max_bytes: int) -> tuple[bytes, bool]:
    """The content, one byte more than `max_bytes` at most, and whether every user of this machine may read it.

    `key` is the key of the settings that names it. Raises AccessError, also when every user may write it: each of them
    could let himself in, and when it is no regular file.
    """
    try:
        # A FIFO that nobody writes to would have us wait for ever.
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise AccessError([problem(path, f"is not a regular file. Write the name of one as `{key}`.")])
            mode = stat.S_IMODE(status.st_mode)
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise unreadable(path, key, error) from error
    if mode & stat.S_IWOTH:
        sentence = f"can be written by every user of this machine (mode {mode:04o}). Run: chmod o-w {path}"
        raise AccessError([problem(path, sentence)])
    return content, bool(mode & stat.S_IROTH)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
