"""What the gateway did over time, at falling resolution. Pure: fed with totals and `now`; rows go out by a callback.

    10 s for an hour, 1 min for a day, 15 min for 30 days

A cell holds what was counted while it was measured, and for how long that was: a rate is the one divided by the other,
so it is right for a cell that was begun late or left early, and there is none where nothing ran. Cells belong to the
wall clock's slots, durations come from the monotonic clock. A clock that jumps therefore spoils no rate: what is
measured goes into the slot that the clock says now, on top of what is there. No cell is thrown away for its time
alone, since a box without a battery starts in 1970 and finds its history "in the future" until it has asked for the
time; only beyond a tier's number of cells do those go that are farthest from now.

Rows are of two kinds: a minute with its six cells of 10 s, and a quarter of an hour. A minute is written when it is
over and, where something flowed, after 30 s, so that a process that is killed loses no more and one that is idle spares
the flash; a quarter that has not ended is read from its minutes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

FINE_S: Final = 10
MINUTE_S: Final = 60
QUARTER_S: Final = 900
CAPACITIES: Final = {FINE_S: 360, MINUTE_S: 1440, QUARTER_S: 2880}
"""Cells of each step: an hour, a day, 30 days."""
SPANS: Final = {
    "1h": (3600, FINE_S),
    "6h": (6 * 3600, MINUTE_S),
    "24h": (24 * 3600, MINUTE_S),
    "7d": (7 * 86400, QUARTER_S),
    "30d": (30 * 86400, QUARTER_S),
}
"""How far each span goes back, and its step, in seconds."""
KEEP_EVERY_S: Final = 30.0
_LEAST_S: Final = 0.5
"""A cell that was measured for less has no rate: a single commit would look like a peak."""
_MINUTE_ROW: Final = 0
_QUARTER_ROW: Final = 1
_KIND_SHIFT: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A reading: counters since the process started, and what waits right now."""

    accepted: int
    delivered: int
    dropped: int
    raw_bytes: int
    """What the delivered records took as plain MQTT."""
    wire_bytes: int
    records: int
    bytes: int


@dataclass(slots=True)
class Cell:
    """What was measured in one slot: seconds, counts in them, and what waited at their end."""

    measured_s: float = 0.0
    accepted: int = 0
    delivered: int = 0
    dropped: int = 0
    raw_bytes: int = 0
    wire_bytes: int = 0
    records: int = 0
    bytes: int = 0

    def add(self, other: Cell) -> None:
        """Take in what was measured after this."""
        self.measured_s += other.measured_s
        self.accepted += other.accepted
        self.delivered += other.delivered
        self.dropped += other.dropped
        self.raw_bytes += other.raw_bytes
        self.wire_bytes += other.wire_bytes
        self.records, self.bytes = other.records, other.bytes

    def to_list(self) -> list[float]:
        """As a row holds it."""
        return [
            round(self.measured_s, 1), self.accepted, self.delivered, self.dropped,
            self.raw_bytes, self.wire_bytes, self.records, self.bytes,
        ]  # fmt: skip

    @classmethod
    def from_list(cls, values: Sequence[Any]) -> Cell:
        """The inverse. Raises ValueError for anything else."""
        measured_s, *counts = values
        if not isinstance(measured_s, (int, float)) or len(counts) != 7 or not 0 <= measured_s < 1e7:
            raise ValueError("A cell has a duration and seven counts.")
        if not all(isinstance(item, int) and item >= 0 for item in counts):
            raise ValueError("A cell's counts are numbers from 0 on.")
        return cls(float(measured_s), *counts)


class History:
    """Cells by step and slot. `keep(key, body)` and `discard(key)` are told of rows."""

    def __init__(self, *, keep: Callable[[int, bytes], None], discard: Callable[[int], None]) -> None:
        self._keep = keep
        self._discard = discard
        self._cells: dict[int, dict[int, Cell]] = {step: {} for step in CAPACITIES}
        self._last: tuple[float, Totals] | None = None
        self._minute: int | None = None
        self._kept_s = 0.0
        self.measured_until_s: float | None = None
        """The end of the newest cell that was loaded: when the process before this one ended, to a few seconds."""

    def load(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Take in the rows of an earlier process, before the first `feed`; what can't be read is discarded."""
        quarters: dict[int, Cell] = {}
        for key, body in rows:
            kind, slot = key >> _KIND_SHIFT, key & ((1 << _KIND_SHIFT) - 1)
            try:
                if kind == _MINUTE_ROW:
                    self._load_minute(slot, body)
                elif kind == _QUARTER_ROW:
                    quarters[slot] = Cell.from_list(msgpack.unpackb(body))
                else:
                    raise ValueError("no such kind of row")
            except (ValueError, TypeError, msgpack.UnpackException):
                self._discard(key)
        mine = self._cells[QUARTER_S]
        for slot, minute in sorted(self._cells[MINUTE_S].items()):
            mine.setdefault(slot * MINUTE_S // QUARTER_S, Cell()).add(minute)
        for slot, cell in quarters.items():
            if slot not in mine or cell.measured_s >= mine[slot].measured_s:
                mine[slot] = cell
        newest = max(self._cells[FINE_S], default=None)
        if newest is not None:
            self.measured_until_s = newest * FINE_S + min(FINE_S, self._cells[FINE_S][newest].measured_s)
            for step in CAPACITIES:
                self._prune(step, int(self.measured_until_s) // step)

    def _load_minute(self, slot: int, body: bytes) -> None:
        cells = [(offset, Cell.from_list(values)) for offset, *values in msgpack.unpackb(body)]
        if not cells or not all(isinstance(offset, int) and 0 <= offset < MINUTE_S // FINE_S for offset, _ in cells):
            raise ValueError("A minute has cells at 0 to 5.")
        whole = self._cells[MINUTE_S][slot] = Cell()
        for offset, cell in cells:
            whole.add(cell)
            self._cells[FINE_S][slot * (MINUTE_S // FINE_S) + offset] = cell

    def feed(self, now_s: float, monotonic_s: float, totals: Totals) -> None:
        """`totals` stand so at `now_s` (seconds since 1970) and `monotonic_s`; call it every few seconds."""
        last, self._last = self._last, (monotonic_s, totals)
        if last is None or now_s < 0:
            return
        before = last[1]
        part = Cell(
            max(0.0, monotonic_s - last[0]),
            max(0, totals.accepted - before.accepted),
            max(0, totals.delivered - before.delivered),
            max(0, totals.dropped - before.dropped),
            max(0, totals.raw_bytes - before.raw_bytes),
            max(0, totals.wire_bytes - before.wire_bytes),
            totals.records,
            totals.bytes,
        )
        minute = int(now_s) // MINUTE_S
        if self._minute is not None and self._minute != minute:
            self._finish(self._minute)
            self._kept_s = monotonic_s
        self._minute = minute
        for step, cells in self._cells.items():
            slot = int(now_s) // step
            cell = cells.get(slot)
            if cell is None:
                cell = cells[slot] = Cell()
                self._prune(step, slot)
            cell.add(part)
        whole = self._cells[MINUTE_S][minute]
        # Of an idle minute nothing is lost that its end would not tell: the disk is left alone.
        if monotonic_s - self._kept_s >= KEEP_EVERY_S and (whole.accepted or whole.delivered or whole.dropped):
            self._kept_s = monotonic_s
            self._keep_minute(minute)

    def close(self) -> None:
        """Have the minute that is not over written, too."""
        if self._minute is not None:
            self._keep_minute(self._minute)

    def _finish(self, minute: int) -> None:
        self._keep_minute(minute)
        quarter = minute * MINUTE_S // QUARTER_S
        if self._cells[QUARTER_S].get(quarter) is not None and (minute + 1) * MINUTE_S % QUARTER_S == 0:
            self._keep_quarter(quarter)

    def _keep_minute(self, minute: int) -> None:
        per_minute = MINUTE_S // FINE_S
        fine = self._cells[FINE_S]
        cells = [
            [offset, *cell.to_list()]
            for offset in range(per_minute)
            if (cell := fine.get(minute * per_minute + offset)) is not None
        ]
        if cells:
            self._keep(_MINUTE_ROW << _KIND_SHIFT | minute, msgpack.packb(cells))

    def _keep_quarter(self, quarter: int) -> None:
        body = msgpack.packb(self._cells[QUARTER_S][quarter].to_list())
        self._keep(_QUARTER_ROW << _KIND_SHIFT | quarter, body)

    def _prune(self, step: int, now_slot: int) -> None:
        """Beyond the tier's number of cells, forget those that are farthest from now."""
        cells = self._cells[step]
        excess = len(cells) - CAPACITIES[step]
        if excess <= 0:
            return
        for slot in heapq.nlargest(excess, cells, key=lambda slot: (abs(slot - now_slot), -slot)):
            del cells[slot]
            if step == MINUTE_S:
                self._discard(_MINUTE_ROW << _KIND_SHIFT | slot)
            elif step == QUARTER_S:
                self._discard(_QUARTER_ROW << _KIND_SHIFT | slot)

    def body(self, span: str, now_s: float) -> dict[str, Any]:
        """The series of a span (a key of SPANS) that ends at `now_s`: columns of equal length, None where nothing
        was measured. Times are seconds since 1970, of the slots' beginnings."""
        length_s, step = SPANS[span]
        last = int(now_s) // step
        first = last - length_s // step + 1
        found = [self._cells[step].get(slot) for slot in range(first, last + 1)]
        measured = [cell if cell is not None and cell.measured_s >= _LEAST_S else None for cell in found]
        return {
            "span": span,
            "step_s": step,
            "from": first * step,
            "to": int(now_s),
            "at": [slot * step for slot in range(first, last + 1)],
            "in_per_s": [None if c is None else round(c.accepted / c.measured_s, 2) for c in measured],
            "out_per_s": [None if c is None else round(c.delivered / c.measured_s, 2) for c in measured],
            "dropped_per_s": [None if c is None else round(c.dropped / c.measured_s, 2) for c in measured],
            "records": [None if c is None else c.records for c in found],
            "bytes": [None if c is None else c.bytes for c in found],
            "raw_bytes_per_s": [None if c is None else round(c.raw_bytes / c.measured_s, 1) for c in measured],
            "wire_bytes_per_s": [None if c is None else round(c.wire_bytes / c.measured_s, 1) for c in measured],
        }
