"""What of a stream is acknowledged: a watermark below which everything is, and islands above it.

Sequence arithmetic and nothing else. Acknowledgements may come in any order and more than once; only the contiguous
watermark may release records from the spool, so a lost frame holds back exactly what comes after it, and no more.
"""

from __future__ import annotations

from bisect import bisect_left


class AckLine:
    """The acknowledged sequence numbers of one stream, as half-open ranges."""

    __slots__ = ("_islands", "watermark")

    def __init__(self, watermark: int) -> None:
        self.watermark = watermark
        """Every sequence number below it is acknowledged."""
        self._islands: list[tuple[int, int]] = []

    def acknowledge(self, start: int, stop: int) -> None:
        """[start, stop) is acknowledged. Raises ValueError when there is nothing in it."""
        if start >= stop:
            raise ValueError(f"[{start}, {stop}) holds no sequence number")
        islands = self._islands
        first = bisect_left(islands, start, key=lambda island: island[1])
        last = first
        while last < len(islands) and islands[last][0] <= stop:
            start = min(start, islands[last][0])
            stop = max(stop, islands[last][1])
            last += 1
        islands[first:last] = [(start, stop)]
        while islands and islands[0][0] <= self.watermark:
            self.watermark = max(self.watermark, islands.pop(0)[1])

    def hole(self, seq: int) -> tuple[int, int | None]:
        """The first range at or after `seq` that is not acknowledged; its end is None when nothing beyond it is."""
        seq = max(seq, self.watermark)
        for start, stop in self._islands:
            if seq < start:
                return seq, start
            seq = max(seq, stop)
        return seq, None
