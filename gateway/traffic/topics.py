"""Topics that were seen, by name, and the levels they make."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.traffic.sample import Sample


class Sort(enum.StrEnum):
    """The order of a level's branches."""

    PER_S = "per_s"
    """Busiest first."""
    NAME = "name"
    MESSAGES = "messages"
    """Most messages first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One name of a level, with all that is below it."""

    name: str
    topic: str
    """The whole topic, prefix and name."""
    children: int
    """How many topics that were seen are below it."""
    messages: int
    """On it and below it, since the gateway's start or since they were seen first."""
    per_s: float
    last: Sample | None
    """The last message on exactly this topic; its payload is cut after 256 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is right below a prefix. `total`: how many branches there are, of which `branches` may be the first."""

    prefix: str
    total: int
    branches: Sequence[Branch]
    is_complete: bool
    """False when more topics were seen than are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSeen:
    """One topic."""

    topic: str
    messages: int
    per_s: float
    last: Sample
