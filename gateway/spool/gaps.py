"""The gaps of one stream: which sequence numbers were dropped on purpose, for whom, and why."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.ports import Gap

EVERYONE = ""
"""The uplink name of a gap that holds for all uplinks."""
CORRUPT = "corrupt"
"""The reason of a gap, and of a dead letter, whose records were found damaged or missing on the disk."""


class Gaps:
    """Kept in order of their first sequence number, one list an uplink; neighbours with one reason are one gap."""

    def __init__(self) -> None:
        self._of: dict[str, list[Gap]] = {}

    def add(self, gap: Gap, uplink: str = EVERYONE) -> Gap:
        """Add a gap; returns the gap as it now stands (grown at its front, where it continues the one before it)."""
        mine = self._of.setdefault(uplink, [])
        place = next((i for i, other in enumerate(mine) if other.first_seq > gap.first_seq), len(mine))
        before = mine[place - 1] if place else None
        if before and before.reason == gap.reason and before.first_seq + before.count == gap.first_seq:
            gap = Gap(first_seq=before.first_seq, count=before.count + gap.count, reason=gap.reason)
            mine[place - 1] = gap
        else:
            mine.insert(place, gap)
        return gap

    def between(self, start: int, stop: int, uplink: str) -> list[Gap]:
        """The parts of all gaps that concern `uplink` in [start, stop), in order."""
        parts = []
        for name in {EVERYONE, uplink}:
            for gap in self._of.get(name, ()):
                first, end = max(gap.first_seq, start), min(gap.first_seq + gap.count, stop)
                if first < end:
                    parts.append(Gap(first_seq=first, count=end - first, reason=gap.reason))
        return sorted(parts, key=lambda gap: gap.first_seq)

    def forget_below(self, uplink: str, seq: int) -> list[Gap]:
        """Drop the gaps that end at or below `seq`; returns them."""
        mine = self._of.get(uplink, [])
        gone = [gap for gap in mine if gap.first_seq + gap.count <= seq]
        if gone:
            self._of[uplink] = [gap for gap in mine if gap.first_seq + gap.count > seq]
        return gone

    def forget(self, uplink: str) -> list[Gap]:
        """The uplink is no more: nothing has to be declared to it; returns what would have been."""
        return self._of.pop(uplink, [])

    def __iter__(self) -> Iterator[tuple[str, Gap]]:
        return ((uplink, gap) for uplink, gaps in self._of.items() for gap in gaps)
