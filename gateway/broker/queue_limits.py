"""How much may wait for one subscriber and for all of them, and what they hold together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from config.settings import MIB, Sessions, WhenQueueFull
from gateway.broker.flight import ENTRY_BYTES, Entry

PRESENT_SHARE: Final = 4
"""Every fourth byte of the total is for subscribers that are here: those that are away can't take it from them."""


class Total:
    """What all queues together hold in memory, roughly, and may hold; what they share is counted once."""

    __slots__ = ("entries", "held_bytes", "max_bytes")

    def __init__(self, max_bytes: int = 64 * MIB) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.entries = 0

    def hold(self, entry: Entry) -> None:
        """It is in a queue or in flight from now on."""
        shared = entry.shared
        self.held_bytes += ENTRY_BYTES
        self.entries += 1
        if shared is None:
            self.held_bytes += entry.size_bytes
            return
        if not shared.holders:
            self.held_bytes += shared.size_bytes
        shared.holders += 1

    def let_go(self, entry: Entry) -> None:
        """The inverse of `hold`."""
        shared = entry.shared
        self.held_bytes -= ENTRY_BYTES
        self.entries -= 1
        if shared is None:
            self.held_bytes -= entry.size_bytes
            return
        shared.holders -= 1
        if not shared.holders:
            self.held_bytes -= shared.size_bytes


@dataclass(slots=True, kw_only=True)
class QueueLimits:
    """How much may wait for one subscriber, and what is dropped when it is more; `total` is for all who share it.

    All sessions hold the same one, and it follows the settings: what is above a lower limit stays until it is gone.

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

    def follow(self, sessions: Sessions) -> None:
        """Have other limits from now on."""
        self.max_messages = sessions.max_queued_messages
        self.max_bytes = sessions.max_queued_bytes
        self.when_full = sessions.when_full
        self.max_in_flight = sessions.max_in_flight
        self.total.max_bytes = sessions.max_total_queued_bytes
