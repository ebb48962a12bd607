"""What a bad link does, as arithmetic: when bytes leave, when they arrive, and when the link is broken.

Pure: times are seconds on any clock that never goes back, chance is a parameter.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from simulators.units import Window


class LinkState(enum.Enum):
    """What the link does with connections."""

    UP = "up"
    CUT = "cut"
    """Connections were reset and new ones are refused."""
    BLACK_HOLE = "black_hole"
    """Bytes vanish and no one is told; new connections are taken and never answered."""


class TokenBucket:
    """A rate in bits a second with a burst in bytes, as the time at which bytes have left."""

    def __init__(self, *, rate_bits_per_s: float, burst_bytes: int) -> None:
        if rate_bits_per_s <= 0 or burst_bytes < 0:
            raise ValueError("A rate is above 0 bits a second, a burst is 0 bytes or more.")
        self._seconds_a_byte = 8 / rate_bits_per_s
        self._burst_s = burst_bytes * self._seconds_a_byte
        self._free_at_s = float("-inf")

    def reserve(self, size_bytes: int, now_s: float) -> float:
        """When the last of these bytes has left; never before `now_s`, and never before those reserved earlier."""
        self._free_at_s = max(self._free_at_s, now_s - self._burst_s) + size_bytes * self._seconds_a_byte
        return max(self._free_at_s, now_s)


class DelayLine:
    """One-way delay with jitter that never lets a later byte overtake an earlier one."""

    def __init__(self, *, delay_s: float, jitter_s: float) -> None:
        self._last_s = float("-inf")
        self.change(delay_s=delay_s, jitter_s=jitter_s)

    def change(self, *, delay_s: float, jitter_s: float) -> None:
        """Another delay from now on; what is under way is still not overtaken. Raises ValueError."""
        if delay_s < 0 or jitter_s < 0:
            raise ValueError("Delay and jitter are 0 s or more.")
        self._delay_s = delay_s
        self._jitter_s = jitter_s

    def arrival(self, departure_s: float, chance: float) -> float:
        """When bytes that leave at `departure_s` arrive; `chance` in [-1, 1] places them in delay ± jitter."""
        due_s = departure_s + max(0.0, self._delay_s + self._jitter_s * chance)
        self._last_s = max(self._last_s, due_s)
        return self._last_s


MIN_RETRANSMISSION_S = 0.2
"""Linux waits no shorter for an acknowledgement before it sends a segment again (RFC 6298 §2.4 would have 1 s)."""


def retransmission_s(*, delay_s: float, jitter_s: float) -> float:
    """How much later a segment arrives that was lost once: the time-out of RFC 6298 §2, SRTT + max(floor, 4 RTTVAR).

    Fast retransmission (RFC 5681 §3.2) would be quicker where more segments follow; the frames here are few.
    """
    return 2 * delay_s + max(MIN_RETRANSMISSION_S, 4 * jitter_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSchedule:
    """When the link is cut and when it is a black hole, from its start on; where both are, it is cut."""

    cuts: tuple[Window, ...] = ()
    black_holes: tuple[Window, ...] = ()

    def state(self, at_s: float) -> LinkState:
        """What the link does `at_s` seconds after its start."""
        if any(window.start_s <= at_s < window.end_s for window in self.cuts):
            return LinkState.CUT
        if any(window.start_s <= at_s < window.end_s for window in self.black_holes):
            return LinkState.BLACK_HOLE
        return LinkState.UP

    def next_change_s(self, at_s: float) -> float | None:
        """The next moment after `at_s` at which a fault begins or ends; None: there is none any more."""
        edges = (edge for window in (*self.cuts, *self.black_holes) for edge in (window.start_s, window.end_s))
        return min((edge for edge in edges if edge > at_s), default=None)
