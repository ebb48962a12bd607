"""A CONNECT that is being decided: what came behind it meanwhile, and what was decided."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from gateway.access.ports import Granted, Refusal, Refused, Verdict
from gateway.listener.peer import PeerCertificate
from gateway.mqtt.packets import Connect, Packet

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Admission:
    """`task` decides; `held` is done behind CONNECT, if the client may come in."""

    packet: Connect
    task: asyncio.Task[Verdict]
    held: list[Packet]

    def verdict(self, who: str) -> Verdict:
        """What the task says, which has ended; without a verdict the client is refused. `who` is for the log."""
        if self.task.cancelled():
            return Refused(reason=Refusal.SERVER_UNAVAILABLE)
        error = self.task.exception()
        if error is None:
            return self.task.result()
        logger.error("Whether %s may come in could not be decided.", who, exc_info=error)
        return Refused(reason=Refusal.SERVER_UNAVAILABLE)


def late(patience_s: float) -> Refused:
    """The verdict when none came in time."""
    return Refused(reason=Refusal.SERVER_UNAVAILABLE, detail=f"No verdict came within {patience_s:g} s.")


def as_long_as_valid(granted: Granted, certificate: PeerCertificate, now_us: int) -> Granted:
    """What was granted, and no longer than the certificate holds by which the client came."""
    left_s = certificate.expires_at.timestamp() - now_us / 1e6
    valid_for_s = left_s if granted.valid_for_s is None else min(left_s, granted.valid_for_s)
    return replace(granted, valid_for_s=max(0.0, valid_for_s))
