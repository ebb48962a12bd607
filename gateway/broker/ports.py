"""What the broker needs of a client's connection, and of whoever looks at what flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.record import Properties


class Channel(Protocol):
    """The way to one client; every method runs on the event loop and none blocks or raises."""

    @property
    def peer(self) -> str:
        """The client's address, for logs."""

    @property
    def is_writable(self) -> bool:
        """False while so much waits to be sent that deliveries should stay in the session's queue."""

    def write(self, data: bytes) -> None:
        """Send at once."""

    def write_soon(self, data: bytes) -> None:
        """Send together with whatever else this turn of the loop has for the client; never overtaken by `write`."""

    def stop_reading(self) -> None:
        """Read nothing more from the client, for good."""

    def close(self) -> None:
        """End the connection after what was written; idempotent. No packet is handed on afterwards."""


class Observer(Protocol):
    """Told of every run of publishes that was taken (`gateway.traffic.traffic`); on the hot path, so it is cheap."""

    def saw(
        self,
        client_id: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        """One client's publishes, oldest first, with the flags of records (`bridge.record`); it must not raise."""
