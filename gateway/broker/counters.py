"""What the broker counts, for the status and the metrics. Every number is since the start, unless it says `now`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Counters:
    """Plain numbers; read them on the event loop."""

    connections: int = 0
    """CONNECTs that were accepted."""
    connected_now: int = 0
    accepted: int = 0
    """Publishes that were taken: stored by a commit, or local only."""
    duplicates: int = 0
    """QoS 2 publishes that were here already and were only answered again."""
    refused: Counter[str] = field(default_factory=Counter)
    """Publishes not taken, by reason: full, failed, not_authorized."""
    delivered: int = 0
    """Messages sent to local subscribers."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Messages local subscribers did not get, by reason: queue_full, offline, too_large."""
    refused_connects: Counter[str] = field(default_factory=Counter)
    """Connections that were not accepted, by reason."""
    disconnects: Counter[str] = field(default_factory=Counter)
    """Connections that the server ended, by reason."""
    throttled: int = 0
    """Times that a client was faster than its rate, and was not read for a while."""
    wills: int = 0
    """Wills published."""
    connected_most: int = 0
    """How many were connected at the same time, at most."""
    expired: int = 0
    """Sessions that ended because their client stayed away for too long."""
    bytes_received: int = 0
    bytes_sent: int = 0
    """Of MQTT packets, from and to clients."""
    publish_bytes_received: int = 0
    publish_bytes_sent: int = 0
    """Of PUBLISH packets, whole."""
    publishes: int = 0
    """PUBLISH packets that came, counted a run at a time."""
    others_received: int = 0
    """All other packets that came."""
    answers_sent: int = 0
    """Packets other than PUBLISH that were sent."""

    @property
    def packets_received(self) -> int:
        """MQTT packets of every kind from clients."""
        return self.publishes + self.others_received

    @property
    def packets_sent(self) -> int:
        """MQTT packets of every kind to clients."""
        return self.delivered + self.answers_sent

    def count_publishes(self, number: int, refusal: str | None) -> None:
        """Count publishes of which it is known now what became of them."""
        if refusal is None:
            self.accepted += number
        else:
            self.refused[refusal] += number
