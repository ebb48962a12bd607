"""One publisher: a socket, its ring, and the arithmetic of its window.

Hot path, guarded by the generator's own ceiling (`tests/bench`, case generator): `on_readable` costs one recv, one
comparison and one send, however many messages they stand for. The socket's low-water mark (SO_RCVLOWAT) is a quarter of
the window, so that a broker that writes each acknowledgement alone does not wake the generator for each; the last are
awaited one by one.
"""

from __future__ import annotations

import abc
import socket
import ssl
import struct
from typing import Final

from simulators.load.acknowledgements import AckCounter, ExactlyOnceReader, PubAckReader
from simulators.load.options import LoadFailed, LoadOptions
from simulators.load.packets import (
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    ProtocolViolation,
    decode_connack,
    encode_connect,
)
from simulators.load.rings import Ring, release_ring

_READ_BYTES: Final = 64 * 1024
_ACK_BYTES: Final = 4
_SEND_BYTES: Final = 256 * 1024
_TLS_RECORD_BYTES: Final = 16 * 1024
_CONNECT_TIMEOUT_S: Final = 15.0
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket raises, in the clear and under TLS, when it has nothing, or takes nothing, at the moment."""


class Publisher(abc.ABC):
    """A connection of any QoS; `advance` sends what the window allows, `on_readable` counts what comes back."""

    __slots__ = (
        "_limit",
        "_limit_bytes",
        "_low_water_bytes",
        "_outgoing",
        "_read_bytes",
        "_ring",
        "_send_bytes",
        "_sent_bytes",
        "_socket",
        "_tls",
        "_turn_bytes",
        "_view",
        "client_id",
        "is_ending",
        "wants_write",
        "window",
    )

    def __init__(self, ring: Ring, *, client_id: str, window: int) -> None:
        self._ring = ring
        self._view = memoryview(ring.data)
        self._turn_bytes = len(ring.data)
        self._socket: socket.socket = socket.socket()
        self._tls: ssl.SSLSocket | None = None
        self._send_bytes = _SEND_BYTES
        self._low_water_bytes = 1
        self._read_bytes = _READ_BYTES
        self.is_ending = False
        self._limit = 0
        self._limit_bytes = 0
        self._sent_bytes = 0
        self._outgoing = b""
        self.client_id = client_id
        self.window = window
        self.wants_write = False

    def connect(self, options: LoadOptions) -> None:
        """Connect and wait for the CONNACK; narrows the window to the broker's Receive Maximum. Raises LoadFailed."""
        host, port, version = options.host, options.port, options.version
        self._socket.close()
        try:
            self._socket = socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if options.ca_file is not None:
                context = ssl.create_default_context(cafile=options.ca_file)
                self._socket = self._tls = context.wrap_socket(self._socket, server_hostname="localhost")
                self._send_bytes = _TLS_RECORD_BYTES
            hello = encode_connect(
                self.client_id, version=version, username=options.username, password=options.password
            )
            self._socket.sendall(hello)
            data = b""
            while (answer := decode_connack(data, version=version)) is None:
                more = self._socket.recv(_READ_BYTES)
                if not more:
                    raise LoadFailed(f"The broker at {host}:{port} closed the connection in place of a CONNACK.")
                data += more
        except (OSError, ProtocolViolation) as error:
            raise LoadFailed(f"No MQTT connection to {host}:{port} could be made: {error}") from error
        if answer.reason_code:
            raise LoadFailed(f"The broker at {host}:{port} refused the connection, reason 0x{answer.reason_code:02x}.")
        self.window = min(self.window, answer.receive_maximum)
        self._read_bytes = min(_READ_BYTES, max(256, 2 * _ACK_BYTES * self.window))
        self._socket.setblocking(False)

    def _wake_after(self, acknowledgements: int) -> None:
        """Have the poll report the socket readable when so many acknowledgements are there."""
        mark = max(1, _ACK_BYTES * acknowledgements)
        if self._tls is not None:  # whose records are longer than what they carry
            return
        if mark != self._low_water_bytes:
            self._low_water_bytes = mark
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, mark)

    def fileno(self) -> int:
        """The socket's file number."""
        return self._socket.fileno()

    @property
    def sent(self) -> int:
        """Messages begun."""
        return -(-self._sent_bytes // self._ring.size_bytes)

    @property
    @abc.abstractmethod
    def finished(self) -> int:
        """Messages whose exchange has ended, refused ones among them."""

    @property
    def allowed(self) -> int:
        """How many messages may have been sent by now."""
        return min(self._limit, self.finished + self.window)

    @property
    def refused(self) -> int:
        """Messages the broker said no to."""
        return 0

    @property
    def disordered(self) -> int:
        """Acknowledgements that were not for the oldest message in flight."""
        return 0

    @property
    def is_done(self) -> bool:
        """Whether all that was allowed has been sent and answered."""
        return self.finished >= self._limit and not self._outgoing

    def set_limit(self, messages: int) -> None:
        """How many messages this connection sends in all."""
        self._limit = messages
        self._limit_bytes = messages * self._ring.size_bytes
        self.is_ending = not messages

        self._wake_after(self.window // 4 if messages > self.window else 0)

    def stop_sending(self) -> None:
        """Send nothing more than what has been begun."""
        self._limit = min(self._limit, self.sent)
        self._limit_bytes = self._limit * self._ring.size_bytes
        self.is_ending = self._sent_bytes >= self._limit_bytes
        self._wake_after(0)

    def advance(self) -> None:
        """Send what the window allows, as far as the socket takes it."""
        end = self.allowed * self._ring.size_bytes
        try:
            if self._outgoing:
                self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]
            while self._sent_bytes < end and not self._outgoing:
                at = self._sent_bytes % self._turn_bytes
                piece = self._view[at : at + min(end - self._sent_bytes, self._send_bytes)]
                taken = self._socket.send(piece)
                self._sent_bytes += taken
                if taken < len(piece):
                    self.wants_write = True
                    return
        except _NOT_NOW:
            self.wants_write = True
            return
        self.wants_write = bool(self._outgoing)
        if self._sent_bytes >= self._limit_bytes:
            self.is_ending = True
            self._wake_after(0)

    def on_readable(self) -> None:
        """Count what came, then send what that allows. Raises LoadFailed when the broker is gone or talks nonsense."""
        try:
            data = self._socket.recv(self._read_bytes)
            if self._tls is not None:
                while self._tls.pending():  # what TLS has decrypted shows on no poll
                    data += self._tls.recv(self._read_bytes)
            if not data:
                raise LoadFailed(f"The broker closed the connection of {self.client_id}.")
            self._count(data)
            if not self.wants_write:
                self.advance()
        except _NOT_NOW:
            return
        except (OSError, ProtocolViolation) as error:
            raise LoadFailed(f"The connection of {self.client_id} failed: {error}") from error

    def on_writable(self) -> None:
        """Go on sending. Raises LoadFailed when the broker is gone."""
        try:
            self.advance()
        except OSError as error:
            raise LoadFailed(f"The connection of {self.client_id} failed: {error}") from error

    def close(self) -> None:
        """DISCONNECT and close; a broker that is gone already does not matter."""
        try:
            self._socket.setblocking(True)
            self._socket.settimeout(0.5)
            self._socket.sendall(DISCONNECT)
        except OSError:
            pass
        finally:
            self._socket.close()

    @abc.abstractmethod
    def _count(self, data: bytes) -> None:
        """Take note of what the broker answered. Raises ProtocolViolation."""


class AtLeastOncePublisher(Publisher):
    """QoS 1: a message ends with its PUBACK."""

    __slots__ = ("_acks", "_reader")

    def __init__(self, ring: Ring, *, client_id: str, window: int) -> None:
        super().__init__(ring, client_id=client_id, window=window)
        self._acks = AckCounter(PUBACK, ring.count)
        self._reader = PubAckReader(self._acks)

    def _count(self, data: bytes) -> None:
        self._reader.feed(data)

    @property
    def finished(self) -> int:
        return self._acks.received

    @property
    def refused(self) -> int:
        return self._acks.refused

    @property
    def disordered(self) -> int:
        return self._acks.disordered


class ExactlyOncePublisher(Publisher):
    """QoS 2: PUBREC, PUBREL, PUBCOMP; the window counts a message until its PUBCOMP (MQTT 5 §4.9)."""

    __slots__ = ("_comps", "_reader", "_recs", "_releases", "_turn")

    def __init__(self, ring: Ring, *, client_id: str, window: int) -> None:
        super().__init__(ring, client_id=client_id, window=window)
        self._recs = AckCounter(PUBREC, ring.count)
        self._comps = AckCounter(PUBCOMP, ring.count)
        self._reader = ExactlyOnceReader(self._recs, self._comps)
        self._releases = release_ring(ring.count)
        self._turn = ring.count

    @property
    def finished(self) -> int:
        return self._comps.received + self._recs.refused

    @property
    def refused(self) -> int:
        return self._recs.refused + self._comps.refused

    @property
    def disordered(self) -> int:
        return self._recs.disordered + self._comps.disordered

    def advance(self) -> None:
        """PUBRELs can't go into the middle of a PUBLISH that the socket took in part: finish that first."""
        begun = self._sent_bytes % self._ring.size_bytes
        if begun and self._outgoing:
            try:
                at = self._sent_bytes % self._turn_bytes
                self._sent_bytes += self._socket.send(self._view[at : at + self._ring.size_bytes - begun])
            except _NOT_NOW:
                pass
            if self._sent_bytes % self._ring.size_bytes:
                self.wants_write = True
                return
        super().advance()

    def _count(self, data: bytes) -> None:
        at = self._recs.position
        expected, parsed = self._reader.feed(data)
        if expected:
            self._outgoing += self._releases[4 * at : 4 * (at + expected)]
        for packet_id in parsed:
            self._outgoing += struct.pack("!BBH", PUBREL, 2, packet_id)


class AtMostOncePublisher(Publisher):
    """QoS 0: nothing is acknowledged; a PINGRESP after the last message says that the broker has read them all."""

    __slots__ = ("_answer", "_asked")

    def __init__(self, ring: Ring, *, client_id: str, window: int) -> None:
        super().__init__(ring, client_id=client_id, window=window)
        self._answer = b""
        self._asked = False

    @property
    def finished(self) -> int:
        return self._limit if self._answer == PINGRESP else 0

    @property
    def allowed(self) -> int:
        return self._limit

    def advance(self) -> None:
        super().advance()
        if self._sent_bytes >= self._limit_bytes and not self._asked:
            self._asked = True
            self._outgoing = PINGREQ
            super().advance()

    def _count(self, data: bytes) -> None:
        self._answer += data
        if not PINGRESP.startswith(self._answer):
            raise ProtocolViolation("The broker sent a publisher of QoS 0 something that is no PINGRESP.")


PUBLISHERS: Final = (AtMostOncePublisher, AtLeastOncePublisher, ExactlyOncePublisher)
"""By QoS."""
