"""Moving averages of what happens in a minute, as Mosquitto makes them for `$SYS/broker/load/…`."""

from __future__ import annotations

import math
from typing import Final

SPANS_MIN: Final = (1, 5, 15)


class LoadAverage:
    """How much is counted in a minute, over the last 1, 5 and 15 minutes: each new interval weighs against the past.

    `value = now + exp(-interval / span) * (value - now)`, from zero at the start.
    """

    __slots__ = ("_last_count", "_values")

    def __init__(self, count: int = 0) -> None:
        self._last_count = count
        self._values = [0.0] * len(SPANS_MIN)

    def add(self, count: int, interval_s: float) -> None:
        """`count` is what there was in all, `interval_s` how long ago this was last called."""
        per_minute = (count - self._last_count) * 60 / interval_s
        self._last_count = count
        self._values = [
            per_minute + math.exp(-interval_s / (60 * span)) * (value - per_minute)
            for span, value in zip(SPANS_MIN, self._values, strict=True)
        ]

    def readings(self) -> dict[str, str]:
        """`1min`, `5min` and `15min` with two decimals."""
        return {f"{span}min": f"{value:.2f}" for span, value in zip(SPANS_MIN, self._values, strict=True)}
