"""One connection of a client: moves bytes between a socket and the broker, keeps its times and its limits.

`data_received` takes everything that came in one go and hands it on in plain calls: no task, no await, no timer is made
for a packet. Reading pauses for three reasons, each its own: the client does not read what it is sent, the store has
more than it can take, or the gateway stops. Writing pauses when the socket's buffer is over its mark; deliveries then
wait in the session's bounded queue.

While the store is congested a read takes no more than a little: ten thousand connections may become readable in one
turn of the loop, before any of them can be paused.

When this side closes, the sending half is shut first and what still comes in is thrown away for a moment, so that the
last packet is not destroyed by a reset on its way to the client.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import Final, Protocol, cast

from config.settings import Address
from gateway.broker.broker import Broker
from gateway.broker.client import Client
from gateway.broker.connack import Terms
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError, ProtocolViolation, UnsupportedVersion
from gateway.mqtt.packets import Connect, Packet
from gateway.mqtt.reader import Reader
from gateway.mqtt.reason_codes import ReasonCode

logger = logging.getLogger(__name__)

READ_BYTES: Final = 256 * 1024
READ_CONGESTED_BYTES: Final = 2 * 1024
WRITE_BUFFER_HIGH_BYTES: Final = 256 * 1024
SOON_BYTES: Final = 64 * 1024
KEEP_ALIVE_FACTOR: Final = 1.5
"""[MQTT-3.1.2-22]"""
LINGER_S: Final = 1.0
"""How long a closed connection waits for the client to close too."""


class Pause(enum.Flag):
    """Why nothing is read."""

    NONE = 0
    WRITING = enum.auto()
    CONGESTED = enum.auto()
    STOPPED = enum.auto()


class Door(Protocol):
    """What a connection needs of its listener."""

    terms: Terms
    connect_timeout_s: float
    read_buffer: memoryview
    """READ_BYTES long, for all connections: each read is copied out of it before the next one."""

    def opened(self, connection: Connection) -> bool:
        """A connection was made; false when there is no place for it."""

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection(asyncio.BufferedProtocol):
    """One socket; a `gateway.broker.ports.Channel` for its client."""

    def __init__(self, broker: Broker, door: Door) -> None:
        self._broker = broker
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(
            max_packet_size_bytes=door.terms.max_packet_size_bytes,
            topic_alias_maximum=door.terms.topic_alias_maximum,
        )
        self._transport: asyncio.Transport | None = None
        self._client: Client | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience_s = door.connect_timeout_s
        self._last_seen_s = 0.0
        self._paused = Pause.NONE
        self._soon: list[bytes] = []
        self._soon_bytes = 0
        self._unsent_bytes = 0
        self._is_closing = False
        self._was_admitted = False
        self.peer = "?"
        self.is_writable = True

    # ---- asyncio.BufferedProtocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: CONNECT has to come within its time."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(Address(host=peer[0], port=peer[1])) if isinstance(peer, tuple) else str(peer)
        self._was_admitted = self._door.opened(self)
        if not self._was_admitted:
            self._is_closing = True
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self._last_seen_s = self._loop.time()
        self._timer = self._loop.call_later(self._patience_s, self._on_timer)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's wish does not matter
        """Where the next read goes; it is as long as may be read."""
        buffer = self._door.read_buffer
        return buffer[:READ_CONGESTED_BYTES] if self._broker.store.is_congested else buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self.data_received(bytes(self._door.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Bytes came: do all that they ask for."""
        if self._is_closing:
            return
        if self._client is not None:  # the time for CONNECT is not made longer by a byte now and then
            self._last_seen_s = self._loop.time()
        reader = self._reader
        error: ProtocolViolation | None = None
        try:
            for packet in reader.feed(data):
                if self._client is not None:
                    self._client.handle(packet)
                else:
                    self._connect(packet)
                if self._has_ended():
                    return
            error = reader.error
        except ProtocolViolation as violation:
            error = violation
        except Exception:  # A fault that one client's packets bring to light must not reach the others.
            logger.exception("The connection of %s is closed after an error.", self._name())
            if self._client is not None:
                self._client.close(ReasonCode.UNSPECIFIED_ERROR)
            self.close()
            return
        if error is not None:
            self._fail(error)
        elif self._broker.store.is_congested and not self._paused & Pause.CONGESTED:
            self._pause(Pause.CONGESTED)
            self._broker.store.on_relief(self._on_relief)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it was lost makes no difference
        """The socket is gone."""
        self._is_closing = True
        self._soon.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._was_admitted:
            self._was_admitted = False
            self._door.closed(self)
        if self._client is not None:
            self._client.lost()
            self._client = None

    def pause_writing(self) -> None:
        """The socket's buffer is over its mark: the client does not read. Its own packets have to wait then, too."""
        self.is_writable = False
        self._pause(Pause.WRITING)

    def resume_writing(self) -> None:
        """The client reads again."""
        self.is_writable = True
        self._unsent_bytes = 0
        self._last_seen_s = self._loop.time()
        self._resume(Pause.WRITING)
        if self._client is not None:
            self._client.pump()

    # ---- Channel --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send at once, behind what waits for the end of this turn."""
        if self._is_closing or self._transport is None:
            return
        if self._soon:
            self._soon.append(data)
            self._flush()
        else:
            self._transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """Send with the rest of this turn of the loop."""
        if self._is_closing:
            return
        if not self._soon:
            self._loop.call_soon(self._flush)
        self._soon.append(data)
        self._soon_bytes += len(data)
        if self._soon_bytes > SOON_BYTES:
            # From here the socket's own mark decides: over it, the session's bounded queue takes the rest.
            self._flush()

    def _flush(self) -> None:
        if self._soon and self._transport is not None:
            data = b"".join(self._soon)
            self._soon.clear()
            self._soon_bytes = 0
            self._transport.write(data)

    def stop_reading(self) -> None:
        """Read nothing more."""
        self._pause(Pause.STOPPED)

    def close(self) -> None:
        """End the connection after what was written."""
        transport = self._transport
        if self._is_closing or transport is None:
            return
        self._flush()
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        if transport.is_closing():
            return
        if transport.can_write_eof():
            # What comes in is thrown away, and the client's own closing is waited for.
            self._resume(self._paused)
            try:
                transport.write_eof()
            except OSError:  # the client reset the connection, and the loop has not told of it yet
                transport.abort()
                return
            self._timer = self._loop.call_later(LINGER_S, transport.abort)
        else:
            transport.close()

    def abort(self) -> None:
        """End the connection now, whatever waits."""
        if self._transport is not None:
            self._transport.abort()

    # ---- within ---------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        return self.peer if self._client is None else f"client {self._client.client_id!r} from {self.peer}"

    def _has_ended(self) -> bool:
        return self._is_closing

    def _connect(self, packet: Packet) -> None:
        if not isinstance(packet, Connect):
            raise ProtocolError("The first packet is not CONNECT.")  # [MQTT-3.1.0-1]
        terms = self._door.terms
        self._client = self._broker.connect(self, packet, terms)
        if self._is_closing:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last_seen_s = self._loop.time()
        keep_alive_s = terms.keep_alive_s(packet)
        if keep_alive_s:
            self._patience_s = keep_alive_s * KEEP_ALIVE_FACTOR
            self._timer = self._loop.call_later(self._patience_s, self._on_timer)

    def _fail(self, error: ProtocolViolation) -> None:
        """The client broke the protocol: say so where its version can be told, and close."""
        if self._client is not None:
            self._client.fail(error)
            return
        version = self._reader.version
        if isinstance(error, UnsupportedVersion):
            version = error.answer_as
        logger.info("A connection from %s is closed before it began. %s", self.peer, error)
        self._broker.counters.refused_connects[error.code] += 1
        if version is not None:
            self.write(writer.connack(version=version, reason_code=error.reason_code))
        self.close()

    def _on_timer(self) -> None:
        """Once in a keep alive, not once a packet: see how long the client has been silent."""
        silent_s = self._loop.time() - self._last_seen_s
        if self._client is not None and self._paused and not self._is_stuck():
            # It could not be heard; it has all its time again from now on.
            self._last_seen_s = self._loop.time()
            silent_s = 0.0
        if silent_s < self._patience_s:
            self._timer = self._loop.call_later(self._patience_s - silent_s, self._on_timer)
        elif self._client is not None:
            logger.info("The connection of %s is closed: nothing came for %.1f s.", self._name(), silent_s)
            self._client.close(ReasonCode.KEEP_ALIVE_TIMEOUT)
        else:
            logger.info("The connection from %s is closed: no CONNECT came within %g s.", self.peer, self._patience_s)
            self._broker.counters.refused_connects["connect_timeout"] += 1
            self.close()

    def _is_stuck(self) -> bool:
        """Whether the client took nothing of what waits for it since the last time this was asked."""
        if not self._paused & Pause.WRITING or self._transport is None:
            return False
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return 0 < before <= self._unsent_bytes

    def _on_relief(self) -> None:
        self._resume(Pause.CONGESTED)

    def _pause(self, reason: Pause) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused |= reason

    def _resume(self, reason: Pause) -> None:
        was_paused = bool(self._paused)
        self._paused &= ~reason
        if was_paused and not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
