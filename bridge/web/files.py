"""The reading of files that say who may come."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from bridge.web.errors import TokenFileError
from config.errors import Problem

log = logging.getLogger(__name__)


def read_file(path: Path, *, key: str, max_bytes: int) -> bytes:
    """The content. `key` is the key of the settings that names the file.

    Raises TokenFileError when it can't be read, is larger than `max_bytes`, is no regular file, or when every user of
    this machine may write it: each of them could let himself in.
    """
    try:
        # A FIFO that nobody writes to would have us wait for ever.
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _error(path, f"is not a regular file. Write the name of one as `{key}`.")
            content = file.read(max_bytes + 1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise _error(
            path, f"can't be read: {reason}. Make it readable for the user who runs this, or mend `{key}`."
        ) from error
    if len(content) > max_bytes:
        raise _error(path, f"is larger than {max_bytes // 1024} KiB. Write the right file's name as `{key}`.")
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_IWOTH:
        raise _error(path, f"can be written by every user of this machine (mode {mode:04o}). Run: chmod o-w {path}")
    if mode & stat.S_IROTH:
        log.warning("The file %s can be read by every user of this machine. Run: chmod o-rwx %s", path, path)
    return content


def _error(path: Path, sentence: str) -> TokenFileError:
    return TokenFileError([Problem(file=str(path), line=None, column=None, key="", message=sentence)])


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
