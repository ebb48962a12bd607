"""Which runs of publishes are looked at when there are too many for all of them. Pure.

Up to about `per_s` messages a second all are looked at. Beyond, of each long run some are, evenly spread, and of the
runs one in so many (`every`), at random distances: at equal ones, connections that take turns would have the same ones
picked for ever. What is looked at stands for that many times itself.

The load is measured in windows; within one, what is looked at twice as much as it may be is made half as much. So the
work stays bounded whatever comes, and a quiet moment later all is looked at again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

PER_S: Final = 4000
WINDOW_US: Final = 200_000
MAX_OF_RUN: Final = 32
"""Messages of one run that are looked at."""
SHARE_WINDOWS: Final = 50
SHARE_US: Final = 10_000_000
"""The share that was looked at is told of the last ten seconds."""


class Budget:
    """`random` gives numbers from 0.0 up to 1.0. Times are microseconds of any clock; it may be set back.

    Under load most runs are passed over, so that is for the caller to do, without a call: before `until_us`, and while
    `skip` is not 0, a run is passed over, and `skip` is one less. For each other run it asks `step`.
    """

    __slots__ = (
        "_allowed",
        "_demand",
        "_looked",
        "_past",
        "_per_window",
        "_random",
        "_start_us",
        "every",
        "seen",
        "skip",
        "until_us",
        "weight",
    )

    def __init__(self, random: Callable[[], float], per_s: int = PER_S) -> None:
        self._random = random
        self._per_window = max(1, per_s * WINDOW_US // 1_000_000)
        self.every = 1
        """One run of so many is looked at."""
        self.weight = 1
        """What each message stands for that `step` just let through."""
        self.skip = 0
        """How many runs are still to be passed over."""
        self._start_us = self.until_us = 0
        """The window; a clock that is set back ends it, at the next run that is not passed over."""
        self.seen = 0
        """How many messages came in it; the caller counts them."""
        self._looked = 0
        self._demand = 0
        """How many would have been looked at without a budget, as far as that can be told."""
        self._allowed = self._per_window
        self._past: deque[tuple[int, int, int]] = deque(maxlen=SHARE_WINDOWS)
        """When each window ended, and how many messages it saw and looked at."""

    def step(self, number: int, now_us: int) -> int:
        """A run of `number` messages: each how manieth of it is to be looked at, 0: none."""
        if not self._start_us <= now_us < self.until_us:
            self._turn(number, now_us)
            if self.skip:
                self.skip -= 1
                return 0
        every = self.every
        step = 1
        looked = number
        if number > MAX_OF_RUN:
            step = -(-number // MAX_OF_RUN)
            looked = number // step
        self.weight = every * step
        self._looked += looked
        self._demand += looked * every
        if self._looked > self._allowed:
            self._allowed += self._per_window // 4
            self.every = every = every * 2
        if every > 1:
            self.skip = int(self._random() * (2 * every - 1))
        return step

    def start(self, step: int) -> int:
        """Where in a run to begin, of which each `step`-th message is looked at."""
        return int(self._random() * step)

    def _turn(self, number: int, now_us: int) -> None:
        """A window has ended, maybe long ago, or the clock was set back; the next one begins with a run of `number`."""
        elapsed_us = now_us - self._start_us
        if elapsed_us > 0:
            self._past.append((self.until_us, self.seen - number, self._looked))
            most = self._per_window * elapsed_us // WINDOW_US
            # After a whole window without any, whatever comes is looked at.
            self.every = max(1, -(-self._demand // most)) if elapsed_us < 2 * WINDOW_US else 1
        else:
            self._past.clear()
            self.every = 1
        self.skip = int(self._random() * self.every) if self.every > 1 else 0
        self._start_us = now_us
        self.until_us = now_us + WINDOW_US
        self.seen = number
        self._looked = self._demand = 0
        self._allowed = self._per_window

    def share(self, now_us: int) -> float:
        """The share of the messages of the last ten seconds that was looked at."""
        seen, looked = self.seen, self._looked
        for until_us, window_seen, window_looked in self._past:
            if until_us > now_us - SHARE_US:
                seen += window_seen
                looked += window_looked
        return min(1.0, looked / seen) if seen else 1.0
