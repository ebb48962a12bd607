"""How often each route was asked, how it was answered, and how long that took. Pure.

Bounded by construction: a route is a template that the router knows, never a path that somebody wrote; all else is one,
OTHER. So there are as many counters as routes that were asked, times five classes of statuses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

BOUNDS_S: Final = (0.005, 0.025, 0.1, 0.5, 2.5)
"""Upper ends of the histogram's buckets; one more has no end."""
OTHER: Final = "other"
"""Requests for what is not there, by methods that it does not know, or refused before it was looked at."""


class Asked(NamedTuple):
    """What was asked: the template of a route, and the method."""

    route: str
    method: str


NOTHING_KNOWN: Final = Asked(OTHER, OTHER)


@dataclass(slots=True)
class Durations:
    """One histogram. `counts`: of each bucket alone, the endless one last."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0


class Meter:
    """One for a server."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[Asked, str]] = Counter()
        """By what was asked and the class of the answer's status, `2xx`."""
        self.durations: dict[Asked, Durations] = {}

    def note(self, asked: Asked, status: int, duration_s: float | None) -> None:
        """A request was answered. `duration_s` None: a stream, which lasts as long as somebody looks."""
        self.requests[asked, f"{status // 100}xx"] += 1
        if duration_s is not None:
            durations = self.durations.setdefault(asked, Durations())
            durations.counts[bisect_left(BOUNDS_S, duration_s)] += 1
            durations.sum_s += duration_s
