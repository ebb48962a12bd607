"""The seam between the HTTP interface and the gateway: what the composition root must answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.api.status import GatewayStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: a good one needs no words, a bad one says in a sentence what is wrong."""

    name: str
    ok: bool
    message: str = ""

    def __post_init__(self) -> None:
        if not self.ok and not self.message:
            raise ValueError(f"A failed check says why: {self.name} does not.")


class GatewayView(Protocol):
    """The running gateway, as the API sees it: called on the event loop; reads memory only, so returns at once."""

    def status(self) -> GatewayStatus:
        """The state of everything, now."""

    def health(self) -> list[Check]:
        """Is the process worth keeping? The store alone: a cloud that is away is no reason to restart the gateway.

        The event loop is looked at by the API itself (`gateway.api.heartbeat`).
        """

    def readiness(self) -> list[Check]:
        """May devices be sent here? The listeners are up and the spool has room; the cloud is not asked."""
