"""Changes to a password file: other lines stay as they are, byte for byte; a power cut leaves the old file or the new.

A new file belongs to whoever runs the command and is for his eyes only (0600); one that was there keeps owner and mode
where this user may set them. Two commands at once wait for each other, by a lock on the file's folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.access.errors import AccessError, problem
from gateway.access.password_file import username_of


def set_user(path: Path, username: str, hashed: str) -> bool:
    """Give the user this hash; whether he was there already. Raises AccessError when the file can't be read or written.

    A user who is there twice by mistake is there once afterwards.
    """
    line = f"{username}:{hashed}".encode()
    was_there = False

    def edit(content: bytes) -> bytes:
        nonlocal was_there
        lines = []
        for old in io.BytesIO(content).readlines():
            if _username_of(old) != username:
                lines.append(old)
            elif not was_there:
                was_there = True
                lines.append(line + _ending(old))
        if not was_there:
            end = _ending(lines[-1]) if lines else b"\n"
            if lines and not end:
                lines[-1] += b"\n"
            lines.append(line + (end or b"\n"))
        return b"".join(lines)

    _replace(path, edit, may_be_missing=True)
    return was_there


def delete_user(path: Path, username: str) -> bool:
    """Delete the user's line; false when there is none. Raises AccessError when the file can't be read or written."""
    was_there = False

    def edit(content: bytes) -> bytes | None:
        nonlocal was_there
        old = io.BytesIO(content).readlines()
        kept = [line for line in old if _username_of(line) != username]
        was_there = len(kept) != len(old)
        return b"".join(kept) if was_there else None

    _replace(path, edit, may_be_missing=False)
    return was_there


def _username_of(line: bytes) -> str | None:
    return username_of(line.decode(errors="surrogateescape").removeprefix("\ufeff"))


def _ending(line: bytes) -> bytes:
    if line.endswith(b"\r\n"):
        return b"\r\n"
    return b"\n" if line.endswith(b"\n") else b""


def _replace(path: Path, edit: Callable[[bytes], bytes | None], *, may_be_missing: bool) -> None:
    """Put what `edit` makes of the file in its place, with fsync; None: leave it."""
    target = path.resolve()  # a link stays a link
    try:
        with _locked(target.parent):
            try:
                content = target.read_bytes()
                before = target.stat()
            except FileNotFoundError:
                if not may_be_missing:
                    raise
                content, before = b"", None
            made = edit(content)
            if made is not None:
                _write(target, made, before)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise AccessError([problem(path, f"can't be changed: {reason}. Nothing was written.")]) from error


def _write(target: Path, content: bytes, before: os.stat_result | None) -> None:
    fd, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # 0600
    made = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            if before is not None:
                with contextlib.suppress(PermissionError):  # only root may give a file away
                    os.fchown(fd, before.st_uid, before.st_gid)
                os.fchmod(fd, stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            os.fsync(fd)
        made.replace(target)
    except BaseException:  # whatever it was goes on; only the half-written file does not stay
        made.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
