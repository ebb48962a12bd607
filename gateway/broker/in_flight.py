"""The exchanges of one session with its subscriber that have begun: the window (MQTT 5 §4.3, §4.4, §4.9).

    QoS 1   PUBLISH ──> PUBACK                       ends
    QoS 2   PUBLISH ──> PUBREC ──> PUBREL ──> PUBCOMP  ends; a PUBREC of 0x80 or more ends it at once

Invariants: `flights` is in the order of first sending; `again` holds ids that are in flight and were not yet sent on
this connection. Whatever leaves without its exchange, and every durable one that leaves, stands in `ended`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.broker.flight import ENTRY_BYTES, Entry, Flight, Step
from gateway.broker.message import Message
from gateway.broker.packet_ids import PacketIds
from gateway.broker.queue_limits import QueueLimits

NOTHING: Final[deque[Any]] = deque(maxlen=0)
"""Stands for each deque that was never needed: an empty one takes 600 bytes, and most of ten thousand are. Nothing is
ever put into it."""
_NO_IDS: Final[set[int]] = set()
"""The same for `InFlight.sent_once`."""


class Answer(enum.Enum):
    """What became of an acknowledgement."""

    DONE = "done"
    CONTINUE = "continue"
    """A PUBREC came: PUBREL is to be sent."""
    UNKNOWN = "unknown"
    """No exchange has this packet id."""
    WRONG = "wrong"
    """The exchange waits for another kind of packet."""


class InFlight:
    """See above. `ended` and the packet ids are the session's."""

    __slots__ = ("_ended", "_ids", "_limits", "again", "flights", "flying_bytes", "sent_once")

    def __init__(self, limits: QueueLimits, ids: PacketIds, ended: list[tuple[Entry, str | None]]) -> None:
        self._limits = limits
        self._ids = ids
        self._ended = ended
        self.flights: dict[int, Flight] = {}
        self.again: deque[int] = NOTHING
        self.flying_bytes = 0
        self.sent_once: set[int] = _NO_IDS
        """Packet ids of those with QoS 1 that never have to be sent again, because the session ends with its
        connection: nothing else of them is held."""

    @property
    def flying(self) -> int:
        """How many take a place in the window."""
        return len(self.flights) - len(self.again) + len(self.sent_once)

    def is_laden(self, size: int) -> bool:
        """Whether so much is in flight that a message of this size has to wait."""
        return bool(self.flights) and self.flying_bytes + size > self._limits.max_bytes

    def put(self, flight: Flight) -> None:
        """It is sent, or, after a restart, may have been; the total holds it already."""
        self.flights[flight.packet_id] = flight
        self.flying_bytes += flight.size_bytes

    def resume(self) -> None:
        """A new connection begins: everything is to be sent again."""
        self.again = deque(self.flights) if self.flights else NOTHING

    def launch_once(self, count: int, window: int) -> range:
        """Put so many messages with QoS 1 in flight, as far as the window and the limits let it, for a subscriber whose
        session ends with its connection and for whom nothing waits; returns their packet ids."""
        limits, total = self._limits, self._limits.total
        count = min(
            count,
            window - self.flying,
            limits.max_in_flight - len(self.flights) - len(self.sent_once),
            (total.max_bytes - total.held_bytes) // ENTRY_BYTES,
        )
        packet_ids = self._ids.next_run(count)
        if not packet_ids:
            return packet_ids
        if self.sent_once is _NO_IDS:
            self.sent_once = set()
        self.sent_once.update(packet_ids)
        total.held_bytes += ENTRY_BYTES * len(packet_ids)
        total.entries += len(packet_ids)
        return packet_ids

    def launch(self, messages: Sequence[Message], window: int) -> list[int]:
        """The same for messages with QoS 2, whose exchanges have more than one step."""
        flights, limits, total = self.flights, self._limits, self._limits.total
        room = min(window - self.flying, limits.max_in_flight - len(flights) - len(self.sent_once))
        packet_ids = []
        for message in messages[: max(0, room)]:
            size = message.size_bytes
            if self.is_laden(size) or total.held_bytes + size + ENTRY_BYTES > total.max_bytes:
                break
            packet_id = self._ids.next()
            if not packet_id:
                break
            flights[packet_id] = flight = Flight(
                message=message, qos=2, retain=False, identifiers=(), packet_id=packet_id, step=Step.PUBREC
            )
            self.flying_bytes += size
            self._limits.total.hold(flight)
            packet_ids.append(packet_id)
        return packet_ids

    def on_puback(self, packet_id: int) -> Answer:
        """A PUBACK came."""
        if packet_id in self.sent_once:
            self.forget_once({packet_id})
            return Answer.DONE
        return self._end(packet_id, Step.PUBACK)

    def on_pubacks(self, packet_ids: Sequence[int]) -> tuple[Answer, int]:
        """PUBACKs came: what became of the one that went worst, and its packet id; none behind a wrong one counts."""
        here = self.sent_once.intersection(packet_ids)
        if len(here) == len(packet_ids):
            self.forget_once(here)
            return Answer.DONE, 0
        result = Answer.UNKNOWN
        for packet_id in packet_ids:
            answer = self.on_puback(packet_id)
            if answer is Answer.WRONG:
                return answer, packet_id
            if answer is Answer.DONE:
                result = answer
        return result, 0

    def forget_once(self, packet_ids: set[int]) -> None:
        """These of `sent_once` are acknowledged, or their session has ended."""
        self.sent_once -= packet_ids
        self._ids.used -= packet_ids
        total = self._limits.total
        total.held_bytes -= ENTRY_BYTES * len(packet_ids)
        total.entries -= len(packet_ids)

    def on_pubrec(self, packet_id: int, reason_code: int) -> Answer:
        """A PUBREC came; 0x80 and above end the exchange [MQTT-4.3.3-4]. `received` is to follow on CONTINUE."""
        flight = self.flights.get(packet_id)
        if flight is None:
            return Answer.WRONG if packet_id in self.sent_once else Answer.UNKNOWN
        if flight.step is Step.PUBACK:
            return Answer.WRONG
        if reason_code >= 0x80:
            self.complete(flight)
            return Answer.DONE
        return Answer.CONTINUE

    def received(self, packet_id: int) -> None:
        """The PUBREC is noted, on disk where the delivery is durable: from now on there is only PUBREL to send."""
        flight = self.flights.get(packet_id)
        if flight is not None and flight.step is Step.PUBREC:
            flight.step = Step.PUBCOMP

    def on_pubcomp(self, packet_id: int) -> Answer:
        """A PUBCOMP came."""
        return self._end(packet_id, Step.PUBCOMP)

    def discard(self, flight: Flight) -> None:
        """The message can't be sent to this subscriber (larger than its Maximum Packet Size): its exchange is over."""
        if self.flights.get(flight.packet_id) is flight:
            self._land(flight)
        self._ended.append((flight, "too_large"))

    def _end(self, packet_id: int, step: Step) -> Answer:
        flight = self.flights.get(packet_id)
        if flight is None:
            return Answer.WRONG if packet_id in self.sent_once else Answer.UNKNOWN
        if flight.step is not step:
            return Answer.WRONG
        self.complete(flight)
        return Answer.DONE

    def complete(self, flight: Flight) -> None:
        """The exchange has ended."""
        self._land(flight)
        if flight.kept is not None:
            self._ended.append((flight, None))

    def _land(self, flight: Flight) -> None:
        """The exchange is over; also when its packet was not sent again on this connection yet."""
        del self.flights[flight.packet_id]
        self.flying_bytes -= flight.size_bytes
        self._limits.total.let_go(flight)
        self._ids.used.discard(flight.packet_id)
        if self.again and flight.packet_id in self.again:
            self.again.remove(flight.packet_id)

    def hold_back(self, may_read: Callable[[str], bool]) -> None:
        """Between two connections: what was sent, or after a restart only may have been, and may not be read any more
        is not sent again. Whether a QoS 2 client has it or not, PUBREL ends the exchange."""
        for flight in list(self.flights.values()):
            if flight.step is Step.PUBCOMP or may_read(flight.message.topic):
                continue
            if flight.step is Step.PUBREC:
                flight.step = Step.PUBCOMP
            else:
                self._land(flight)
                self._ended.append((flight, "not_authorized"))
