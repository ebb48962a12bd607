"""What waits for one subscriber, within its limits; and what has to go where there is no room.

Invariants: neither the queue nor what is in flight holds more than its limits; whatever leaves without its exchange,
and every durable one that leaves, stands in `ended` until somebody takes it from there (`take_ended`).
"""

from __future__ import annotations

from collections import deque

from config.settings import WhenQueueFull
from gateway.broker.flight import ENTRY_BYTES, Entry, Flight
from gateway.broker.in_flight import NOTHING, InFlight
from gateway.broker.packet_ids import PacketIds
from gateway.broker.queue_limits import PRESENT_SHARE, QueueLimits


class OutgoingQueue:
    """The queue below an `Outgoing`, which takes from it what the window lets out.

    It is its base and no part of it: a part would cost each message one step more.
    """

    __slots__ = ("_count", "_ids", "_in_flight", "_is_here", "_limits", "_queue", "_queued_bytes", "ended")

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._queue: deque[Entry] = NOTHING
        self._count = 0
        """Messages that are counted in: those of the queue, and durable ones on their way to it."""
        self._queued_bytes = 0
        self._is_here = False
        """Whether the subscriber is connected."""
        self._ids = PacketIds()
        self.ended: list[tuple[Entry, str | None]] = []
        """What has left, with the word of why it was dropped; None: its exchange was completed."""
        self._in_flight = InFlight(limits, self._ids, self.ended)

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

    def offer(self, entry: Entry, now_s: float = 0.0) -> bool:
        """Put it at the end of the queue; false when it has no room and is dropped."""
        if not self._make_room(entry, now_s):
            return False
        self._enqueue(entry)
        self._count_in(entry)
        return True

    def _enqueue(self, entry: Entry) -> None:
        if self._queue is NOTHING:
            self._queue = deque()
        self._queue.append(entry)

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

    def take_ended(self) -> list[tuple[Entry, str | None]]:
        """What stands in `ended`, which is empty then."""
        ended = self.ended.copy()
        self.ended.clear()
        return ended

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
        return self._count + max(0, len(self._in_flight.flights) - self._limits.max_in_flight)

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
            self._ids.used.discard(entry.packet_id)
        self.ended.append((entry, reason))

    def _count_in(self, entry: Entry) -> None:
        self._count += entry.count
        self._queued_bytes += entry.size_bytes
        self._limits.total.hold(entry)

    def _count_out(self, entry: Entry) -> None:
        self._count -= entry.count
        self._queued_bytes -= entry.size_bytes
        self._limits.total.let_go(entry)
