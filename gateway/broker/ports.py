"""What the broker needs of a client's connection."""

from __future__ import annotations

from typing import Protocol


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
