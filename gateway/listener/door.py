"""What a connection needs of its listener, and a listener of its connections."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, Protocol

from gateway.access.ports import Credentials, Entry, Verdict
from gateway.broker.connack import Terms
from gateway.listener.line import Line
from gateway.listener.partials import Partials
from gateway.listener.peer import Peer, PeerCertificate
from gateway.listener.rates import Throttle
from gateway.listener.wheel import Wheel

READ_BYTES: Final = 256 * 1024


class Guest(Protocol):
    """One connection, as its listener sees it."""

    @property
    def origin(self) -> Peer:
        """Where it comes from: a load balancer, until that has said who is behind it."""

    @property
    def certificate(self) -> PeerCertificate | None:
        """The client's own, where the listener asks for one."""

    def look_for_stall(self, now_s: float) -> None:
        """To be called a few times in the stall time-out."""

    def revoked(self) -> None:
        """The client's certificate was revoked since it came."""

    def close(self) -> None:
        """End the connection after what was written; idempotent."""

    def abort(self) -> None:
        """End the connection now, whatever waits."""


class Door(Protocol):
    """One listener, as its connections see it."""

    terms: Terms
    entry: Entry
    wheel: Wheel
    partials: Partials
    line: Line
    """For TLS handshakes."""
    is_local: bool
    """Whether it can only be reached from this machine."""
    connect_timeout_s: float
    max_connect_size_bytes: int
    stall_timeout_s: float
    read_buffer: memoryview
    """READ_BYTES long, for all connections: each read is copied out of it before the next one."""
    first_buffer: memoryview
    """The beginning of it, as much as is read of a client that was not let in yet."""
    later_buffer: memoryview
    """As much of it as is read then: less where clients have a rate."""

    @property
    def write_buffer_bytes(self) -> int:
        """How much may wait in a new connection's socket buffer before deliveries wait in the session."""

    def throttle(self, now_s: float) -> Throttle | None:
        """The rates of a new client; None where it has none."""

    def has_revoked(self, certificate: PeerCertificate, *, since: ssl.SSLContext) -> bool:
        """Whether a client's certificate was revoked after its handshake began, which goes on by that context."""

    def located(self, guest: Guest) -> bool:
        """A load balancer has said who is behind it; false when there is no place for it."""

    def decide(self, credentials: Credentials) -> asyncio.Task[Verdict]:
        """Ask `entry.decide` in a task that the listener owns."""

    def closed(self, guest: Guest) -> None:
        """The connection is gone."""
