"""How fast records come in and go on: of all, of each gateway, into each sink. Pure: `now` in monotonic seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bridge.rates import SlidingRate

MAX_GATEWAYS: Final = 1000
"""The names of gateways come with the frames: a stranger at the broker must not fill the memory with them."""


class Rates:
    """To be fed about once a second."""

    def __init__(self) -> None:
        self._all = SlidingRate()
        self._gateways: dict[str, SlidingRate] = {}
        self._sinks: dict[str, SlidingRate] = {}

    def feed(self, now_s: float, *, records: int, gateways: Mapping[str, int], sinks: Mapping[str, int]) -> None:
        """The counters as they stand: of records in all, and by the name of the gateway and of the sink."""
        self._all.feed(now_s, records)
        for name, count in gateways.items():
            rate = self._gateways.get(name)
            if rate is None:
                if len(self._gateways) >= MAX_GATEWAYS:
                    continue
                rate = self._gateways[name] = SlidingRate()
            rate.feed(now_s, count)
        for name, count in sinks.items():
            self._sinks.setdefault(name, SlidingRate()).feed(now_s, count)

    def per_s(self, now_s: float) -> float:
        """Records a second, in all."""
        return self._all.per_second(now_s)

    def gateway_per_s(self, name: str, now_s: float) -> float:
        """Records a second from one gateway."""
        return self._gateways[name].per_second(now_s) if name in self._gateways else 0.0

    def sink_per_s(self, name: str, now_s: float) -> float:
        """Records a second into one sink."""
        return self._sinks[name].per_second(now_s) if name in self._sinks else 0.0
