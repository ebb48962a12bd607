"""A listening Unix socket, and its file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.listening import BACKLOG
from config.settings import UnixPath

UNIX_MODE: Final = 0o660


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """The file of a Unix socket: which one it is, so that at the end no other is removed under its name."""

    path: Path
    device: int
    inode: int

    def remove(self) -> None:
        """Remove it, unless another process has put its own there."""
        with contextlib.suppress(OSError):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                self.path.unlink()


def listen_unix(bind: UnixPath) -> tuple[socket.socket, SocketFile]:
    """A Unix socket that its owner and its group may connect to. Raises OSError; EADDRINUSE when another process
    listens there, ENOTSOCK when the path is something else than a socket.

    A socket file that a dead process left is removed. Two gateways that start at once agree by a lock on the folder:
    without it each could take the other's new socket, which does not listen yet, for a dead one.
    """
    path = bind.path
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        _remove_dead(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(str(path))
            path.chmod(UNIX_MODE)  # before `listen`: until then nobody can connect, whatever the umask allowed
            sock.listen(BACKLOG)
            made = path.lstat()
        except OSError:
            sock.close()
            raise
        return sock, SocketFile(path=path, device=made.st_dev, inode=made.st_ino)
    finally:
        os.close(folder)


def _remove_dead(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # somebody listens, whose queue is full
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
