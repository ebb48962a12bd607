"""TLS between a socket and what is above it (RFC 8446, RFC 5246).

Bytes go through OpenSSL's memory buffers, by hand: so a PROXY header can come before the handshake, all transports have
one time-out for everything up to CONNECT, and a new certificate holds for the next connection without touching the
others. A read is decrypted as a whole before it is handed on.

A handshake is the most that somebody unknown can ask of the gateway. Nothing is spent on it before the whole
ClientHello is there; then it stands in line, where nothing more is read of it. Those that are under way count among
half-received packets, so what they take is bounded for all of them together.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Final

from config.settings import UsernameFrom
from gateway.listener.certificates import peer_certificate
from gateway.listener.client_hello import HelloInvalid, wanted_bytes
from gateway.listener.door import Door
from gateway.listener.layer import Above, Layer
from gateway.listener.pipe import Pause

if TYPE_CHECKING:
    from gateway.listener.connection import Connection

FAILED: Final = "tls_handshake"
BROKEN: Final = "tls"
"""Why connections end, in the counters."""

HANDSHAKE_BYTES: Final = 64 * 1024
"""What OpenSSL takes while a handshake is under way, roughly."""

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
        self._context = context
        self._tls: ssl.SSLObject | None = None
        self._hello = bytearray()
        self._username_from = username_from
        self._is_in_line = False
        self._is_open = False
        self._has_ended = False

    # ---- for what is below ----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes came."""
        if self._tls is not None and self._is_open:
            if not self._has_ended:
                self._incoming.write(data)
                self._read(self._tls)
        elif not self._connection.has_ended and (hello := self._greet(data)):
            self._incoming.write(hello)
            if not self._is_in_line:
                self._is_in_line = True
                self._connection.pause(Pause.HANDSHAKE)
                self._door.line.enter(self._shake_hands)

    def _greet(self, data: bytes) -> bytes:
        """What OpenSSL may see of what came: nothing before the ClientHello is whole."""
        if self._tls is not None:
            return data
        hello = self._hello
        hello += data
        try:
            is_whole = len(hello) >= wanted_bytes(hello)
        except HelloInvalid as error:
            self._end(FAILED, f"TLS could not be agreed upon: {error}")
            return b""
        self._door.partials.note(self, HANDSHAKE_BYTES if is_whole else len(hello))
        if not is_whole or self._connection.has_ended:
            return b""
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        data = bytes(hello)
        hello.clear()
        return data

    def _shake_hands(self) -> None:
        """Go on with the handshake: its turn has come."""
        self._is_in_line = False
        if self._connection.has_ended or self._tls is None:
            return
        self._connection.resume(Pause.HANDSHAKE)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._end(FAILED, f"TLS could not be agreed upon: {_reason(error)}.")
            return
        self._is_open = True
        self._door.partials.release(self)
        der = self._tls.getpeercert(binary_form=True)
        if der is not None:
            self._connection.certificate = certificate = peer_certificate(der)
            if self._door.has_revoked(certificate, since=self._context):
                self._connection.revoked()
                return
        if self._username_from is not UsernameFrom.PASSWORD:
            self._connection.certificate_username = username_of(self._tls.getpeercert(), self._username_from)
        self._read(self._tls)

    def _read(self, tls: ssl.SSLObject) -> None:
        plain: list[bytes] = []
        error: ssl.SSLError | None = None
        has_ended = False
        try:
            while chunk := tls.read(_RECORD_BYTES):
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
        if not self._connection.has_ended:
            self._connection.turn_away(code, sentence)
            self._connection.close()

    # ---- for what is above ----------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._tls is None or not self._is_open or self._has_ended:
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
        if self._tls is not None and self._is_open and not self._has_ended:
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
