"""What has arrived, what was dropped on purpose, and what is missing.

A lane is one life of a stream's numbering: (gateway, stream, epoch). For each the ledger keeps

- the sequence numbers that arrived, as merged intervals;
- those declared as gaps, by reason. Arrival wins: a number is in a gap only while it has not arrived. A number has one
  reason at most: the first one told stays;
- how many records came again.

Holes are not kept but follow: a number at or after FIRST_SEQ that neither arrived nor was declared, while something
after it did or was. Nothing after it: it is only not here yet.

A change is made on a `Draft` and taken over with `Ledger.accept` once it is durable where it is kept; a draft that is
dropped leaves no trace. On disk a lane is one MessagePack value, [1, arrived, {reason: intervals}, duplicates], where
intervals are the differences between ascending bounds (small numbers are one byte).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, NamedTuple

import msgpack

from bridge.receiver.intervals import Intervals, Range

FIRST_SEQ: Final = 1
"""Where the numbering of an epoch begins."""

_VERSION: Final = 1


class LaneKey(NamedTuple):
    """One life of one stream's numbering."""

    gateway: str
    stream: str
    epoch: str


@dataclass(slots=True, kw_only=True)
class Lane:
    """The ledger of one lane."""

    arrived: Intervals = field(default_factory=Intervals)
    gaps: dict[str, Intervals] = field(default_factory=dict)
    duplicates: int = 0

    def admit(self, first_seq: int, count: int) -> list[Range]:
        """Note that `count` records from `first_seq` are here; returns those that were not here before."""
        stop = first_seq + count
        new = self.arrived.missing(first_seq, stop)
        self.duplicates += count - sum(end - start for start, end in new)
        self.arrived.add(first_seq, stop)
        for reason in list(self.gaps):
            self.gaps[reason].remove(first_seq, stop)
            if not self.gaps[reason]:
                del self.gaps[reason]
        return new

    def declare(self, first_seq: int, count: int, reason: str) -> list[Range]:
        """Note that `count` records from `first_seq` will not come, unless they did; returns those that is news of."""
        open_ranges = self.arrived.missing(first_seq, first_seq + count)
        for declared in self.gaps.values():
            open_ranges = [part for start, stop in open_ranges for part in declared.missing(start, stop)]
        for start, stop in open_ranges:
            self.gaps.setdefault(reason, Intervals()).add(start, stop)
        return open_ranges

    @property
    def next_seq(self) -> int:
        """The number after the greatest that arrived or was declared."""
        return max([FIRST_SEQ, *(known.stop or 0 for known in (self.arrived, *self.gaps.values()))])

    def holes(self) -> list[Range]:
        """The ranges that are missing without a word."""
        known = self.arrived.copy()
        for declared in self.gaps.values():
            for start, stop in declared:
                known.add(start, stop)
        return known.missing(FIRST_SEQ, self.next_seq)

    def copy(self) -> Lane:
        """An independent lane of the same content."""
        return Lane(
            arrived=self.arrived.copy(),
            gaps={reason: declared.copy() for reason, declared in self.gaps.items()},
            duplicates=self.duplicates,
        )

    def encode(self) -> bytes:
        """The lane's bytes."""
        gaps = {reason: _steps(declared) for reason, declared in self.gaps.items()}
        packed: bytes = msgpack.packb([_VERSION, _steps(self.arrived), gaps, self.duplicates])
        return packed

    @classmethod
    def decode(cls, data: bytes) -> Lane:
        """The inverse of `encode`. Raises ValueError when the bytes are anything else."""
        try:
            version, arrived, gaps, duplicates = msgpack.unpackb(data)
            if version != _VERSION:
                raise ValueError(f"The ledger row is of version {version}; this code reads version {_VERSION}.")
            return cls(
                arrived=_from_steps(arrived),
                gaps={str(reason): _from_steps(steps) for reason, steps in gaps.items()},
                duplicates=int(duplicates),
            )
        except (msgpack.UnpackException, TypeError, AttributeError) as error:
            raise ValueError(f"The ledger row is not what this code writes: {error}") from error


class Ledger:
    """The lanes by their keys."""

    def __init__(self, lanes: Mapping[LaneKey, Lane] | None = None) -> None:
        self._lanes: dict[LaneKey, Lane] = dict(lanes or {})

    def draft(self) -> Draft:
        """A change to this ledger that is not made yet."""
        return Draft(self._lanes)

    def accept(self, draft: Draft) -> None:
        """Make the change: it is durable now. Of several drafts open at a time only one can be accepted."""
        self._lanes.update(draft.lanes)

    def __iter__(self) -> Iterator[tuple[LaneKey, Lane]]:
        return iter(self._lanes.items())

    def __contains__(self, key: LaneKey) -> bool:
        return key in self._lanes

    def __getitem__(self, key: LaneKey) -> Lane:
        return self._lanes[key]

    def __len__(self) -> int:
        return len(self._lanes)


class Draft:
    """Lanes as they will be; those of the ledger are copied when first touched."""

    __slots__ = ("_base", "lanes")

    def __init__(self, base: Mapping[LaneKey, Lane]) -> None:
        self._base = base
        self.lanes: dict[LaneKey, Lane] = {}

    def lane(self, key: LaneKey) -> Lane:
        """The lane to change."""
        lane = self.lanes.get(key)
        if lane is None:
            base = self._base.get(key)
            lane = self.lanes[key] = Lane() if base is None else base.copy()
        return lane

    def rows(self) -> list[tuple[str, str, str, bytes]]:
        """(gateway, stream, epoch, bytes) of every lane touched: what is to be made durable."""
        return [(*key, lane.encode()) for key, lane in self.lanes.items()]


def _steps(intervals: Intervals) -> list[int]:
    bounds = intervals.bounds
    return [high - low for low, high in zip([0, *bounds], bounds, strict=False)]


def _from_steps(steps: Any) -> Intervals:
    return Intervals(list(accumulate(steps)))
