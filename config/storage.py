"""The sections `streams` and `spool`: what is kept for the cloud, and how much of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from config.sizes import GIB


class WhenFull(enum.Enum):
    """What the spool does with a new record when it has no room."""

    DROP_OLDEST = "drop_oldest"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An ordered, durable lane of records: the topics that go into it and how long they are worth keeping."""

    name: str = "telemetry"
    topics: tuple[str, ...] = ("#",)
    time_to_live_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """The local store. `durability_s` None: an acknowledgement waits for the disk; a number: fsync this often."""

    max_size_bytes: int = GIB
    when_full: WhenFull = WhenFull.DROP_OLDEST
    durability_s: float | None = None
