"""How fast it goes: rates of streams and uplinks, and what was dropped lately. Pure but for what it reads.

`feed` is called about once a second; it reads a few numbers of each stream and uplink, so it costs microseconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from bridge.rates import SlidingRate
from bridge.uplink import Uplink
from gateway.figures import RECENT_S
from gateway.spool.lane import Lane

FORECAST_S: Final = 60.0
"""Forecasts go by this much of the past: a frame every few seconds must not make them jump."""


def _recent() -> SlidingRate:
    return SlidingRate(window_s=RECENT_S, steps=30)


def _steady() -> SlidingRate:
    return SlidingRate(window_s=FORECAST_S, steps=30)


class StreamMeters:
    """One stream: records in and out over 10 s for the eye; records and stored bytes over a minute for forecasts."""

    __slots__ = ("bytes_in", "bytes_out", "into", "out", "steady_in", "steady_out")

    def __init__(self) -> None:
        self.into = SlidingRate()
        self.out = SlidingRate()
        self.steady_in = _steady()
        self.steady_out = _steady()
        self.bytes_in = _steady()
        self.bytes_out = _steady()

    def feed(self, now_s: float, lane: Lane) -> None:
        """Take a reading."""
        released = max(lane.released_seq, lane.first_seq)
        self.into.feed(now_s, lane.accepted)
        self.out.feed(now_s, released)
        self.steady_in.feed(now_s, lane.accepted)
        self.steady_out.feed(now_s, released)
        self.bytes_in.feed(now_s, lane.stored_end)
        self.bytes_out.feed(now_s, lane.stored_start)


class Meters:
    """All of them; streams and uplinks that are gone are forgotten."""

    def __init__(self, lanes: Mapping[str, Lane], uplinks: Mapping[str, Uplink]) -> None:
        self._lanes = lanes
        self._uplinks = uplinks
        self.into = SlidingRate()
        self.out = SlidingRate()
        self.streams: dict[str, StreamMeters] = {}
        self.uplinks: dict[str, SlidingRate] = {}
        self._dropped: defaultdict[str, SlidingRate] = defaultdict(_recent)
        self._last_s: float | None = None

    def feed(self, now_s: float) -> None:
        """Take a reading of everything; `now_s` is of a monotonic clock."""
        self.into.feed(now_s, sum(lane.accepted for lane in self._lanes.values()))
        delivered = 0
        for name, uplink in self._uplinks.items():
            records = uplink.status.records
            delivered += records
            self.uplinks.setdefault(name, SlidingRate()).feed(now_s, records)
        self.out.feed(now_s, delivered)
        for name, lane in self._lanes.items():
            self.streams.setdefault(name, StreamMeters()).feed(now_s, lane)
        for gone in self.streams.keys() - self._lanes.keys():
            del self.streams[gone]
        for gone in self.uplinks.keys() - self._uplinks.keys():
            del self.uplinks[gone]
        for reason, total in self.dropped().items():
            if reason not in self._dropped and self._last_s is not None:
                self._dropped[reason].feed(self._last_s, 0)  # a reason that nothing was dropped for until now
            self._dropped[reason].feed(now_s, total)
        self._last_s = now_s

    def dropped(self) -> dict[str, int]:
        """Records dropped since the spool was made, by reason."""
        total: defaultdict[str, int] = defaultdict(int)
        for lane in self._lanes.values():
            for reason, number in lane.dropped.items():
                total[reason] += number
        return dict(total)

    def dropped_lately(self, now_s: float) -> dict[str, int]:
        """The same, within the last RECENT_S; only reasons that there were."""
        found = {reason: rate.gained(now_s) for reason, rate in self._dropped.items()}
        return {reason: number for reason, number in found.items() if number > 0}

    def forecast_rates(self, now_s: float, stream: str | None = None) -> tuple[float, float, float, float]:
        """Records in and out, stored bytes in and out, a second; of one stream, or of all."""
        meters = self.streams.values() if stream is None else filter(None, [self.streams.get(stream)])
        found = [
            (
                item.steady_in.per_second(now_s),
                item.steady_out.per_second(now_s),
                item.bytes_in.per_second(now_s),
                item.bytes_out.per_second(now_s),
            )
            for item in meters
        ]
        into, out, bytes_in, bytes_out = (sum(column) for column in zip(*found, strict=True)) if found else (0.0,) * 4
        return into, out, bytes_in, bytes_out
