"""The file that a gateway runs with: read with its hash, and written in one step, so that nobody ever reads half of it.

The one before is kept beside it as `gateway.yaml.before`. Mode and owner stay as they were; where that is not possible,
nothing is written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from config.loader import read_text

BEFORE: Final = ".before"
NO_FILE: Final = ""
"""The hash of no file at all."""


class ConfigurationError(Exception):
    """The file could not be changed as asked; the message is a sentence."""

    code = "configuration"


class FileChanged(ConfigurationError):
    """Somebody else has changed the file since it was looked at."""

    code = "file_changed"


class FileReadOnly(ConfigurationError):
    """The file can't be written, or there is none."""

    code = "file_read_only"


class FileFull(FileReadOnly):
    """There is no room on the disk for the file."""

    code = "file_full"


def changed(path: Path) -> FileChanged:
    """What to say when the file is another than the one that was looked at."""
    return FileChanged(f"{path} was changed by somebody else meanwhile. Load it again, and look at it.")


def hash_of(path: Path | None) -> str:
    """What tells one content of the file from another; NO_FILE where it can't be read."""
    try:
        return NO_FILE if path is None else _hash(path.read_bytes())
    except OSError:
        return NO_FILE


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> str:
    """The text. Raises ConfigError with a sentence."""
    return read_text(path)


def write(path: Path, text: str, base: str) -> None:
    """Put the text in the place of the file, and the file in that of `.before`.

    `base` is the hash that the file is to have. Raises FileChanged where it has another, and FileReadOnly, each with a
    sentence."""
    real = Path(os.path.realpath(path))  # behind a symbolic link is the file; the link stays
    try:
        old, status = real.read_bytes(), real.stat()
        if _hash(old) != base:
            raise changed(path)
        _put(real.with_name(real.name + BEFORE), old, status)
        _put(real, text.encode(), status)
    except OSError as error:
        raise _refusal(path, error) from error


def _put(path: Path, content: bytes, like: os.stat_result) -> None:
    """Have the content under that name, on disk, with mode and owner of another file."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            if (like.st_uid, like.st_gid) != _owner(fd):
                os.fchown(fd, like.st_uid, like.st_gid)
            os.fchmod(fd, stat.S_IMODE(like.st_mode))
            file.write(content)
            file.flush()
            os.fsync(fd)
        beside.replace(path)
    except BaseException:  # raised again: only the half-made file must not stay
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _owner(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_uid, status.st_gid


def _refusal(path: Path, error: OSError) -> FileReadOnly:
    said = f"{path} can't be written: {os.strerror(error.errno or 0)}."
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return FileFull(f"{said} Make room on that disk, and try again.")
        case errno.EROFS | errno.EACCES:
            return FileReadOnly(
                f"{said} The gateway may not write there, which is how its service is meant to be; change the file by "
                "hand, and reload."
            )
        case errno.EPERM:
            return FileReadOnly(f"{said} It belongs to somebody else; change it by hand, and reload.")
        case _:
            return FileReadOnly(f"{said} Change it by hand, and reload.")
