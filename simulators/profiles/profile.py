"""What a profile is, and the JSON that most of them speak."""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a device publishes."""

    topic: str
    payload: bytes


class Profile(ABC):
    """One device's inner state; `payload` moves it on by one reading.

    `random` is the only source of chance, the time stamp the only clock.
    """

    name: ClassVar[str]
    """What `--profile` calls it."""
    what: ClassVar[str]
    """The last level of its topic."""

    def __init__(self, chance: random.Random, number: int) -> None:
        self.chance = chance
        self.number = number

    @abstractmethod
    def payload(self, device: str, n: int, now_us: int) -> bytes:
        """The bytes of reading `n` of this device."""


def timestamp(now_us: int) -> str:
    """RFC 3339 with milliseconds, as devices write it."""
    return datetime.fromtimestamp(now_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(device: str, n: int, now_us: int, values: dict[str, object]) -> bytes:
    """Compact JSON: who, which reading, when, and the values."""
    return json.dumps(
        {"device": device, "n": n, "ts": timestamp(now_us), **values}, separators=(",", ":"), ensure_ascii=False
    ).encode()


def wander(chance: random.Random, value: float, *, step: float, low: float, high: float) -> float:
    """A random walk that is pushed back at its bounds."""
    return min(high, max(low, value + chance.gauss(0.0, step)))
