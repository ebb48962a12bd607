"""The link's weather as a time line, and what really came of it."""

from __future__ import annotations

import asyncio
from collections import Counter

from simulators.link import LinkProxy
from simulators.link_model import LinkState
from simulators.link_wire import Line
from simulators.scenarios.description import Weather
from simulators.units import format_bytes


def apply_weather(link: LinkProxy, weather: Weather) -> None:
    """Let the link be so from now on."""
    link.change(
        Line(
            delay_s=weather.delay_s,
            jitter_s=weather.jitter_s,
            rate_bits_per_s=weather.rate_bits_per_s,
            loss=weather.loss,
        )
    )
    match weather.state:
        case LinkState.UP:
            link.restore()
        case LinkState.CUT:
            link.cut()
        case LinkState.BLACK_HOLE:
            link.blackhole()


def describe_weather(weather: Weather) -> str:
    """In words: "280 ms ± 20 ms, 256 kbit/s, 2% loss"."""
    if weather.state is LinkState.CUT:
        return "cut"
    if weather.state is LinkState.BLACK_HOLE:
        return "silent: bytes vanish, and nobody closes"
    parts = []
    if weather.delay_s or weather.jitter_s:
        jitter = f" ± {1000 * weather.jitter_s:g} ms" if weather.jitter_s else ""
        parts.append(f"{1000 * weather.delay_s:g} ms{jitter}")
    if weather.rate_bits_per_s is not None:
        parts.append(f"{format_bytes(weather.rate_bits_per_s / 8)}/s")
    if weather.loss:
        parts.append(f"{100 * weather.loss:g}% loss")
    return ", ".join(parts) or "clear"


class WeatherLog:
    """How long the link was in each state, from its changes; times are those of the event loop."""

    def __init__(self) -> None:
        self.changes: Counter[LinkState] = Counter()
        self._lasted_s = dict.fromkeys(LinkState, 0.0)
        self._state = LinkState.UP
        self._since_s = asyncio.get_running_loop().time()

    def saw(self, state: LinkState) -> None:
        """The link changed."""
        now_s = asyncio.get_running_loop().time()
        self._lasted_s[self._state] += now_s - self._since_s
        self._state, self._since_s = state, now_s
        self.changes[state] += 1

    def lasted_s(self, state: LinkState) -> float:
        """All its times in this state so far."""
        going_on_s = asyncio.get_running_loop().time() - self._since_s if state is self._state else 0.0
        return self._lasted_s[state] + going_on_s
