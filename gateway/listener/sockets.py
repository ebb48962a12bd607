"""Listening sockets: IPv4, IPv6 and Unix.

`[::]` and an empty host mean every address of both versions, in one socket; a name is bound on each of its addresses,
with one port. Sockets listen when they are given back, and don't block.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import Address, UnixPath

BACKLOG: Final = 4096
"""The system cuts it to net.core.somaxconn."""
PROBE_AFTER_S: Final = 600
"""A peer from which nothing came for so long is asked by the system whether it is there."""
UNIX_MODE: Final = 0o660
FREE_PORT_TRIES: Final = 5
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


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


def listen(bind: Address) -> list[socket.socket]:
    """Sockets that listen on an address; with port 0 on one free port. Raises OSError."""
    hosts = list(_hosts(bind))
    for _ in range(FREE_PORT_TRIES):
        try:
            return _listen(hosts, bind.port)
        except OSError as error:
            # A port that is free on one address of a name may be taken on another.
            if bind.port or len(hosts) == 1 or error.errno != errno.EADDRINUSE:
                raise
    return _listen(hosts, bind.port)


def _listen(hosts: list[tuple[int, str]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, host in hosts:
            try:
                sockets.append(_bound(family, host, port))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error  # `localhost` is ::1 too, also on a machine without IPv6
            else:
                port = sockets[-1].getsockname()[1]
        if missing is not None and not sockets:
            raise missing
        for sock in sockets:
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bound(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted ones inherit these. A client without a keep alive that lost its power would keep its place for ever.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _hosts(bind: Address) -> Iterator[tuple[int, str]]:
    """The addresses of a name, each once; where all addresses are meant and there is no IPv6, that of IPv4."""
    host = bind.host or "::"
    if host == "::" and not _has_ip6():
        yield socket.AF_INET, "0.0.0.0"
        return
    found = socket.getaddrinfo(host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    yield from dict.fromkeys((int(family), str(name[0])) for family, _, _, _, name in found)


def _has_ip6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::", 0))
    except OSError:
        return False
    return True


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
