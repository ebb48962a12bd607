"""The sections `sessions`, `retained` and `limits`: how much is kept for clients, and what they may have."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from config.sizes import MIB


class WhenQueueFull(enum.Enum):
    """What happens to a message for a subscriber whose queue is full."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The `sessions` section: what is kept for subscribers. Limits hold for one session, but for `max_total_…`."""

    max_sessions: int = 100_000
    max_expiry_s: int | None = None
    """Sessions that ask for longer get this; None: as long as they ask, 3.1.1 ones for ever."""
    max_sessions_per_user: int | None = None
    max_subscriptions: int = 10_000
    max_queued_messages: int = 10_000
    max_queued_bytes: int = 16 * MIB
    max_total_queued_bytes: int = 64 * MIB
    when_full: WhenQueueFull = WhenQueueFull.DROP_NEWEST
    max_in_flight: int = 1024
    """Messages in flight to one subscriber, where it did not ask for fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """The `retained` section: how much is kept of what was published with RETAIN."""

    max_messages: int = 100_000
    max_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The `limits` section: what all listeners together may have, and one packet may hold."""

    max_connections: int = 20_000
    """Of all listeners together."""
    max_topic_levels: int = 128
    max_user_properties: int = 64
    sys_interval_s: float | None = 10.0
    """How often `$SYS` is published; None: never."""
