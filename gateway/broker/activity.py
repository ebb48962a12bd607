"""What clients have done since the process began, beyond their connections."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_REMEMBERED: Final = 10_000
MAX_CLIENT_ID_CHARS: Final = 256
"""Of how many clients without a session it is remembered, and of which: the names are what takes most memory."""


class Activity:
    """Plain numbers that `Incoming.publish` adds to, once a run; `gateway.broker.devices` reads them."""

    __slots__ = (
        "delivered",
        "last_topic",
        "last_us",
        "mark",
        "mark_before",
        "published",
        "published_bytes",
        "refusals",
    )

    def __init__(self) -> None:
        self.published = 0
        """PUBLISH packets that came, whatever became of them."""
        self.published_bytes = 0
        """Their bytes, whole packets."""
        self.last_topic: bytes | None = None
        """Of a very long one the beginning."""
        self.last_us = 0
        """When the last one came; 0: none did."""
        self.delivered = 0
        """Messages that were sent to it."""
        self.refusals: dict[str, int] | None = None
        """Publishes that were not taken, by reason; None while there is none."""
        self.mark = 0
        self.mark_before = 0
        """`published` at the last two looks of `Devices`, for the rate."""

    def refuse(self, reason: str, number: int) -> None:
        """Publishes of it were not taken."""
        if self.refusals is None:
            self.refusals = {}
        self.refusals[reason] = self.refusals.get(reason, 0) + number


class Activities:
    """Those of clients that have no session at the moment, so that a device which comes back goes on counting."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Activity] = OrderedDict()

    def keep(self, client_id: str, activity: Activity) -> None:
        """Its session has ended."""
        if len(client_id) <= MAX_CLIENT_ID_CHARS and (activity.published or activity.delivered or activity.refusals):
            self._kept[client_id] = activity
            if len(self._kept) > MAX_REMEMBERED:
                self._kept.popitem(last=False)

    def take(self, client_id: str) -> Activity:
        """It has one again."""
        return self._kept.pop(client_id, None) or Activity()
