"""TLS between a socket and what is above it (RFC 8446, RFC 5246).

Bytes go through OpenSSL's memory buffers, by hand: so a PROXY header can come before the handshake, all transports have
one time-out for everything up to CONNECT, and a new certificate holds for the next connection without touching the
others. A read is decrypted as a whole before it is handed on.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Final

from config.settings import UsernameFrom
from gateway.listener.door import Door
from gateway.listener.layer import Above, Layer

if TYPE_CHECKING:
    from gateway.listener.connection import Connection

FAILED: Final = "tls_handshake"
BROKEN: Final = "tls"
"""Why connections end, in the counters."""

_RECORD_BYTES: Final = 16 * 1024
_NAMES: Final = {"DNS", "email", "URI"}
"""The kinds of subject alternative names that can be a user name."""


class TlsLayer(Layer):
    """One connection's TLS, as the server."""

    def __init__(
        self, above: Above, connection: Connection, door: Door, *, context: ssl.SSLContext, username_from: UsernameFrom
    ) -> None:
        super().__init__(above, connection, door)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._username_from = username_from
        self._is_open = False
        self._has_ended = False

    # ---- for what is below ----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes came."""
        if self._has_ended:
            return
        self._incoming.write(data)
        if self._is_open or self._shake_hands():
            self._read()

    def _shake_hands(self) -> bool:
        """Go on with the handshake; returns whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._end(FAILED, f"TLS could not be agreed upon: {_reason(error)}.")
            return False
        self._is_open = True
        if self._username_from is not UsernameFrom.PASSWORD:
            self._connection.certificate_username = username_of(self._tls.getpeercert(), self._username_from)
        return True

    def _read(self) -> None:
        plain: list[bytes] = []
        error: ssl.SSLError | None = None
        has_ended = False
        try:
            while chunk := self._tls.read(_RECORD_BYTES):
                plain.append(chunk)
            has_ended = True  # close_notify: nothing more comes
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as broken:
            error = broken
        self._flush()
        if plain:
            self._above.data_received(plain[0] if len(plain) == 1 else b"".join(plain))
        if error is not None:
            self._end(BROKEN, f"Its TLS is broken: {_reason(error)}.")
        elif has_ended:
            self._connection.close()

    def _end(self, code: str, sentence: str) -> None:
        """The alert of OpenSSL is sent, and nothing else."""
        self._flush()
        self._has_ended = True
        self._connection.turn_away(code, sentence)
        self._connection.close()

    # ---- for what is above ----------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if not self._is_open or self._has_ended:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.write(view) :]
        except ssl.SSLError as error:
            self._end(BROKEN, f"Its TLS is broken: {_reason(error)}.")
            return
        self._flush()

    def write_eof(self) -> None:
        """Tell that nothing more comes: close_notify, and the end of the stream."""
        if self._is_open and not self._has_ended:
            self._has_ended = True
            with contextlib.suppress(ssl.SSLError):  # it wants the client's close_notify, which nobody waits for
                self._tls.unwrap()
            self._flush()
        self._shut()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._put(self._outgoing.read())


def username_of(certificate: dict[str, Any] | None, kind: UsernameFrom) -> str | None:
    """The user name in a verified certificate; None where it has none, or more than one common name."""
    if not certificate or kind is UsernameFrom.PASSWORD:
        return None
    if kind is UsernameFrom.COMMON_NAME:
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    else:
        names = [value for key, value in certificate.get("subjectAltName", ()) if key in _NAMES][:1]
    return names[0] if len(names) == 1 and names[0] and names[0].isprintable() else None


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not believed ({error.verify_message})"
    return (error.reason or str(error)).replace("_", " ").lower()
