"""How many QoS 2 ids all sessions together may have pending, so that they stay within the memory of a small machine.

A client of 3.1.1 knows no Receive Maximum and may leave 65 535 of them, and one of MQTT 5 as many over several
connections; each takes some two hundred bytes until its PUBREL comes or its session ends. A session may have a part of
what the others have left: one alone as many as it likes, the twentieth of such clients next to nothing. A few are
always free, so that what some have left behind keeps nobody from publishing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bridge.ports import Clock

MAX_IDS: Final = 1_000_000
FREE_IDS: Final = 64
PART: Final = 15
"""A session may have a fifteenth of what is left: 65 535 and a little more, where there is nothing yet."""
COUNT_EVERY_S: Final = 1.0


class Unreleased:
    """Counts them where a session has more than a few; `lengths` gives how many each session has."""

    __slots__ = ("_clock", "_counted_at_s", "_lengths", "_pending")

    def __init__(self, clock: Clock, lengths: Callable[[], Iterable[int]]) -> None:
        self._clock = clock
        self._lengths = lengths
        self._pending = 0
        self._counted_at_s = float("-inf")

    def share(self) -> int:
        """How many one session may have now."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._counted_at_s + COUNT_EVERY_S:
            self._counted_at_s = now_s
            self._pending = sum(self._lengths())
        return max(FREE_IDS, (MAX_IDS - self._pending) // PART)
