"""The certificates of one listener at work: read at the start, by a reload, and when their files change; and who may
not stay, because his own was revoked.

Where a listener speaks no TLS there are none, and nothing of it is loaded.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bridge.ports import Clock
from config.settings import Listener
from gateway.listener.door import Guest
from gateway.listener.errors import ListenerError
from gateway.listener.peer import PeerCertificate

if TYPE_CHECKING:
    from gateway.listener.certificates import Certificates, Loaded

WATCH_EVERY_S: Final = 30.0


def read_certificates(settings: Listener) -> Certificates | None:
    """Those that a listener's settings name; None without TLS. Blocks. Raises ListenerError."""
    if not settings.transport.is_tls:
        return None
    from gateway.listener.certificates import CertificateError, Certificates

    alpn = "http/1.1" if settings.transport.is_websocket else "mqtt"
    try:
        return Certificates(settings.tls, name=settings.name, alpn=alpn)
    except CertificateError as error:
        raise ListenerError(
            f"The listener {settings.name!r} cannot speak TLS: {error}", name=settings.name, address=settings.bind
        ) from error


class CertificateWatch:
    """`guests` are those who are connected, now and later."""

    __slots__ = ("_certificates", "_clock", "_guests", "_watching")

    def __init__(self, guests: Iterable[Guest], clock: Clock) -> None:
        self._guests = guests
        self._clock = clock
        self._certificates: Certificates | None = None
        self._watching: asyncio.TimerHandle | None = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """For a new connection; None without TLS."""
        return None if self._certificates is None else self._certificates.current.context

    @property
    def expires_at(self) -> datetime | None:
        """When the certificate ends, in UTC; None without TLS."""
        return None if self._certificates is None else self._certificates.current.expires_at

    def adopt(self, certificates: Certificates | None) -> None:
        """Have these from now on, if there are any. Who is connected stays, unless his own was revoked."""
        if certificates is not None:
            self._certificates = certificates
            self._close_revoked(certificates.current)

    def start(self) -> None:
        """Look after the files from now on."""
        if self._certificates is not None:
            self._watching = asyncio.get_running_loop().call_later(WATCH_EVERY_S, self.start)
            before = self._certificates.current
            self._certificates.check(datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC))
            if self._certificates.current is not before:
                self._close_revoked(self._certificates.current)

    def stop(self) -> None:
        """Look no more; idempotent."""
        if self._watching is not None:
            self._watching.cancel()

    def has_revoked(self, certificate: PeerCertificate, *, since: ssl.SSLContext) -> bool:
        """Whether a client's certificate was revoked after its handshake began, which goes on by that context."""
        loaded = None if self._certificates is None else self._certificates.current
        return loaded is not None and loaded.context is not since and loaded.revokes(certificate)

    def _close_revoked(self, loaded: Loaded) -> None:
        for guest in self._guests:
            certificate = guest.certificate
            if certificate is not None and loaded.revokes(certificate):
                guest.revoked()
