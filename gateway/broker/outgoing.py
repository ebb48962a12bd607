"""Messages to one subscriber: the queue, and what leaves it for the window (MQTT 5 §4.3, §4.4, §4.9).

A message waits in the queue until the window has a place; it is then in flight until its exchange ends
(`gateway.broker.in_flight`).

When a connection ends, what is in flight stays; on the next one it is sent again, in the order in which it was first
sent: as PUBLISH with DUP, or as PUBREL when its PUBREC had come [MQTT-4.4.0-1].

A durable delivery is on disk. `reserve` gives it its packet id and its place among the session's rows when it is
published; it stands in the queue once its commit has ended (`admit`), in the order of the places, so that after a
restart it is sent in the same order under the same id. Others get their packet id when they are sent.

The queue itself, its limits, and what is dropped where it is full, are in `gateway.broker.outgoing_queue`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.broker.flight import Entry, Flight, Step
from gateway.broker.in_flight import NOTHING, Answer
from gateway.broker.message import Message
from gateway.broker.outgoing_queue import OutgoingQueue
from gateway.broker.queue_limits import QueueLimits

PLACES: Final = (1 << 32) - 1
"""How many places a session's rows have; then they go round."""


class Outgoing(OutgoingQueue):
    """The sending half of a session: its queue, and the exchanges that come out of it."""

    __slots__ = ("_pending", "is_mark_due", "next_place")

    def __init__(self, limits: QueueLimits | None = None) -> None:
        super().__init__(limits or QueueLimits())
        self._pending: deque[Flight] = NOTHING
        """Durable ones whose commit has not ended, or stands behind one of these; they count as queued."""
        self.next_place = 0
        """The place of the next durable delivery."""
        self.is_mark_due = False
        """Whether a durable delivery was sent of which the disk does not know that; `mark` is to follow."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits at all, neither to be sent nor to be sent again."""
        return not self._queue and not self._in_flight.again

    @property
    def in_flight(self) -> dict[int, Flight]:
        """What is sent again when the connection is lost, by packet id."""
        return self._in_flight.flights

    @property
    def sent_once(self) -> set[int]:
        """See `InFlight.sent_once`."""
        return self._in_flight.sent_once

    # ---- in -------------------------------------------------------------------------------------------------------

    def reserve(self, flight: Flight, now_s: float = 0.0) -> bool:
        """Give a durable delivery its packet id and its place; false when it has no room and is dropped."""
        if not self._make_room(flight, now_s):
            return False
        packet_id = self._ids.next()
        if not packet_id:
            self.ended.append((flight, "queue_full"))
            return False
        _number(flight, packet_id)
        flight.place = self.next_place
        flight.is_admitted = False
        self.next_place = (self.next_place + 1) % PLACES
        if self._pending is NOTHING:
            self._pending = deque()
        self._pending.append(flight)
        self._count_in(flight)
        return True

    def admit(self) -> None:
        """Put those into the queue that are on disk by now, as far as none stands before them that is not."""
        pending = self._pending
        while pending and pending[0].is_admitted:
            self._enqueue(pending.popleft())

    def cancel(self, flights: Iterable[Flight]) -> None:
        """These durable deliveries did not come to be: their commit has failed."""
        gone = set(map(id, flights))
        for flight in self._pending:
            if id(flight) in gone:
                self._count_out(flight)
                self._ids.used.discard(flight.packet_id)
        self._pending = deque(flight for flight in self._pending if id(flight) not in gone)
        self.admit()

    def restore(self, flights: Iterable[Flight], next_place: int) -> None:
        """Take what was on disk, in the order of the places: what may have been sent is sent again, and first.

        Those are the first ones, as far as `is_told` says so; what is over the largest window waits in the queue.
        """
        restored = list(flights)
        last = max((i for i, flight in enumerate(restored) if flight.step is Step.PUBCOMP), default=-1)
        told = sum(flight.is_told for flight in restored)
        sent = max(last + 1, min(told, self._limits.max_in_flight))
        for i, flight in enumerate(restored):
            flight.is_resent = flight.is_told
            self._ids.used.add(flight.packet_id)
            self._limits.total.hold(flight)
            if i < sent:
                self._in_flight.put(flight)
            else:
                self._enqueue(flight)
                self._count += 1
                self._queued_bytes += flight.size_bytes
        self.next_place = next_place
        if restored:
            self._ids.last = restored[-1].packet_id

    # ---- out ------------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """A new connection begins: everything in flight is to be sent again."""
        self._is_here = True
        self._in_flight.resume()

    def take(self, window: int, now_s: float, max_bytes: int = sys.maxsize) -> list[Entry]:
        """What can be sent now, in order; `window` is the subscriber's Receive Maximum. Expired ones are dropped.

        It ends with the first that brings it to `max_bytes`.
        """
        taken: list[Entry] = []
        taken_bytes = 0
        window = min(window, self._limits.max_in_flight)  # asked each time: it follows the settings
        exchanges = self._in_flight
        while exchanges.again and exchanges.flying < window and taken_bytes < max_bytes:
            flight = exchanges.flights[exchanges.again.popleft()]
            flight.is_resent = True
            taken.append(flight)
            taken_bytes += flight.size_bytes
        queue = self._queue
        while queue and taken_bytes < max_bytes:
            entry = queue[0]
            if type(entry) is not Flight:
                queue.popleft()
                self._count_out(entry)
                taken.append(entry)
                taken_bytes += entry.size_bytes
                continue
            if entry.message.is_expired(now_s) and not entry.is_resent:  # the subscriber may know of its id
                self._drop(queue.popleft(), "expired")
                continue
            if entry.qos:
                if exchanges.flying >= window or exchanges.is_laden(entry.size_bytes):
                    break
                if not entry.packet_id:
                    packet_id = self._ids.next()
                    if not packet_id:
                        break
                    _number(entry, packet_id)
                queue.popleft()
                exchanges.put(entry)
                self._count -= 1
                self._queued_bytes -= entry.size_bytes
                if entry.kept is not None and not entry.is_told:
                    self.is_mark_due = True
            else:
                queue.popleft()
                self._count_out(entry)
            taken.append(entry)
            taken_bytes += entry.size_bytes
        return taken

    def launch_once(self, count: int, window: int) -> range:
        """See `InFlight.launch_once`."""
        return self._in_flight.launch_once(count, window)

    def launch(self, messages: Sequence[Message], window: int) -> list[int]:
        """See `InFlight.launch`."""
        return self._in_flight.launch(messages, window)

    def mark(self) -> int:
        """Let all that is queued be told to the disk as sent; returns the place behind the last of it."""
        self.is_mark_due = False
        for entry in (*self.in_flight.values(), *self._queue, *self._pending):
            if isinstance(entry, Flight):
                entry.is_told = True
        return self.next_place

    # ---- acknowledgements -----------------------------------------------------------------------------------------

    def on_puback(self, packet_id: int) -> Answer:
        """A PUBACK came."""
        return self._in_flight.on_puback(packet_id)

    def on_pubacks(self, packet_ids: Sequence[int]) -> tuple[Answer, int]:
        """PUBACKs came: what became of the one that went worst, and its packet id; none behind a wrong one counts."""
        return self._in_flight.on_pubacks(packet_ids)

    def on_pubrec(self, packet_id: int, reason_code: int) -> Answer:
        """A PUBREC came; `received` is to follow on CONTINUE."""
        return self._in_flight.on_pubrec(packet_id, reason_code)

    def received(self, packet_id: int) -> None:
        """The PUBREC is noted, on disk where the delivery is durable."""
        self._in_flight.received(packet_id)

    def on_pubcomp(self, packet_id: int) -> Answer:
        """A PUBCOMP came."""
        return self._in_flight.on_pubcomp(packet_id)

    def discard(self, flight: Flight) -> None:
        """The message can't be sent to this subscriber: its exchange is over."""
        self._in_flight.discard(flight)

    def hold_back(self, may_read: Callable[[str], bool]) -> None:
        """See `InFlight.hold_back`."""
        self._in_flight.hold_back(may_read)

    # ---- endings --------------------------------------------------------------------------------------------------

    def keep_only_readable(self, may_read: Callable[[str], bool]) -> None:
        """Rights have changed: what waits on other topics is dropped, and so are packets that are bytes already."""
        queue, self._queue = self._queue, deque()
        for entry in queue:
            if type(entry) is Flight and may_read(entry.message.topic):
                self._queue.append(entry)
            else:
                self._drop(entry, "not_authorized")
        if not self._is_here:
            self._in_flight.hold_back(may_read)

    def clear(self) -> list[Flight]:
        """The session ended: nothing of it is held any more; returns those that were never sent, oldest first."""
        unsent = [entry for entry in (*self._queue, *self._pending) if type(entry) is Flight and not entry.is_resent]
        for entry in (*self._queue, *self._pending):
            self._drop(entry, "session_ended")
        self._queue.clear()
        self._pending.clear()
        for flight in list(self.in_flight.values()):
            self._in_flight.complete(flight)
        self._in_flight.forget_once(set(self.sent_once))
        return unsent


def _number(flight: Flight, packet_id: int) -> None:
    flight.packet_id = packet_id
    flight.step = Step.PUBACK if flight.qos == 1 else Step.PUBREC
