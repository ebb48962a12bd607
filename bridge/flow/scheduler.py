"""Which stream goes next: each in its turn.

The turn belongs to the stream, not to the frame, so a stream that has nothing to send loses nothing by it, and none
can starve another. Priorities and minimum shares have their place here: they change the order, not the callers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence


class Scheduler:
    """Fair turns among streams."""

    __slots__ = ("_turns",)

    def __init__(self, streams: Sequence[str]) -> None:
        self._turns = deque(streams)

    def order(self) -> Iterator[str]:
        """The streams, the one whose turn it is first."""
        return iter(tuple(self._turns))

    def served(self, stream: str) -> None:
        """A frame of the stream goes: all others are before it now."""
        self._turns.remove(stream)
        self._turns.append(stream)
