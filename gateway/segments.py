"""In which state each uplink was, from when to when, and why. Pure; rows go out by a callback.

An outage is one segment, however often the uplink tried to connect in it: `connecting` and `backing_off` belong
together, as long as it was never online between them. A link that flaps can't fill the store either: beyond
MAX_FLAPS segments in an hour one that lasted less than FLAP_S is taken into the one before, and only the newest
MAX_SEGMENTS of an uplink are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

MAX_SEGMENTS: Final = 1000
"""Of one uplink."""
MAX_UPLINKS: Final = 100
"""Names that are remembered; settings that change every day must not fill the store."""
MAX_FLAPS: Final = 60
FLAP_S: Final = 30.0
MAX_REASON: Final = 300
_ROW: Final = 2 << 40
"""Keys from here on, in the table that the cells of `gateway.history` are in."""
RESTART_S: Final = 300.0
"""A gateway that was down for no longer than that was restarted: an uplink that was away before it and is after it was
away all the time."""
_AWAY: Final = frozenset({"connecting", "backing_off"})


@dataclass(slots=True, kw_only=True)
class Segment:
    """`until_s` is None for the state of now. Times are seconds since 1970."""

    key: int
    state: str
    from_s: float
    until_s: float | None = None
    reason: str | None = None


class Segments:
    """By the uplinks' names. `keep(key, body)` and `discard(key)` are told of rows."""

    def __init__(self, *, keep: Callable[[int, bytes], None], discard: Callable[[int], None]) -> None:
        self._keep = keep
        self._discard = discard
        self._of: dict[str, list[Segment]] = {}
        self._next_key = _ROW

    @staticmethod
    def owns(key: int) -> bool:
        """Whether a row of the table is one of these."""
        return key >= _ROW

    def load(self, rows: Iterable[tuple[int, bytes]], *, ended_s: float | None) -> None:
        """Take in the rows of an earlier process that was last seen at `ended_s`: what it left open ends there."""
        for key, body in sorted(rows):
            try:
                uplink, state, from_s, until_s, reason = msgpack.unpackb(body)
                if not isinstance(uplink, str) or not isinstance(state, str) or not isinstance(from_s, (int, float)):
                    raise TypeError("A segment has an uplink, a state and a beginning.")
                if until_s is not None and not isinstance(until_s, (int, float)):
                    raise TypeError("A segment ends at a time, or not yet.")
            except (ValueError, TypeError, msgpack.UnpackException):
                self._discard(key)
                continue
            segment = Segment(key=key, state=state, from_s=from_s, until_s=until_s, reason=reason)
            self._of.setdefault(uplink, []).append(segment)
            self._next_key = max(self._next_key, key + 1)
        for uplink, segments in self._of.items():
            for segment, after in zip(segments, [*segments[1:], None], strict=True):
                if segment.until_s is None:
                    bound = segment.from_s if ended_s is None else max(segment.from_s, ended_s)
                    segment.until_s = bound if after is None else min(bound, max(segment.from_s, after.from_s))
                    self._write(uplink, segment)
            self._prune(uplink)

    def enter(self, now_s: float, uplink: str, state: str, reason: str | None = None) -> None:
        """The uplink has got into that state."""
        reason = None if reason is None else reason[:MAX_REASON]
        segments = self._of.setdefault(uplink, [])
        current = segments[-1] if segments and segments[-1].until_s is None else None
        if current is not None:
            if current.state == state or {current.state, state} <= _AWAY:
                if current.state == state and reason in {None, current.reason}:
                    return
                # The last reason says most; to write each would be a row for every attempt.
                current.state = "backing_off" if {current.state, state} <= _AWAY else state
                first, current.reason = current.reason, reason or current.reason
                if first is None:
                    self._write(uplink, current)
                return
            current.until_s = max(now_s, current.from_s)
            if self._is_flap(segments, now_s):
                segments.pop()
                self._discard(current.key)
                before = segments[-1] if segments else None
                if before is not None and before.state == state:
                    before.until_s = None
                    self._write(uplink, before)
                    return
                now_s = current.from_s
            else:
                self._write(uplink, current)
        segment = Segment(key=self._next_key, state=state, from_s=now_s, reason=reason)
        self._next_key += 1
        segments.append(segment)
        self._write(uplink, segment)
        self._prune(uplink)

    def state(self, uplink: str) -> str | None:
        """The state of now, with an outage as one; None when there is none."""
        segments = self._of.get(uplink)
        return segments[-1].state if segments and segments[-1].until_s is None else None

    def began_s(self, uplink: str) -> float | None:
        """Since when it is in that state; an outage goes on over a restart in its midst."""
        segments = self._of.get(uplink)
        if not segments or segments[-1].until_s is not None:
            return None
        began = segments[-1]
        if began.state in _AWAY:
            for before in reversed(segments[:-1]):
                # By a clock that began anew it may have ended in the future: that says nothing of how long ago.
                if before.state not in _AWAY or abs(began.from_s - (before.until_s or 0.0)) > RESTART_S:
                    break
                began = before
        return began.from_s

    def clock_was_set(self, by_s: float) -> None:
        """The wall clock was set forward by so much, or back: by it, what is not over began as much later."""
        for uplink, segments in self._of.items():
            if segments and segments[-1].until_s is None:
                segments[-1].from_s += by_s
                self._write(uplink, segments[-1])

    def close(self, now_s: float) -> None:
        """The process ends: so do all states."""
        for uplink, segments in self._of.items():
            if segments and segments[-1].until_s is None:
                segments[-1].until_s = max(now_s, segments[-1].from_s)
                self._write(uplink, segments[-1])

    def body(self, uplinks: Iterable[str], from_s: float, to_s: float) -> dict[str, list[dict[str, Any]]]:
        """The segments of those uplinks that touch [from_s, to_s], oldest first."""
        return {
            name: [
                {
                    "from": round(item.from_s, 1),
                    "to": None if item.until_s is None else round(item.until_s, 1),
                    "state": item.state,
                    "reason": item.reason,
                }
                for item in self._of.get(name, ())
                if item.from_s <= to_s and (item.until_s is None or item.until_s >= from_s)
            ]
            for name in uplinks
        }

    def _is_flap(self, segments: Sequence[Segment], now_s: float) -> bool:
        last = segments[-1]
        if not 0 <= now_s - last.from_s < FLAP_S or len(segments) <= MAX_FLAPS:
            return False
        return segments[-MAX_FLAPS].from_s > now_s - 3600

    def _write(self, uplink: str, segment: Segment) -> None:
        body = [uplink, segment.state, segment.from_s, segment.until_s, segment.reason]
        self._keep(segment.key, msgpack.packb(body))

    def _prune(self, uplink: str) -> None:
        segments = self._of[uplink]
        while len(segments) > MAX_SEGMENTS:
            self._discard(segments.pop(0).key)
        while len(self._of) > MAX_UPLINKS:
            gone = min((name for name in self._of if name != uplink), key=lambda name: self._of[name][-1].from_s)
            for segment in self._of.pop(gone):
                self._discard(segment.key)
