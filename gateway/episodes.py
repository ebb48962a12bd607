"""Of counts that go up: when it begins and ends, not each step of it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

QUIET_S: Final = 60.0
"""An episode is over when nothing was counted for so long."""
EVERY_S: Final = 60.0
"""A burst is told at once, and what comes after it together, this often."""


class Admission(enum.Enum):
    """What to do with one of many."""

    TELL = "tell"
    LAST = "last"
    """Say that no more are told of for a while."""
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """It has begun, or `is_over`; `number` was counted in it until now."""

    number: int
    is_over: bool


@dataclass(slots=True)
class _Open:
    total: int
    """When it was looked at last."""
    start: int | None = None
    """The count before it; None while there is none."""
    changed_s: float = 0.0


class Episodes:
    """One for each key; keys are few (stream and reason)."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], _Open] = {}

    def begin(self, key: tuple[str, str], total: int) -> None:
        """The counter of `key` stands at `total`, from earlier. Counters that are not told of stand at 0."""
        self._of[key] = _Open(total=total)

    def feed(self, now_s: float, key: tuple[str, str], total: int) -> Episode | None:
        """The counter of `key` stands at `total` now; returns what is new."""
        known = self._of.setdefault(key, _Open(total=0))
        gained, known.total = total - known.total, total
        if gained > 0:
            known.changed_s = now_s
            if known.start is None:
                known.start = total - gained
                return Episode(number=gained, is_over=False)
        if known.start is not None and now_s - known.changed_s >= QUIET_S:
            number, known.start = total - known.start, None
            return Episode(number=number, is_over=True)
        return None


class Bursts:
    """Tells how many more there are: the first at once, then at most every EVERY_S, counted together."""

    def __init__(self) -> None:
        self._told: dict[Hashable, tuple[float, int]] = {}

    def feed(self, now_s: float, key: Hashable, total: int) -> int:
        """The counter of `key` stands at `total`, and began at 0; returns how many to tell of now."""
        at_s, before = self._told.get(key, (float("-inf"), 0))
        if total <= before or now_s - at_s < EVERY_S:
            return 0
        self._told[key] = (now_s, total)
        return total - before


class Floods:
    """Lets `most` events of a key through within a window; of the one that is too many it says that it is the last."""

    def __init__(self, *, most: int = 20, window_s: float = 600.0) -> None:
        self._most = most
        self._window_s = window_s
        self._since: dict[str, tuple[float, int]] = {}

    def admit(self, now_s: float, key: str) -> Admission:
        """Whether one more is to be told of."""
        start_s, number = self._since.get(key, (now_s, 0))
        if now_s - start_s >= self._window_s:
            start_s, number = now_s, 0
        self._since[key] = (start_s, number + 1)
        if number < self._most:
            return Admission.TELL
        return Admission.LAST if number == self._most else Admission.SKIP
