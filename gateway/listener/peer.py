"""Where a connection comes from."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from config.settings import Address

_MAPPED: Final = "::ffff:"
"""An IPv4 client of a socket that is bound to [::] (RFC 4291 §2.5.5.2)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The far end of a connection; a Unix socket has no host and no port."""

    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return str(Address(host=self.host, port=self.port)) if self.host else "the Unix socket"

    @property
    def group(self) -> str | bytes:
        """What counts as one address: an IPv4 address; of IPv6 the /64, all of which one customer usually has."""
        if ":" not in self.host:
            return self.host
        try:
            return socket.inet_pton(socket.AF_INET6, self.host.partition("%")[0])[:8]
        except OSError:
            return self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    """What is kept of a client's verified certificate: who signed it, which it is, and when it ends (UTC)."""

    issuer: str
    serial: int
    expires_at: datetime


def peer_of(name: Any) -> Peer:
    """From what the socket says: (host, port, …) for IP, something else for a Unix socket."""
    if not isinstance(name, tuple):
        return Peer()
    host, port = name[0], name[1]
    if host.startswith(_MAPPED) and "." in host:
        host = host[len(_MAPPED) :]
    return Peer(host, port)
