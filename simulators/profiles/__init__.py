"""What simulated devices say: one class a kind of device, seeded, so that the same device says the same again.

A device is named by its number: `climate-0007`. Its topic is `plant/<line>/<device>/<what>`. Every payload carries a
counter `n` (from 1), so that no two payloads of a device are alike.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from simulators.profiles.binary import Binary
from simulators.profiles.climate import Climate
from simulators.profiles.energy import EnergyMeter
from simulators.profiles.gps import GpsTrack
from simulators.profiles.machine import Machine
from simulators.profiles.profile import Message, Profile
from simulators.profiles.vibration import Vibration

PROFILES: dict[str, type[Profile]] = {
    profile.name: profile for profile in (Climate, Vibration, GpsTrack, EnergyMeter, Machine, Binary)
}
MIXED = "mixed"
"""Not a profile of its own: device after device takes the next of PROFILES."""

_LINES = 4


def profile_names() -> tuple[str, ...]:
    """Every name that `--profile` takes, the default first."""
    return (MIXED, *PROFILES)


@dataclass(slots=True)
class SimulatedDevice:
    """One device: its name, its topic, and what it says next."""

    client: str
    topic: str
    profile: Profile
    said: int = 0

    def next(self, now_us: int) -> Message:
        """The next message, stamped `now_us` (microseconds since 1970-01-01 UTC)."""
        self.said += 1
        return Message(topic=self.topic, payload=self.profile.payload(self.client, self.said, now_us))


def make_device(profile: str, number: int, *, seed: int) -> SimulatedDevice:
    """Device `number` (from 1) of a profile. Raises ValueError when there is no such profile."""
    if profile == MIXED:
        kinds = tuple(PROFILES.values())
        kind = kinds[(number - 1) % len(kinds)]
    elif profile in PROFILES:
        kind = PROFILES[profile]
    else:
        raise ValueError(f"There is no profile {profile!r}; there are {', '.join(profile_names())}.")
    client = f"{kind.name}-{number:04d}"
    return SimulatedDevice(
        client=client,
        topic=f"plant/line-{(number - 1) % _LINES + 1}/{client}/{kind.what}",
        profile=kind(random.Random(f"{seed}/{client}"), number),
    )


__all__ = ["MIXED", "PROFILES", "Message", "Profile", "SimulatedDevice", "make_device", "profile_names"]
