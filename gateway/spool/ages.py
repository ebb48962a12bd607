"""How long the records of a stream have been here, by the steady clock.

A wall clock is set: a box without a battery starts in 1970, and is in the present at a stroke. By that clock all that
it has taken until then is decades old, and would be past any time-to-live. So what came since the start is as old as
the steady clock says: it never goes too early, and later by one part in PARTS of its time at most. Of what was there
before the start only the wall clock knows; that, too, is past its time when it has been here for all of it since the
start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

PARTS: Final = 256
"""What came within one such part of a time-to-live counts as having come at its end: so few samples tell all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What of a stream is past its time-to-live. Every record below `passed_seq`; below `start_seq`, which were there
    before the start, also those that were received before `before_us` by the wall clock."""

    passed_seq: int
    start_seq: int
    before_us: int

    def has_taken(self, next_seq: int, received_at_us: int) -> bool:
        """Whether the records of a block that ends at `next_seq` are past it."""
        return next_seq <= self.passed_seq or (next_seq <= self.start_seq and received_at_us < self.before_us)


@dataclass(slots=True)
class _Sample:
    """Every record below `next_seq` had come at `at_s`."""

    began_s: float
    at_s: float
    next_seq: int


class Ages:
    """Those of one stream, of which everything below `start_seq` was there before the start."""

    __slots__ = ("_samples", "_start_seq")

    def __init__(self, start_seq: int = 1) -> None:
        self._start_seq = start_seq
        self._samples: deque[_Sample] = deque()

    def note(self, now_s: float, next_seq: int, life_s: float) -> None:
        """Everything below `next_seq` has come, and may stay for `life_s`."""
        samples = self._samples
        if samples and samples[-1].next_seq >= next_seq:
            return
        if samples and now_s - samples[-1].began_s < life_s / PARTS:
            samples[-1].at_s, samples[-1].next_seq = now_s, next_seq
        else:
            samples.append(_Sample(now_s, now_s, next_seq))
        while len(samples) > 1 and now_s - samples[1].at_s >= life_s:
            samples.popleft()

    def expiry(self, now_s: float, now_us: int, life_s: float) -> Expiry:
        """What is past a time-to-live of `life_s`."""
        passed_seq = 0
        for sample in self._samples:
            if now_s - sample.at_s < life_s:
                break
            passed_seq = sample.next_seq
        return Expiry(passed_seq=passed_seq, start_seq=self._start_seq, before_us=now_us - int(life_s * 1_000_000))
