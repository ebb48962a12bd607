"""Clocks that are wrong, each in a way of its own. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from simulators.scenarios.description import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClock:
    """What one device takes for the time; microseconds since 1970-01-01 UTC, `at_us` from the scenario's beginning."""

    offset_us: int = 0
    drift_ppm: float = 0.0
    steps_at_us: int | None = None
    step_back_us: int = 0
    is_unset: bool = False

    def reads(self, begins_us: int, at_us: int) -> int:
        """The time that it shows; never before 1970."""
        shown = (0 if self.is_unset else begins_us + self.offset_us) + at_us + round(at_us * self.drift_ppm / 1e6)
        if self.steps_at_us is not None and at_us >= self.steps_at_us:
            shown -= self.step_back_us
        return max(0, shown)


def device_clock(clock: Clock, whole_us: int, chance: random.Random) -> DeviceClock:
    """A clock as wrong as `clock` allows; `whole_us` is how long the scenario lasts on its own clock."""
    # Every draw is made whether it is needed or not, so that one key does not change what the others come to.
    offset, drift, unset, step = chance.uniform(-1, 1), chance.uniform(-1, 1), chance.random(), chance.random()
    return DeviceClock(
        offset_us=round(offset * clock.skew_s * 1e6),
        drift_ppm=drift * clock.drift_ppm,
        steps_at_us=round(step * whole_us) if clock.step_back_s else None,
        step_back_us=round(clock.step_back_s * 1e6),
        is_unset=unset < clock.unset,
    )
