"""How far the uplinks have come, for the next commit to say.

That is their watermarks, as far as they moved, and the rows of gaps that nobody needs to be told of any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bridge.ports import Gap
from gateway.spool.gaps import EVERYONE
from gateway.spool.lane import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What moved since the last commit."""

    moved: frozenset[tuple[str, str]]
    """Uplinks, each with the name of a stream."""
    watermarks: tuple[tuple[str, int, int], ...]
    """Uplink, stream, sequence number below which everything is delivered."""
    released: Mapping[str, int]
    """For streams by name: what is below is delivered everywhere."""
    gaps_declared: tuple[tuple[int, str, int], ...]
    """Stream, uplink and first number of gaps whose rows are to go."""


class Progress:
    """Takes note of it on the event loop."""

    __slots__ = ("_declared", "_moved")

    def __init__(self) -> None:
        self._moved: set[tuple[str, str]] = set()
        self._declared: list[tuple[int, str, int]] = []
        """Gaps that are forgotten, whose rows are still there."""

    def __bool__(self) -> bool:
        """Whether a watermark has moved."""
        return bool(self._moved)

    def note(self, uplink: str, lane: Lane, seq: int) -> bool:
        """Everything of the stream below `seq` is delivered through `uplink`. Whether that is news."""
        if seq <= lane.watermarks[uplink]:
            return False
        lane.watermarks[uplink] = min(seq, lane.next_seq)
        self._moved.add((uplink, lane.name))
        return True

    def forget_uplink(self, lane: Lane, uplink: str) -> None:
        """The uplink does not carry the lane any more; call it between two commits, before `note_carriers`.

        The rows of its gaps go with the next commit that can be written: they must not be there when one of that name
        comes back, which begins anew.
        """
        del lane.watermarks[uplink]
        self._declare(lane, uplink, lane.gaps.forget(uplink))

    def note_carriers(self, lane: Lane) -> None:
        """The uplinks of the lane are others: have it in the next commit how far each has come."""
        self._moved = {(uplink, name) for uplink, name in self._moved if name != lane.name}
        self._moved |= {(uplink, lane.name) for uplink in lane.watermarks}

    def take(self, lanes: Mapping[str, Lane]) -> Steps:
        """What the commit that begins has to say; `settle` follows when it has ended."""
        moved, self._moved = self._moved, set()
        released: dict[str, int] = {}
        for uplink, name in moved:
            lane = lanes[name]
            released[name] = lane.released_seq
            self._declare(lane, uplink, lane.gaps.forget_below(uplink, lane.watermark(uplink)))
        for name, seq in released.items():
            self._declare(lanes[name], EVERYONE, lanes[name].gaps.forget_below(EVERYONE, seq))
        return Steps(
            moved=frozenset(moved),
            watermarks=tuple((uplink, lanes[name].id, lanes[name].watermark(uplink)) for uplink, name in moved),
            released=released,
            gaps_declared=tuple(self._declared),
        )

    def settle(self, steps: Steps, *, is_written: bool) -> None:
        """The commit has ended; what was not written is said again by the next one."""
        if is_written:
            self._declared.clear()
        else:
            self._moved |= steps.moved

    def _declare(self, lane: Lane, uplink: str, gaps: Iterable[Gap]) -> None:
        self._declared += [(lane.id, uplink, gap.first_seq) for gap in gaps]
