"""Sets of sequence numbers, kept as the intervals they form.

One flat, sorted list of bounds: [start0, stop0, start1, stop1, …], half open, with start0 < stop0 < start1 < … . The
parity of a bisected position tells whether a number is inside (odd) or outside (even), so that every operation is two
bisections and one slice: thousands of intervals stay quick.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise

Range = tuple[int, int]
"""(start, stop): the numbers start ≤ n < stop."""


class Intervals:
    """A set of integers; neighbours and overlaps are merged as they are added."""

    __slots__ = ("_bounds",)

    def __init__(self, bounds: list[int] | None = None) -> None:
        """`bounds` as in the module's text; raises ValueError when they are not strictly ascending pairs."""
        self._bounds = [] if bounds is None else list(bounds)
        if len(self._bounds) % 2 or any(low >= high for low, high in pairwise(self._bounds)):
            raise ValueError("The bounds of intervals must be strictly ascending pairs.")

    @property
    def bounds(self) -> list[int]:
        """A copy of the flat list, as the constructor takes it."""
        return list(self._bounds)

    @property
    def stop(self) -> int | None:
        """The number after the greatest, None when empty."""
        return self._bounds[-1] if self._bounds else None

    def copy(self) -> Intervals:
        """An independent set of the same numbers."""
        twin = Intervals()
        twin._bounds = list(self._bounds)
        return twin

    def count(self) -> int:
        """How many numbers are in the set."""
        return sum(self._bounds[1::2]) - sum(self._bounds[::2])

    def add(self, start: int, stop: int) -> None:
        """Put in start ≤ n < stop."""
        if start >= stop:
            return
        first = bisect_left(self._bounds, start)
        last = bisect_right(self._bounds, stop)
        new = [start] if first % 2 == 0 else []
        if last % 2 == 0:
            new.append(stop)
        self._bounds[first:last] = new

    def remove(self, start: int, stop: int) -> None:
        """Take out start ≤ n < stop."""
        if start >= stop:
            return
        first = bisect_left(self._bounds, start)
        last = bisect_right(self._bounds, stop)
        new = [start] if first % 2 else []
        if last % 2:
            new.append(stop)
        self._bounds[first:last] = new

    def missing(self, start: int, stop: int) -> list[Range]:
        """What of start ≤ n < stop is not in the set, as ascending ranges."""
        if start >= stop:
            return []
        first = bisect_right(self._bounds, start)
        last = bisect_left(self._bounds, stop)
        points = self._bounds[first:last]
        if first % 2 == 0:
            points.insert(0, start)
        if last % 2 == 0:
            points.append(stop)
        return list(zip(points[::2], points[1::2], strict=True))

    def __iter__(self) -> Iterator[Range]:
        return zip(self._bounds[::2], self._bounds[1::2], strict=True)

    def __len__(self) -> int:
        """How many intervals there are (not how many numbers)."""
        return len(self._bounds) // 2

    def __bool__(self) -> bool:
        return bool(self._bounds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self._bounds == other._bounds

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Intervals({self._bounds!r})"
