"""One message as an operator sees it: in the newest ones of a device or topic, and in a tail."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.record import Properties


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One message that came. `payload` may be its beginning only; `size_bytes` is how long it was."""

    at_us: int | None
    """When it came, microseconds since 1970 UTC; None for a retained message of which that is not known."""
    client: str
    """The client id of its publisher; empty: the gateway itself."""
    topic: str
    payload: bytes
    size_bytes: int
    qos: int
    retain: bool
    properties: Properties | None = None

    @property
    def is_truncated(self) -> bool:
        """Whether `payload` is less than what came."""
        return len(self.payload) < self.size_bytes
