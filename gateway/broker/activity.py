"""What one client has done since the process began, beyond its connections."""

from __future__ import annotations


class Activity:
    """Plain numbers that the publish path adds to, once a run; `gateway.broker.devices` reads them."""

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
