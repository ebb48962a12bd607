"""Messages to one subscriber: the queue, the window, and the exchanges in flight (MQTT 5 §4.3, §4.4, §4.9).

A message waits in the queue until the window has a place; with a packet id it is in flight until its exchange ends:

    QoS 1   PUBLISH ──> PUBACK                       ends
    QoS 2   PUBLISH ──> PUBREC ──> PUBREL ──> PUBCOMP  ends; a PUBREC of 0x80 or more ends it at once

When a connection ends, what is in flight stays; on the next one it is sent again, in the order in which it was first
sent: as PUBLISH with DUP, or as PUBREL when its PUBREC had come [MQTT-4.4.0-1].

Invariants: `in_flight` is in the order of first sending; `again` holds ids that are in flight and were not yet sent on
this connection; neither the queue nor what is in flight holds more than its limits.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from gateway.broker.message import Message


class Step(enum.Enum):
    """What an exchange waits for."""

    PUBACK = "PUBACK"
    PUBREC = "PUBREC"
    PUBCOMP = "PUBCOMP"


class Answer(enum.Enum):
    """What became of an acknowledgement."""

    DONE = "done"
    CONTINUE = "continue"
    """A PUBREC came: PUBREL is to be sent."""
    UNKNOWN = "unknown"
    """No exchange has this packet id."""
    WRONG = "wrong"
    """The exchange waits for another kind of packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much may wait for one subscriber; what comes on top is dropped, the newest first, and counted.

    As many bytes again may be in flight: a client that reads and never acknowledges is sent no more than that.
    """

    max_messages: int = 10_000
    max_bytes: int = 16 * 1024 * 1024


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """One message to one subscriber. `packet_id` is 0 until it is in flight, and always for QoS 0."""

    message: Message
    qos: int
    retain: bool
    identifiers: tuple[int, ...]
    packet_id: int = 0
    step: Step = Step.PUBACK
    is_resent: bool = False


class Outgoing:
    """The sending half of a session."""

    __slots__ = ("_again", "_flying_bytes", "_last_id", "_limits", "_queue", "_queued_bytes", "in_flight")

    def __init__(self, limits: QueueLimits | None = None) -> None:
        self._limits = limits or QueueLimits()
        self._queue: deque[Flight] = deque()
        self._queued_bytes = 0
        self._flying_bytes = 0
        self._again: deque[int] = deque()
        self._last_id = 0
        self.in_flight: dict[int, Flight] = {}

    @property
    def queued(self) -> int:
        """How many messages wait for a place."""
        return len(self._queue)

    def offer(self, flight: Flight) -> bool:
        """Put a message at the end of the queue; false when it has no room and the message is dropped."""
        size = flight.message.size_bytes
        if len(self._queue) >= self._limits.max_messages or (
            self._queue and self._queued_bytes + size > self._limits.max_bytes
        ):
            return False
        self._queue.append(flight)
        self._queued_bytes += size
        return True

    def resume(self) -> None:
        """A new connection begins: everything in flight is to be sent again."""
        self._again = deque(self.in_flight)

    def take(self, window: int, now_s: float) -> list[Flight]:
        """What can be sent now, in order; `window` is the subscriber's Receive Maximum. Expired ones are skipped."""
        taken: list[Flight] = []
        flights = self.in_flight
        while self._again and len(flights) - len(self._again) < window:
            flight = flights[self._again.popleft()]
            flight.is_resent = True
            taken.append(flight)
        queue = self._queue
        while queue:
            flight = queue[0]
            is_expired = flight.message.is_expired(now_s)
            size = flight.message.size_bytes
            if flight.qos and not is_expired and (len(flights) - len(self._again) >= window or self._is_laden(size)):
                break
            queue.popleft()
            self._queued_bytes -= size
            if is_expired:
                continue
            if flight.qos:
                flight.packet_id = self._next_id()
                flight.step = Step.PUBACK if flight.qos == 1 else Step.PUBREC
                flights[flight.packet_id] = flight
                self._flying_bytes += size
            taken.append(flight)
        return taken

    def _is_laden(self, size: int) -> bool:
        """Whether so much is in flight that a message of this size has to wait."""
        return bool(self.in_flight) and self._flying_bytes + size > self._limits.max_bytes

    def _next_id(self) -> int:
        packet_id = self._last_id
        while True:
            packet_id = packet_id % 65535 + 1
            if packet_id not in self.in_flight:
                self._last_id = packet_id
                return packet_id

    def discard(self, flight: Flight) -> None:
        """The message can't be sent to this subscriber (larger than its Maximum Packet Size): its exchange is over."""
        if flight.packet_id in self.in_flight:
            self._release(flight)

    def on_puback(self, packet_id: int) -> Answer:
        """A PUBACK came."""
        return self._end(packet_id, Step.PUBACK)

    def on_pubrec(self, packet_id: int, reason_code: int) -> Answer:
        """A PUBREC came; 0x80 and above end the exchange [MQTT-4.3.3-4]."""
        flight = self.in_flight.get(packet_id)
        if flight is None:
            return Answer.UNKNOWN
        if flight.step is Step.PUBACK:
            return Answer.WRONG
        if reason_code >= 0x80:
            self._release(flight)
            return Answer.DONE
        flight.step = Step.PUBCOMP
        return Answer.CONTINUE

    def on_pubcomp(self, packet_id: int) -> Answer:
        """A PUBCOMP came."""
        return self._end(packet_id, Step.PUBCOMP)

    def _end(self, packet_id: int, step: Step) -> Answer:
        flight = self.in_flight.get(packet_id)
        if flight is None:
            return Answer.UNKNOWN
        if flight.step is not step:
            return Answer.WRONG
        self._release(flight)
        return Answer.DONE

    def _release(self, flight: Flight) -> None:
        """The exchange is over; also when its packet was not sent again on this connection yet."""
        del self.in_flight[flight.packet_id]
        self._flying_bytes -= flight.message.size_bytes
        if flight.packet_id in self._again:
            self._again.remove(flight.packet_id)

    def keep_only_promised(self) -> None:
        """The connection ended: QoS 0 messages that still wait are dropped with it."""
        if any(not flight.qos for flight in self._queue):
            self._queue = deque(flight for flight in self._queue if flight.qos)
            self._queued_bytes = sum(flight.message.size_bytes for flight in self._queue)
