"""Messages to one subscriber: the queue, the window, and the exchanges in flight (MQTT 5 §4.3, §4.4, §4.9).

A message waits in the queue until the window has a place; it is then in flight until its exchange ends:

    QoS 1   PUBLISH ──> PUBACK                       ends
    QoS 2   PUBLISH ──> PUBREC ──> PUBREL ──> PUBCOMP  ends; a PUBREC of 0x80 or more ends it at once

When a connection ends, what is in flight stays; on the next one it is sent again, in the order in which it was first
sent: as PUBLISH with DUP, or as PUBREL when its PUBREC had come [MQTT-4.4.0-1].

A durable delivery is on disk. `reserve` gives it its packet id and its place among the session's rows when it is
published; it stands in the queue once its commit has ended (`admit`), in the order of the places, so that after a
restart it is sent in the same order under the same id. Others get their packet id when they are sent.

Invariants: `in_flight` is in the order of first sending; `again` holds ids that are in flight and were not yet sent on
this connection; neither the queue nor what is in flight holds more than its limits; whatever leaves without its
exchange, and every durable one that leaves, stands in `ended` until somebody takes it from there.
"""

from __future__ import annotations

import enum
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from config.settings import MIB, Sessions, WhenQueueFull
from gateway.broker.flight import ENTRY_BYTES, Entry, Flight, Step
from gateway.broker.message import Message

MAX_PACKET_ID: Final = 65535
PLACES: Final = (1 << 32) - 1
"""How many places a session's rows have; then they go round."""
PRESENT_SHARE = 4
"""Every fourth byte of the total is for subscribers that are here: those that are away can't take it from them."""


_NOTHING: Final[deque[Any]] = deque(maxlen=0)
"""Stands for each deque that was never needed: an empty one takes 600 bytes, and most of ten thousand are. Nothing is
ever put into it."""
_NO_IDS: Final[set[int]] = set()
"""The same for `Outgoing.sent_once`."""


class Answer(enum.Enum):
    """What became of an acknowledgement."""

    DONE = "done"
    CONTINUE = "continue"
    """A PUBREC came: PUBREL is to be sent."""
    UNKNOWN = "unknown"
    """No exchange has this packet id."""
    WRONG = "wrong"
    """The exchange waits for another kind of packet."""


class Total:
    """What all queues together hold in memory, roughly, and may hold; what they share is counted once."""

    __slots__ = ("entries", "held_bytes", "max_bytes")

    def __init__(self, max_bytes: int = 64 * MIB) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.entries = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much may wait for one subscriber, and what is dropped when it is more; `total` is for all who share it.

    As many bytes again may be in flight: a client that reads and never acknowledges is sent no more than that.
    """

    max_messages: int = 10_000
    max_bytes: int = 16 * MIB
    when_full: WhenQueueFull = WhenQueueFull.DROP_NEWEST
    max_in_flight: int = 1024
    """Messages in flight, where the subscriber did not ask for fewer."""
    total: Total = field(default_factory=Total, compare=False)

    @classmethod
    def of(cls, sessions: Sessions) -> QueueLimits:
        """The limits that the operator wrote, with a total of their own."""
        return cls(
            max_messages=sessions.max_queued_messages,
            max_bytes=sessions.max_queued_bytes,
            when_full=sessions.when_full,
            max_in_flight=sessions.max_in_flight,
            total=Total(sessions.max_total_queued_bytes),
        )


class Outgoing:
    """The sending half of a session."""

    __slots__ = (
        "_again",
        "_count",
        "_flying_bytes",
        "_ids",
        "_is_here",
        "_last_id",
        "_limits",
        "_pending",
        "_queue",
        "_queued_bytes",
        "ended",
        "in_flight",
        "is_mark_due",
        "next_place",
        "sent_once",
    )

    def __init__(self, limits: QueueLimits | None = None) -> None:
        self._limits = limits or QueueLimits()
        self._queue: deque[Entry] = _NOTHING
        self._pending: deque[Flight] = _NOTHING
        """Durable ones whose commit has not ended, or stands behind one of these."""
        self._count = 0
        """Messages in both of them."""
        self._queued_bytes = 0
        self._flying_bytes = 0
        self._again: deque[int] = _NOTHING
        self._is_here = False
        self._ids: set[int] = set()
        self._last_id = 0
        self.in_flight: dict[int, Flight] = {}
        self.sent_once: set[int] = _NO_IDS
        """Packet ids of those with QoS 1 that never have to be sent again, because the session ends with its
        connection: nothing else of them is held."""
        self.next_place = 0
        """The place of the next durable delivery."""
        self.is_mark_due = False
        """Whether a durable delivery was sent of which the disk does not know that; `mark` is to follow."""
        self.ended: list[tuple[Entry, str | None]] = []
        """What has left, with the word of why it was dropped; None: its exchange was completed."""

    @property
    def queued(self) -> int:
        """How many messages wait for a place."""
        return self._count

    @property
    def queued_bytes(self) -> int:
        """How many bytes those are."""
        return self._queued_bytes

    @property
    def is_clear(self) -> bool:
        """Whether nothing waits, so that what is sent now overtakes nothing."""
        return not self._queue

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits at all, neither to be sent nor to be sent again."""
        return not self._queue and not self._again

    @property
    def max_in_flight(self) -> int:
        """The largest window."""
        return self._limits.max_in_flight

    # ---- in -------------------------------------------------------------------------------------------------------

    def offer(self, entry: Entry, now_s: float = 0.0) -> bool:
        """Put it at the end of the queue; false when it has no room and is dropped."""
        if not self._make_room(entry, now_s):
            return False
        self._enqueue(entry)
        self._count_in(entry)
        return True

    def _enqueue(self, entry: Entry) -> None:
        if self._queue is _NOTHING:
            self._queue = deque()
        self._queue.append(entry)

    def reserve(self, flight: Flight, now_s: float = 0.0) -> bool:
        """Give a durable delivery its packet id and its place; false when it has no room and is dropped."""
        if not self._make_room(flight, now_s):
            return False
        packet_id = self._next_id()
        if not packet_id:
            self.ended.append((flight, "queue_full"))
            return False
        self._number(flight, packet_id)
        flight.place = self.next_place
        flight.is_admitted = False
        self.next_place = (self.next_place + 1) % PLACES
        if self._pending is _NOTHING:
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
                self._forget_id(flight)
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
            self._ids.add(flight.packet_id)
            self._hold(flight)
            if i < sent:
                self.in_flight[flight.packet_id] = flight
                self._flying_bytes += flight.size_bytes
            else:
                self._enqueue(flight)
                self._count += 1
                self._queued_bytes += flight.size_bytes
        self.next_place = next_place
        if restored:
            self._last_id = restored[-1].packet_id

    # ---- out ------------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """A new connection begins: everything in flight is to be sent again."""
        self._is_here = True
        self._again = deque(self.in_flight) if self.in_flight else _NOTHING

    def take(self, window: int, now_s: float, max_bytes: int = sys.maxsize) -> list[Entry]:
        """What can be sent now, in order; `window` is the subscriber's Receive Maximum. Expired ones are dropped.

        It ends with the first that brings it to `max_bytes`.
        """
        taken: list[Entry] = []
        taken_bytes = 0
        flights = self.in_flight
        while self._again and self._flying < window and taken_bytes < max_bytes:
            flight = flights[self._again.popleft()]
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
                if self._flying >= window or self._is_laden(entry.size_bytes):
                    break
                if not entry.packet_id:
                    packet_id = self._next_id()
                    if not packet_id:
                        break
                    self._number(entry, packet_id)
                queue.popleft()
                flights[entry.packet_id] = entry
                self._count -= 1
                self._queued_bytes -= entry.size_bytes
                self._flying_bytes += entry.size_bytes
                if entry.kept is not None and not entry.is_told:
                    self.is_mark_due = True
            else:
                queue.popleft()
                self._count_out(entry)
            taken.append(entry)
            taken_bytes += entry.size_bytes
        return taken

    def launch_once(self, count: int, window: int) -> range:
        """Put so many messages with QoS 1 in flight, as far as the window and the limits let it, for a subscriber whose
        session ends with its connection and for whom nothing waits; returns their packet ids."""
        limits, total = self._limits, self._limits.total
        first = self._last_id % MAX_PACKET_ID + 1
        count = min(
            count,
            window - self._flying,
            limits.max_in_flight - len(self.in_flight) - len(self.sent_once),
            (total.max_bytes - total.held_bytes) // ENTRY_BYTES,
            MAX_PACKET_ID - first + 1,
        )
        packet_ids = range(first, first + max(0, count))
        if not packet_ids or not self._ids.isdisjoint(packet_ids):
            return range(0)
        self._last_id = packet_ids[-1]
        self._ids.update(packet_ids)
        if self.sent_once is _NO_IDS:
            self.sent_once = set()
        self.sent_once.update(packet_ids)
        total.held_bytes += ENTRY_BYTES * count
        total.entries += count
        return packet_ids

    def launch(self, messages: Sequence[Message], window: int) -> list[int]:
        """The same for messages with QoS 2, whose exchanges have more than one step."""
        flights, limits, total = self.in_flight, self._limits, self._limits.total
        room = min(window - self._flying, limits.max_in_flight - len(flights) - len(self.sent_once))
        packet_ids = []
        for message in messages[: max(0, room)]:
            size = message.size_bytes
            if self._is_laden(size) or total.held_bytes + size + ENTRY_BYTES > total.max_bytes:
                break
            packet_id = self._next_id()
            if not packet_id:
                break
            flights[packet_id] = flight = Flight(
                message=message, qos=2, retain=False, identifiers=(), packet_id=packet_id, step=Step.PUBREC
            )
            self._ids.add(packet_id)
            self._flying_bytes += size
            self._hold(flight)
            packet_ids.append(packet_id)
        return packet_ids

    def mark(self) -> int:
        """Let all that is queued be told to the disk as sent; returns the place behind the last of it."""
        self.is_mark_due = False
        for entry in (*self.in_flight.values(), *self._queue, *self._pending):
            if isinstance(entry, Flight):
                entry.is_told = True
        return self.next_place

    @property
    def _flying(self) -> int:
        """How many take a place in the window."""
        return len(self.in_flight) - len(self._again) + len(self.sent_once)

    def _is_laden(self, size: int) -> bool:
        """Whether so much is in flight that a message of this size has to wait."""
        return bool(self.in_flight) and self._flying_bytes + size > self._limits.max_bytes

    # ---- acknowledgements -----------------------------------------------------------------------------------------

    def on_puback(self, packet_id: int) -> Answer:
        """A PUBACK came."""
        if packet_id in self.sent_once:
            self._forget_once({packet_id})
            return Answer.DONE
        return self._end(packet_id, Step.PUBACK)

    def on_pubacks(self, packet_ids: Sequence[int]) -> tuple[Answer, int]:
        """PUBACKs came: what became of the one that went worst, and its packet id; none behind a wrong one counts."""
        here = self.sent_once.intersection(packet_ids)
        if len(here) == len(packet_ids):
            self._forget_once(here)
            return Answer.DONE, 0
        result = Answer.UNKNOWN
        for packet_id in packet_ids:
            answer = self.on_puback(packet_id)
            if answer is Answer.WRONG:
                return answer, packet_id
            if answer is Answer.DONE:
                result = answer
        return result, 0

    def _forget_once(self, packet_ids: set[int]) -> None:
        self.sent_once -= packet_ids
        self._ids -= packet_ids
        total = self._limits.total
        total.held_bytes -= ENTRY_BYTES * len(packet_ids)
        total.entries -= len(packet_ids)

    def on_pubrec(self, packet_id: int, reason_code: int) -> Answer:
        """A PUBREC came; 0x80 and above end the exchange [MQTT-4.3.3-4]. `received` is to follow on CONTINUE."""
        flight = self.in_flight.get(packet_id)
        if flight is None:
            return Answer.WRONG if packet_id in self.sent_once else Answer.UNKNOWN
        if flight.step is Step.PUBACK:
            return Answer.WRONG
        if reason_code >= 0x80:
            self._complete(flight)
            return Answer.DONE
        return Answer.CONTINUE

    def received(self, packet_id: int) -> None:
        """The PUBREC is noted, on disk where the delivery is durable: from now on there is only PUBREL to send."""
        flight = self.in_flight.get(packet_id)
        if flight is not None and flight.step is Step.PUBREC:
            flight.step = Step.PUBCOMP

    def on_pubcomp(self, packet_id: int) -> Answer:
        """A PUBCOMP came."""
        return self._end(packet_id, Step.PUBCOMP)

    def discard(self, flight: Flight) -> None:
        """The message can't be sent to this subscriber (larger than its Maximum Packet Size): its exchange is over."""
        if self.in_flight.get(flight.packet_id) is flight:
            self._land(flight)
        self.ended.append((flight, "too_large"))

    def _end(self, packet_id: int, step: Step) -> Answer:
        flight = self.in_flight.get(packet_id)
        if flight is None:
            return Answer.WRONG if packet_id in self.sent_once else Answer.UNKNOWN
        if flight.step is not step:
            return Answer.WRONG
        self._complete(flight)
        return Answer.DONE

    def _complete(self, flight: Flight) -> None:
        self._land(flight)
        if flight.kept is not None:
            self.ended.append((flight, None))

    def _land(self, flight: Flight) -> None:
        """The exchange is over; also when its packet was not sent again on this connection yet."""
        del self.in_flight[flight.packet_id]
        self._flying_bytes -= flight.size_bytes
        self._let_go(flight)
        self._forget_id(flight)
        if self._again and flight.packet_id in self._again:
            self._again.remove(flight.packet_id)

    # ---- endings --------------------------------------------------------------------------------------------------

    def keep_only_promised(self) -> None:
        """The connection ended: QoS 0 messages that still wait are dropped with it."""
        self._is_here = False
        if any(not entry.qos for entry in self._queue):
            queue, self._queue = self._queue, deque()
            for entry in queue:
                if entry.qos:
                    self._queue.append(entry)
                else:
                    self._drop(entry, "offline")

    def keep_only_readable(self, may_read: Callable[[str], bool]) -> None:
        """Rights have changed: what waits on other topics is dropped, and so are packets that are bytes already."""
        queue, self._queue = self._queue, deque()
        for entry in queue:
            if type(entry) is Flight and may_read(entry.message.topic):
                self._queue.append(entry)
            else:
                self._drop(entry, "not_authorized")
        if not self._is_here:
            self.hold_back(may_read)

    def hold_back(self, may_read: Callable[[str], bool]) -> None:
        """Between two connections: what was sent, or after a restart only may have been, and may not be read any more
        is not sent again. Whether a QoS 2 client has it or not, PUBREL ends the exchange."""
        for flight in list(self.in_flight.values()):
            if flight.step is Step.PUBCOMP or may_read(flight.message.topic):
                continue
            if flight.step is Step.PUBREC:
                flight.step = Step.PUBCOMP
            else:
                self._land(flight)
                self.ended.append((flight, "not_authorized"))

    def clear(self) -> list[Flight]:
        """The session ended: nothing of it is held any more; returns those that were never sent, oldest first."""
        unsent = [entry for entry in (*self._queue, *self._pending) if type(entry) is Flight and not entry.is_resent]
        for entry in (*self._queue, *self._pending):
            self._drop(entry, "session_ended")
        self._queue.clear()
        self._pending.clear()
        for flight in list(self.in_flight.values()):
            self._complete(flight)
        self._forget_once(set(self.sent_once))
        return unsent

    # ---- room -----------------------------------------------------------------------------------------------------

    def is_full_for(self, entry: Entry) -> bool:
        """Whether something would have to be dropped for it."""
        return self._lack(entry) is not None

    def fitting(self, count: int) -> tuple[int, int]:
        """Which of so many messages that come together have a place: (start, stop)."""
        limits = self._limits
        if limits.when_full is WhenQueueFull.DROP_OLDEST:
            return max(0, count - limits.max_messages), count
        return 0, max(0, min(count, limits.max_messages - self._waiting))

    @property
    def _waiting(self) -> int:
        """How many messages count as queued: also those in flight that a restart found, over the largest window."""
        return self._count + max(0, len(self.in_flight) - self._limits.max_in_flight)

    def _make_room(self, entry: Entry, now_s: float) -> bool:
        """Whether it has room, after the oldest were dropped where that is the policy; else it stands in `ended`."""
        while (reason := self._lack(entry)) is not None:
            oldest = self._queue[0] if self._queue else None
            if isinstance(oldest, Flight) and oldest.message.is_expired(now_s) and not oldest.is_resent:
                self._drop(self._queue.popleft(), "expired")
                continue
            if self._limits.when_full is not WhenQueueFull.DROP_OLDEST or oldest is None or oldest.is_resent:
                self.ended.append((entry, reason))
                return False
            self._drop(self._queue.popleft(), reason)
        return True

    def _lack(self, entry: Entry) -> str | None:
        """What is full, when there is no room for it."""
        limits = self._limits
        if self._waiting + entry.count > limits.max_messages:
            return "queue_full"
        size = entry.size_bytes
        if self._count and self._queued_bytes + size > limits.max_bytes:
            return "queue_full"
        shared = entry.shared
        if shared is not None and shared.holders:
            size = 0
        total = limits.total
        most = total.max_bytes if self._is_here else total.max_bytes - total.max_bytes // PRESENT_SHARE
        if total.held_bytes + size + ENTRY_BYTES > most and total.held_bytes:
            return "total_queue_full"
        return None

    def _drop(self, entry: Entry, reason: str) -> None:
        """It leaves queue or pending ones, from which the caller has taken it."""
        self._count_out(entry)
        if type(entry) is Flight:
            self._forget_id(entry)
        self.ended.append((entry, reason))

    def _count_in(self, entry: Entry) -> None:
        self._count += entry.count
        self._queued_bytes += entry.size_bytes
        self._hold(entry)

    def _count_out(self, entry: Entry) -> None:
        self._count -= entry.count
        self._queued_bytes -= entry.size_bytes
        self._let_go(entry)

    def _hold(self, entry: Entry) -> None:
        shared, total = entry.shared, self._limits.total
        total.held_bytes += ENTRY_BYTES
        total.entries += 1
        if shared is None:
            total.held_bytes += entry.size_bytes
            return
        if not shared.holders:
            total.held_bytes += shared.size_bytes
        shared.holders += 1

    def _let_go(self, entry: Entry) -> None:
        shared, total = entry.shared, self._limits.total
        total.held_bytes -= ENTRY_BYTES
        total.entries -= 1
        if shared is None:
            total.held_bytes -= entry.size_bytes
            return
        shared.holders -= 1
        if not shared.holders:
            total.held_bytes -= shared.size_bytes

    # ---- packet ids -----------------------------------------------------------------------------------------------

    def _next_id(self) -> int:
        """A packet id that is not in use; 0 when all are."""
        if len(self._ids) >= MAX_PACKET_ID:
            return 0
        packet_id = self._last_id
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self._ids:
                self._last_id = packet_id
                return packet_id

    def _number(self, flight: Flight, packet_id: int) -> None:
        flight.packet_id = packet_id
        flight.step = Step.PUBACK if flight.qos == 1 else Step.PUBREC
        self._ids.add(packet_id)

    def _forget_id(self, flight: Flight) -> None:
        if flight.packet_id:
            self._ids.discard(flight.packet_id)
