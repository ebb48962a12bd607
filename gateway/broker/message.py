"""A message on its way to local subscribers."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.record import Properties


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Message:
    """One publish as the broker hands it on; shared by all who get it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    origin: str
    """The client id of its publisher, for No Local (MQTT 5 §3.8.3.1)."""
    properties: Properties | None = None
    expires_at_s: float | None = None
    """Monotonic time after which nobody wants it any more (§3.3.2.3.3)."""

    def is_expired(self, now_s: float) -> bool:
        """Whether its Message Expiry Interval has passed."""
        return self.expires_at_s is not None and now_s >= self.expires_at_s

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly: the measure of the queues that hold it."""
        return len(self.payload) + len(self.topic) + 64


def expiry(properties: Properties | None, now_s: float) -> float | None:
    """When a message that came now expires."""
    if properties is None or properties.message_expiry_interval is None:
        return None
    return now_s + properties.message_expiry_interval
