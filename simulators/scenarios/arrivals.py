"""When messages come and devices connect: arrival processes.

Pure: chance is a parameter, times are seconds from the start of the stretch that is asked for. Each returns its times
in order.

- Poisson: exponential gaps. Messages that are given to devices at random leave each device a Poisson process of its
  own, independent of the others (Kingman, Poisson Processes, 1993, §5.1).
- Daily: thinning of a homogeneous process (Lewis and Shedler, Simulation of nonhomogeneous Poisson processes by
  thinning, Naval Research Logistics Quarterly 26 (1979) 403-413).
- Storm: 3GPP TR 37.868 V11.0.0 §6.1.1, traffic model 2: all devices within T, the moments Beta(3, 4) distributed. There
  T is 10 s; the mean is 3/7 T, the rate is highest at 2/5 T.
"""

from __future__ import annotations

import math
import random

from simulators.scenarios.description import Daily

ALPHA, BETA = 3, 4
DAY_S = 86_400.0


def constant(rate_per_s: float, duration_s: float) -> list[float]:
    """Evenly: the first after half a gap, so that stretches join without one that is too long."""
    return [(number + 0.5) / rate_per_s for number in range(math.floor(rate_per_s * duration_s + 0.5))]


def poisson(rate_per_s: float, duration_s: float, chance: random.Random) -> list[float]:
    """A homogeneous Poisson process."""
    times: list[float] = []
    at_s = chance.expovariate(rate_per_s)
    while at_s < duration_s:
        times.append(at_s)
        at_s += chance.expovariate(rate_per_s)
    return times


def daily_rate(traffic: Daily, second_of_day: float) -> float:
    """The intensity at a time of day: a cosine around the mean, highest at the peak."""
    phase = 2 * math.pi * (second_of_day - traffic.peak_at_s) / DAY_S
    return traffic.rate_per_s * (1 + traffic.swing * math.cos(phase))


def daily(traffic: Daily, duration_s: float, *, begins_at_s: float, speed: float, chance: random.Random) -> list[float]:
    """A Poisson process with the intensity of `daily_rate`; the clock begins `begins_at_s` after midnight."""
    highest = traffic.rate_per_s * (1 + traffic.swing)
    return [
        at_s
        for at_s in poisson(highest, duration_s, chance)
        if chance.random() * highest < daily_rate(traffic, (begins_at_s + at_s * speed) % DAY_S)
    ]


def storm(count: int, within_s: float, chance: random.Random) -> list[float]:
    """`count` moments within `within_s`, Beta(3, 4) distributed; all at 0 when there is no time."""
    return sorted(within_s * chance.betavariate(ALPHA, BETA) for _ in range(count))
