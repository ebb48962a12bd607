"""How many frames may be in flight: sent, and not yet acknowledged."""

from __future__ import annotations


class Window:
    """The smaller of the operator's setting and the broker's Receive Maximum (§3.2.2.3.3), and a bound in bytes."""

    __slots__ = ("_max_bytes", "_max_frames", "in_flight", "in_flight_bytes")

    def __init__(self, *, setting: int, receive_maximum: int, max_bytes: int) -> None:
        self._max_frames = max(1, min(setting, receive_maximum))
        self._max_bytes = max_bytes
        self.in_flight = 0
        self.in_flight_bytes = 0

    def has_room(self, size_bytes: int) -> bool:
        """Whether a frame of that size may go; one always may when nothing is in flight."""
        if not self.in_flight:
            return True
        return self.in_flight < self._max_frames and self.in_flight_bytes + size_bytes <= self._max_bytes

    def take(self, size_bytes: int) -> None:
        """A frame has gone."""
        self.in_flight += 1
        self.in_flight_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """A frame was answered."""
        self.in_flight -= 1
        self.in_flight_bytes -= size_bytes
