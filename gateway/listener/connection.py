"""One connection of a client: moves bytes between a socket and the broker, keeps its times and its limits.

`data_received` takes everything that came in one go and hands it on in plain calls: no task, no await, no timer is made
for a packet. Reading pauses for five reasons, each its own: it is not decided yet whether the client may come in, the
client does not read what it is sent, it sends faster than it may, the store has more than it can take, or the gateway
stops. Writing pauses when the socket's buffer is over its mark; deliveries then wait in the session's bounded queue.

While the store is congested a read takes no more than a little: ten thousand connections may become readable in one
turn of the loop, before any of them can be paused. Before a client was let in, a read takes no more than a CONNECT may
have: what came behind it is held until then, and nothing more is read.

When this side closes, the sending half is shut first and what still comes in is thrown away for a moment, so that the
last packet is not destroyed by a reset on its way to the client.

TLS and WebSocket are layers (`gateway.listener.layer`) between the socket and the connection, which does not know.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from dataclasses import dataclass
from typing import Final, cast

from gateway.access.ports import Credentials, Refusal, Refused, Verdict
from gateway.broker.broker import Broker
from gateway.broker.client import Client
from gateway.listener.door import Door
from gateway.listener.partials import SMALL_BYTES
from gateway.listener.peer import Peer
from gateway.listener.rates import Throttle
from gateway.listener.wheel import NOWHERE
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError, ProtocolViolation, UnsupportedVersion
from gateway.mqtt.packets import Connect, Packet, PublishBatch
from gateway.mqtt.reader import Reader
from gateway.mqtt.reason_codes import ReasonCode

logger = logging.getLogger(__name__)

READ_CONGESTED_BYTES: Final = 2 * 1024
WRITE_BUFFER_HIGH_BYTES: Final = 256 * 1024
SOON_BYTES: Final = 64 * 1024
KEEP_ALIVE_FACTOR: Final = 1.5
"""[MQTT-3.1.2-22]"""
LINGER_S: Final = 1.0
"""How long a closed connection waits for the client to close too."""
BROKEN: Final = "The connection of %s is closed after an error."


class Pause(enum.Flag):
    """Why nothing is read."""

    NONE = 0
    ADMISSION = enum.auto()
    WRITING = enum.auto()
    THROTTLED = enum.auto()
    CONGESTED = enum.auto()
    STOPPED = enum.auto()


@dataclass(slots=True, kw_only=True)
class Admission:
    """A CONNECT that is being decided, and what came behind it."""

    packet: Connect
    task: asyncio.Task[Verdict]
    held: list[Packet]


class Connection(asyncio.BufferedProtocol):
    """One socket; a `gateway.broker.ports.Channel` for its client. `origin`: where it comes from."""

    __slots__ = (
        "_admission",
        "_broker",
        "_buffer",
        "_client",
        "_door",
        "_is_closing",
        "_last_seen_s",
        "_loop",
        "_partial_bytes",
        "_patience_s",
        "_paused",
        "_reader",
        "_soon",
        "_soon_bytes",
        "_stalled_since_s",
        "_taken_bytes",
        "_throttle",
        "_transport",
        "_unsent_bytes",
        "_written_bytes",
        "certificate_username",
        "is_writable",
        "origin",
        "wheel_slot",
    )

    def __init__(self, broker: Broker, door: Door, origin: Peer) -> None:
        self._broker = broker
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(
            max_packet_size_bytes=door.terms.max_packet_size_bytes,
            first_packet_limit_bytes=door.max_connect_size_bytes,
            topic_alias_maximum=door.terms.topic_alias_maximum,
        )
        self._buffer = door.first_buffer
        self._transport: asyncio.Transport | None = None
        self._client: Client | None = None
        self._admission: Admission | None = None
        self._throttle: Throttle | None = None
        self._patience_s = door.connect_timeout_s
        self._last_seen_s = 0.0
        self._paused = Pause.NONE
        self._soon: list[bytes] = []
        self._soon_bytes = 0
        self._partial_bytes = 0
        self._unsent_bytes = 0
        self._written_bytes = 0
        self._taken_bytes = 0
        self._stalled_since_s: float | None = None
        self._is_closing = False
        self.origin = origin
        self.certificate_username: str | None = None
        self.is_writable = True
        self.wheel_slot = NOWHERE

    @property
    def peer(self) -> str:
        """Where the client is, for logs."""
        return str(self.origin)

    # ---- asyncio.BufferedProtocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: CONNECT has to come within its time."""
        self._transport = cast("asyncio.Transport", transport)
        if self._is_closing:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH_BYTES)
        self._last_seen_s = self._loop.time()
        self._door.wheel.put(self, self._last_seen_s + self._patience_s)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's wish does not matter
        """Where the next read goes; it is as long as may be read."""
        buffer = self._buffer
        return buffer[:READ_CONGESTED_BYTES] if self._broker.store.is_congested else buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self.data_received(bytes(self._buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Bytes came: do all that they ask for."""
        if self._is_closing:
            return
        client = self._client
        reader = self._reader
        try:
            packets = reader.feed(data)
            if client is None:
                self._knock(packets)
            else:
                self._last_seen_s = self._loop.time()
                for packet in packets:
                    client.handle(packet)
                    if self.has_ended:
                        return
                if reader.error is not None:
                    raise reader.error
        except ProtocolViolation as violation:
            self._fail(violation)
            return
        except Exception:  # A fault that one client's packets bring to light must not reach the others.
            logger.exception(BROKEN, self._name())
            self._break_off()
            return
        pending_bytes = reader.pending_bytes
        if pending_bytes > SMALL_BYTES or self._partial_bytes:
            self._note_partial(pending_bytes)
        if self._throttle is not None:
            self._slow_down(self._throttle, packets, len(data))
        if self._broker.store.is_congested and not self._paused & Pause.CONGESTED:
            self._pause(Pause.CONGESTED)
            self._broker.store.on_relief(self._on_relief)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it was lost makes no difference
        """The socket is gone."""
        self._is_closing = True
        self._soon.clear()
        self._forget_admission()
        self._door.wheel.remove(self)
        self._door.partials.release(self)
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
            self._written_bytes += len(data)
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
            self._written_bytes += len(data)
            self._transport.write(data)

    def stop_reading(self) -> None:
        """Read nothing more."""
        self._pause(Pause.STOPPED)

    def close(self) -> None:
        """End the connection after what was written."""
        transport = self._transport
        if self._is_closing:
            return
        self._flush()
        self._is_closing = True
        self._forget_admission()
        self._door.wheel.remove(self)
        self._door.partials.release(self)
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            # What comes in is thrown away, and the client's own closing is waited for.
            self._resume(self._paused)
            try:
                transport.write_eof()
            except OSError:  # the client reset the connection, and the loop has not told of it yet
                transport.abort()
                return
            self._door.wheel.put(self, self._loop.time() + LINGER_S)
        else:
            transport.close()

    def abort(self) -> None:
        """End the connection now, whatever waits."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()

    # ---- for the layers below -------------------------------------------------------------------------------------

    def located(self, peer: Peer | None) -> bool:
        """A load balancer says who is behind it (None: itself); false when there is no place for that one."""
        self.origin = peer or self.origin
        if not self._door.located(self):
            self.abort()
            return False
        return True

    @property
    def is_let_in(self) -> bool:
        """Whether it is a client's, who may be here."""
        return self._client is not None

    @property
    def has_ended(self) -> bool:
        """Whether it is being closed, or gone."""
        return self._is_closing

    def turn_away(self, code: str, sentence: str) -> None:
        """Count and tell why the connection ends; who found it closes it."""
        if self._client is None:
            logger.info("A connection from %s is closed before it began. %s", self.peer, sentence)
            self._broker.counters.refused_connects[code] += 1
        else:
            logger.info("The connection of %s is closed. %s", self._name(), sentence)
            self._broker.counters.disconnects[code] += 1

    # ---- for the listener -----------------------------------------------------------------------------------------

    def on_due(self, now_s: float) -> None:
        """Once in a keep alive, not once a packet: see how long the client has been silent."""
        if self._is_closing:
            self.abort()
            return
        client = self._client
        if client is not None and self._paused and not self._is_stuck():
            # It could not be heard; it has all its time again from now on.
            self._last_seen_s = now_s
        silent_s = now_s - self._last_seen_s
        if silent_s < self._patience_s:
            self._door.wheel.put(self, self._last_seen_s + self._patience_s)
        elif client is not None:
            logger.info("The connection of %s is closed: nothing came for %.1f s.", self._name(), silent_s)
            client.close(ReasonCode.KEEP_ALIVE_TIMEOUT)
        elif self._admission is not None:
            late = Refused(reason=Refusal.SERVER_UNAVAILABLE, detail=f"No verdict came within {self._patience_s:g} s.")
            packet = self._admission.packet
            self._forget_admission()
            self._enter(packet, late, [])
        else:
            logger.info("The connection from %s is closed: no CONNECT came within %g s.", self.peer, self._patience_s)
            self._broker.counters.refused_connects["connect_timeout"] += 1
            self.close()

    def look_for_stall(self, now_s: float) -> None:
        """To be called a few times in the stall time-out: a client that takes nothing in all of it is cut."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        unsent_bytes = transport.get_write_buffer_size()
        taken_bytes = self._written_bytes - unsent_bytes
        if not unsent_bytes:
            self._stalled_since_s = None
        elif self._stalled_since_s is None or taken_bytes > self._taken_bytes:
            self._stalled_since_s = now_s
        elif now_s - self._stalled_since_s >= self._door.stall_timeout_s:
            logger.info("The connection of %s is cut: it takes nothing of what waits for it.", self._name())
            self._broker.counters.disconnects["stalled"] += 1
            self.abort()
        self._taken_bytes = taken_bytes

    def give_up(self) -> None:
        """Close: too much of half-received packets is in memory, and this connection has the most."""
        logger.warning("The connection of %s is closed: half-received packets take too much memory.", self._name())
        self._reader = Reader(max_packet_size_bytes=self._door.max_connect_size_bytes)  # lets go of the old one's bytes
        if self._client is not None:
            self._client.close(ReasonCode.QUOTA_EXCEEDED)
        else:
            self._broker.counters.refused_connects["quota_exceeded"] += 1
        self.close()

    # ---- within ---------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        return self.peer if self._client is None else f"client {self._client.client_id!r} from {self.peer}"

    def _knock(self, packets: list[Packet]) -> None:
        """CONNECT, and what came behind it."""
        if self._admission is not None:
            self._admission.held += packets
            return
        if not packets:
            if self._reader.error is not None:
                raise self._reader.error
            return
        packet = packets.pop(0)
        if not isinstance(packet, Connect):
            raise ProtocolError("The first packet is not CONNECT.")  # [MQTT-3.1.0-1]
        credentials = Credentials(
            client_id=packet.client_id,
            username=packet.username,
            password=packet.password,
            certificate_username=self.certificate_username,
            address=self.origin.host,
            is_local=self._door.is_local,
        )
        verdict = self._door.entry.decide_now(credentials)
        if verdict is not None:
            self._enter(packet, verdict, packets)
            return
        self._pause(Pause.ADMISSION)
        task = self._door.decide(credentials)
        self._admission = Admission(packet=packet, task=task, held=packets)
        task.add_done_callback(self._on_verdict)

    def _on_verdict(self, task: asyncio.Task[Verdict]) -> None:
        admission = self._admission
        if admission is None or admission.task is not task:
            return
        self._admission = None
        if task.cancelled() or (error := task.exception()) is not None:
            if not task.cancelled():
                logger.error("Whether %s may come in could not be decided.", self._name(), exc_info=error)
            verdict: Verdict = Refused(reason=Refusal.SERVER_UNAVAILABLE)
        else:
            verdict = task.result()
        try:
            self._enter(admission.packet, verdict, admission.held)
        except ProtocolViolation as violation:
            self._fail(violation)
        except Exception:  # As in data_received: it is this client's alone.
            logger.exception(BROKEN, self._name())
            self._break_off()
        if self._throttle is not None:
            self._slow_down(self._throttle, admission.held, 0)
        self._resume(Pause.ADMISSION)

    def _forget_admission(self) -> None:
        if self._admission is not None:
            self._admission.task.cancel()
            self._admission = None

    def _enter(self, packet: Connect, verdict: Verdict, packets: list[Packet]) -> None:
        """It is decided: the client is told, and if it may come in, what it sent behind CONNECT is done."""
        terms = self._door.terms
        if isinstance(verdict, Refused):
            self._broker.refuse(self, packet, terms, verdict)
            return
        self._client = client = self._broker.connect(self, packet, terms, verdict)
        if client is None or self._is_closing:
            return
        self._last_seen_s = now_s = self._loop.time()
        self._buffer = self._door.later_buffer
        self._throttle = self._door.throttle(now_s)
        keep_alive_s = terms.keep_alive_s(packet)
        if keep_alive_s:
            self._patience_s = keep_alive_s * KEEP_ALIVE_FACTOR
            self._door.wheel.put(self, now_s + self._patience_s)
        else:
            self._door.wheel.remove(self)
        for later in packets:
            client.handle(later)
            if self.has_ended:
                return
        if self._reader.error is not None:
            raise self._reader.error

    def _fail(self, error: ProtocolViolation) -> None:
        """The client broke the protocol: say so where its version can be told, and close."""
        if self._client is not None:
            self._client.fail(error)
            return
        version = self._reader.version
        if isinstance(error, UnsupportedVersion):
            version = error.answer_as
        self.turn_away(error.code, str(error))
        if version is not None:
            self.write(writer.connack(version=version, reason_code=error.reason_code))
        self.close()

    def _break_off(self) -> None:
        """After an error of ours."""
        if self._client is not None:
            self._client.close(ReasonCode.UNSPECIFIED_ERROR)
        self.close()

    def _is_stuck(self) -> bool:
        """Whether the client took nothing of what waits for it since the last time this was asked."""
        if not self._paused & Pause.WRITING or self._transport is None:
            return False
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return 0 < before <= self._unsent_bytes

    def _note_partial(self, pending_bytes: int) -> None:
        self._partial_bytes = pending_bytes if pending_bytes > SMALL_BYTES else 0
        self._door.partials.note(self, pending_bytes)

    def _slow_down(self, throttle: Throttle, packets: list[Packet], size_bytes: int) -> None:
        """A client with a rate has sent: when it was faster, read nothing until its rate has caught up."""
        messages = sum(len(packet) for packet in packets if isinstance(packet, PublishBatch))
        wait_s = throttle.take(messages=messages, size_bytes=size_bytes, now_s=self._loop.time())
        if wait_s:
            self._broker.counters.throttled += 1
            self._pause(Pause.THROTTLED)
            self._loop.call_later(wait_s, self._resume, Pause.THROTTLED)

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
