"""One connection of a client: moves bytes between a socket and the broker, keeps its times and its limits.

`data_received` takes everything that came in one go and hands it on in plain calls: no task, no await, no timer is made
for a packet. The socket, and what is written to it, is in `gateway.listener.pipe`.

While the store is congested a read takes no more than a little: ten thousand connections may become readable in one
turn of the loop, before any of them can be paused. Before a client was let in, a read takes no more than a CONNECT may
have: what came behind it is held until then, and nothing more is read.

TLS and WebSocket are layers (`gateway.listener.layer`) between the socket and the connection, which does not know.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.access.ports import Credentials, Refused, Verdict
from gateway.broker.broker import Broker
from gateway.broker.client import Client
from gateway.listener.admission import Admission, as_long_as_valid, late
from gateway.listener.door import Door
from gateway.listener.partials import SMALL_BYTES
from gateway.listener.peer import Peer, PeerCertificate
from gateway.listener.pipe import Pause, Pipe
from gateway.listener.rates import Throttle
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError, ProtocolViolation, UnsupportedVersion
from gateway.mqtt.packets import Connect, Packet, PublishBatch
from gateway.mqtt.reader import Reader
from gateway.mqtt.reason_codes import ReasonCode

logger = logging.getLogger(__name__)

READ_CONGESTED_BYTES: Final = 2 * 1024
MAX_PACKETS_AT_ONCE: Final = 512
"""Of a read; then the other connections have their turn. A run of publishes counts as one."""
KEEP_ALIVE_FACTOR: Final = 1.5
"""[MQTT-3.1.2-22]"""
BROKEN: Final = "The connection of %s is closed after an error."


class Connection(Pipe):
    """One client's connection; a `gateway.broker.ports.Channel`. `origin`: where it comes from."""

    __slots__ = (
        "_admission",
        "_broker",
        "_buffer",
        "_client",
        "_early_bytes",
        "_last_seen_s",
        "_partial_bytes",
        "_patience_s",
        "_reader",
        "_terms",
        "_throttle",
        "certificate",
        "certificate_username",
    )

    def __init__(self, broker: Broker, door: Door, origin: Peer) -> None:
        super().__init__(door, origin)
        self._broker = broker
        self._terms = terms = door.terms
        """What CONNACK will say, also when the listener was given others meanwhile: the reader goes by them already."""
        self._reader = Reader(
            max_packet_size_bytes=terms.max_packet_size_bytes,
            first_packet_limit_bytes=door.max_connect_size_bytes,
            topic_alias_maximum=terms.topic_alias_maximum,
            limits=broker.limits,
            max_packets=MAX_PACKETS_AT_ONCE,
        )
        self._buffer = door.first_buffer
        self._client: Client | None = None
        self._admission: Admission | None = None
        self._throttle: Throttle | None = None
        self._patience_s = door.connect_timeout_s
        self._last_seen_s = self._loop.time()
        self._early_bytes = 0
        """What came before the client was let in."""
        self._partial_bytes = 0
        self.certificate: PeerCertificate | None = None
        """The client's own, where the listener asks for one."""
        self.certificate_username: str | None = None
        door.wheel.put(self, self._last_seen_s + self._patience_s)

    # ---- asyncio.BufferedProtocol ---------------------------------------------------------------------------------

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
        self._broker.counters.bytes_received += len(data)
        try:
            packets = reader.feed(data)
            if client is None:
                self._early_bytes += len(data)
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
            self._fail(violation.with_traceback(None))  # whose frames hold the bytes, and it is kept by the reader
            return
        except Exception:  # A fault that one client's packets bring to light must not reach the others.
            logger.exception(BROKEN, self._name())
            self._break_off()
            return
        pending_bytes = reader.pending_bytes if self._admission is None else self._early_bytes
        if pending_bytes > SMALL_BYTES or self._partial_bytes:
            self._note_partial(pending_bytes)
        if self._throttle is not None:
            self._hold_to(self._throttle, packets, len(data))
        if self._broker.store.is_congested and not self._paused & Pause.CONGESTED:
            self.pause(Pause.CONGESTED)
            self._broker.store.on_relief(self._on_relief)
        if reader.is_behind and self._admission is None:
            self.take_turns()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        super().connection_lost(exc)
        self._door.closed(self)
        if self._client is not None:
            self._client.lost()
            self._client = None

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._client is not None:
            self._client.pump()

    # ---- for the layers below -------------------------------------------------------------------------------------

    def resume(self, reason: Pause) -> None:
        """This reason is gone. While nothing was read a client could not be heard: it has all its time again."""
        if self._client is not None:  # one that was not let in has its ten seconds, whatever it does with them
            self._last_seen_s = self._loop.time()
        super().resume(reason)

    def take_turns(self) -> None:
        """It has had its share of this turn of the loop: the other connections come first."""
        if not self._paused & Pause.TURN:
            self.pause(Pause.TURN)
            self._loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        if self._is_closing:
            return
        if self._reader.is_behind and self._admission is None:
            self.data_received(b"")
        if self._reader.is_behind and self._admission is None and not self._is_closing:
            self._loop.call_soon(self._on_turn)
        else:
            self.resume(Pause.TURN)

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

    def turn_away(self, code: str, sentence: str) -> None:
        """Count and tell why the connection ends; who found it closes it."""
        if self._client is None:
            logger.info("A connection from %s is closed before it began. %.300s", self.peer, sentence)
            self._broker.turned_away(code, sentence, address=self.peer)
        else:
            logger.info("The connection of %s is closed. %.300s", self._name(), sentence)
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
            packet = self._admission.packet
            self._let_go()
            self._enter(packet, late(self._patience_s), [])
        else:
            logger.info("The connection from %s is closed: no CONNECT came within %g s.", self.peer, self._patience_s)
            sentence = f"No CONNECT came within {self._patience_s:g} s."
            self._broker.turned_away("connect_timeout", sentence, address=self.peer)
            self.close()

    def look_for_stall(self, now_s: float) -> None:
        """To be called a few times in the stall time-out: a client that takes nothing in all of it is cut."""
        if self.has_stalled(now_s):
            logger.info("The connection of %s is cut: it takes nothing of what waits for it.", self._name())
            self._broker.counters.disconnects["stalled"] += 1
            self.abort()

    def revoked(self) -> None:
        """The client's certificate was revoked since it came."""
        logger.info("The connection of %s is closed: its certificate was revoked.", self._name())
        self._dismiss(ReasonCode.NOT_AUTHORIZED, "certificate_revoked", "Its certificate was revoked.")

    def give_up(self) -> None:
        """Close: too much of half-received packets is in memory, and this connection has the most."""
        logger.warning("The connection of %s is closed: half-received packets take too much memory.", self._name())
        self._reader = Reader(max_packet_size_bytes=self._door.max_connect_size_bytes)  # lets go of the old one's bytes
        self._dismiss(ReasonCode.QUOTA_EXCEEDED, "quota_exceeded", "Half-received packets take too much memory.")

    def _dismiss(self, reason: ReasonCode, code: str, sentence: str) -> None:
        """End it from this side: a client is told, one that was not let in is counted with those turned away."""
        if self._client is not None:
            self._client.close(reason)
        else:
            self._broker.turned_away(code, sentence, address=self.peer)
        self.close()

    # ---- within ---------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        return self.peer if self._client is None else f"client {self._client.client_id[:100]!r} from {self.peer}"

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
        self.pause(Pause.ADMISSION)
        task = self._door.decide(credentials)
        self._admission = Admission(packet=packet, task=task, held=packets)
        task.add_done_callback(self._on_verdict)

    def _on_verdict(self, task: asyncio.Task[Verdict]) -> None:
        admission = self._admission
        if admission is None or admission.task is not task:
            return
        self._admission = None
        try:
            self._enter(admission.packet, admission.verdict(self._name()), admission.held)
        except ProtocolViolation as violation:
            self._fail(violation.with_traceback(None))
        except Exception:  # As in data_received: it is this client's alone.
            logger.exception(BROKEN, self._name())
            self._break_off()
        if self._is_closing:
            return
        self._note_partial(self._reader.pending_bytes)
        if self._throttle is not None:
            self._hold_to(self._throttle, admission.held, 0)
        if self._reader.is_behind:
            self.take_turns()
        self.resume(Pause.ADMISSION)

    def _let_go(self) -> None:
        super()._let_go()
        self._door.partials.release(self)
        if self._admission is not None:
            self._admission.task.cancel()
            self._admission = None

    def _enter(self, packet: Connect, verdict: Verdict, packets: list[Packet]) -> None:
        """It is decided: the client is told, and if it may come in, what it sent behind CONNECT is done."""
        terms = self._terms
        if isinstance(verdict, Refused):
            self._broker.refuse(self, packet, terms, verdict)
            return
        if self.certificate is not None:
            verdict = as_long_as_valid(verdict, self.certificate, self._broker.clock.now_us())
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

    def _note_partial(self, pending_bytes: int) -> None:
        self._partial_bytes = pending_bytes if pending_bytes > SMALL_BYTES else 0
        self._door.partials.note(self, pending_bytes)

    def _hold_to(self, throttle: Throttle, packets: list[Packet], size_bytes: int) -> None:
        """A client with a rate has sent: when it was faster, read nothing until its rate has caught up."""
        messages = sum(len(packet) for packet in packets if isinstance(packet, PublishBatch))
        wait_s = throttle.take(messages=messages, size_bytes=size_bytes, now_s=self._loop.time())
        if wait_s:
            self._broker.counters.throttled += 1
            self.slow_down(wait_s)

    def _on_relief(self) -> None:
        self.resume(Pause.CONGESTED)
