"""How many a second, over a sliding window. Pure: `now` is a parameter, in seconds of a monotonic clock."""

from __future__ import annotations

from collections import deque

WINDOW_S = 10.0
STEPS = 20


class SlidingRate:
    """A rate from readings of a counter that only grows.

    Keeps about two readings a step at most, however often it is fed, so its memory is bounded; the window is exact to
    one step. Before a whole window has passed the rate is over the time since the first reading.
    """

    __slots__ = ("_readings", "_step_s", "_window_s")

    def __init__(self, *, window_s: float = WINDOW_S, steps: int = STEPS) -> None:
        if window_s <= 0 or steps < 1:
            raise ValueError(
                f"A rate needs a window longer than 0 s and at least one step, not {window_s} s and {steps}."
            )
        self._window_s = window_s
        self._step_s = window_s / steps
        self._readings: deque[tuple[float, int]] = deque()

    def feed(self, now: float, total: int) -> None:
        """The counter stood at `total` at `now`. One below the last is a new life of the counter: start again."""
        readings = self._readings
        if readings and total < readings[-1][1]:
            readings.clear()
        if len(readings) >= 2 and now - readings[-2][0] < self._step_s:
            readings[-1] = (now, total)
        else:
            readings.append((now, total))
        self._forget(now)

    def per_second(self, now: float) -> float:
        """Counted within the window that ends at `now`, a second. 0.0 until two readings are there."""
        self._forget(now)
        if not self._readings:
            return 0.0
        first_at, first = self._readings[0]
        elapsed_s = now - first_at
        if elapsed_s <= 0:
            return 0.0
        return (self._readings[-1][1] - first) / elapsed_s

    def gained(self, now: float) -> int:
        """How much was counted within the window that ends at `now`."""
        self._forget(now)
        return self._readings[-1][1] - self._readings[0][1] if self._readings else 0

    def _forget(self, now: float) -> None:
        """Leave one reading at or before the window's start: what was counted since is what counts."""
        readings = self._readings
        while len(readings) >= 2 and readings[1][0] <= now - self._window_s:
            readings.popleft()
