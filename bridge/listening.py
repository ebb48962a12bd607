"""Listening sockets of an address, IPv4 and IPv6; and what this machine is called.

`[::]` and an empty host mean every address of both versions, in one socket; a name is bound on each of its addresses,
with one port. Sockets listen when they are given back, and don't block.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Final

from config.settings import Address

BACKLOG: Final = 4096
"""The system cuts it to net.core.somaxconn."""
PROBE_AFTER_S: Final = 600
"""A peer from which nothing came for so long is asked by the system whether it is there."""
FREE_PORT_TRIES: Final = 5
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

Host = tuple[int, str]
"""Family and address."""


def listen(bind: Address, hosts: Sequence[Host] | None = None) -> list[socket.socket]:
    """Sockets that listen on an address; with port 0 on one free port. Raises OSError.

    `hosts`: what `hosts_of` found; without it the resolver is asked here, which may take seconds for a name.
    """
    hosts = hosts_of(bind) if hosts is None else hosts
    for _ in range(FREE_PORT_TRIES):
        try:
            return _listen(hosts, bind.port)
        except OSError as error:
            # A port that is free on one address of a name may be taken on another.
            if bind.port or len(hosts) == 1 or error.errno != errno.EADDRINUSE:
                raise
    return _listen(hosts, bind.port)


def hosts_of(bind: Address) -> list[Host]:
    """The addresses of a name, each once; for all addresses without IPv6, that of IPv4. Blocking."""
    host = bind.host or "::"
    if host == "::" and not _has_ip6():
        return [(socket.AF_INET, "0.0.0.0")]
    found = socket.getaddrinfo(host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), str(name[0])) for family, _, _, _, name in found))


def _listen(hosts: Sequence[Host], port: int) -> list[socket.socket]:
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
    except (OSError, OverflowError):
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
    except (OSError, OverflowError):
        sock.close()
        raise
    return sock


def _has_ip6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::", 0))
    except OSError:
        return False
    return True


def own_names() -> tuple[str, ...]:
    """What this machine calls itself, in lower case: names that no web page elsewhere can have lead here."""
    name = socket.gethostname().casefold()
    short = name.partition(".")[0]
    # No DNS server answers for names in `.local`.
    return name, short, f"{short}.local"
