"""A common bound for half-received packets, of all connections of a gateway.

Each connection may hold a part of one packet, up to the maximum packet size; ten thousand of them would hold gigabytes.
Over the bound, those who hold the most are closed. Parts of less than `SMALL_BYTES` are not counted, so that the usual
read, which ends anywhere in a small packet, costs one comparison.
"""

from __future__ import annotations

from typing import Final, Protocol

SMALL_BYTES: Final = 2048
MAX_PARTIAL_BYTES: Final = 64 * 1024 * 1024


class Holder(Protocol):
    """A connection that holds a part of a packet."""

    def give_up(self) -> None:
        """Close: there is no memory for what it holds."""


class Partials:
    """Who holds how many bytes."""

    __slots__ = ("_held", "_max_bytes", "total_bytes")

    def __init__(self, max_bytes: int = MAX_PARTIAL_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: dict[Holder, int] = {}
        self.total_bytes = 0

    def note(self, holder: Holder, size_bytes: int) -> None:
        """It holds so much now; while the sum is over the bound, whoever holds the most is told to give up."""
        self.release(holder)
        if size_bytes <= SMALL_BYTES:
            return
        self._held[holder] = size_bytes
        self.total_bytes += size_bytes
        while self.total_bytes > self._max_bytes and self._held:
            largest = max(self._held, key=self._held.__getitem__)
            self.release(largest)
            largest.give_up()

    def release(self, holder: Holder) -> None:
        """It holds nothing any more; idempotent."""
        self.total_bytes -= self._held.pop(holder, 0)
