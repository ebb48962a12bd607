"""The machine's clocks, behind `bridge.ports.Clock`."""

from __future__ import annotations

import time


class SystemClock:
    """The real time."""

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000
