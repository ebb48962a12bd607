"""Where a fleet's messages come from, and how many are due.

A feed is asked two things: how many messages should have been said by now, and for the next one of a device that can
speak. It never waits and reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from simulators.profiles import Message, SimulatedDevice, make_device


class Feed(Protocol):
    """Devices and what they say."""

    @property
    def clients(self) -> Sequence[str]:
        """The client id of each device; a device is named by its place in here."""

    def due(self, elapsed_s: float) -> int:
        """How many messages the whole fleet should have said `elapsed_s` after its start."""

    def take(self, can_speak: Callable[[int], bool], now_us: int) -> tuple[int, Message] | None:
        """The next message and its device, or None while no device that has something to say can speak."""


class ProfileFeed:
    """`count` devices of a profile, `rate_per_s` messages in all, device after device."""

    def __init__(self, *, profile: str, count: int, rate_per_s: float, seed: int) -> None:
        self._devices: list[SimulatedDevice] = [make_device(profile, number + 1, seed=seed) for number in range(count)]
        self._rate_per_s = rate_per_s
        self._turn = 0
        self.clients: Sequence[str] = tuple(device.client for device in self._devices)

    def due(self, elapsed_s: float) -> int:
        """Evenly, at the rate."""
        return int(elapsed_s * self._rate_per_s)

    def take(self, can_speak: Callable[[int], bool], now_us: int) -> tuple[int, Message] | None:
        """The next device in turn that can speak says its next reading."""
        count = len(self._devices)
        for step in range(count):
            device = (self._turn + step) % count
            if can_speak(device):
                self._turn = device + 1
                return device, self._devices[device].next(now_us)
        return None
