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
    connected_most: int = 0
    """How many were connected at the same time, at most."""
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
    set_aside: int = 0
    """Messages that wait on disk for sessions that cannot be read, since the start."""
    refused_connects: Counter[str] = field(default_factory=Counter)
    """Connections that were not accepted, by reason."""
    disconnects: Counter[str] = field(default_factory=Counter)
    """Connections that the server ended, by reason."""
    throttled: int = 0
    """Times that a client was faster than its rate, and was not read for a while."""
    wills: int = 0
    """Wills published."""
    bytes_received: int = 0
    """From clients, as MQTT."""
    publish_bytes_received: int = 0
    publish_bytes_sent: int = 0
    """Of PUBLISH packets, whole."""
    others_received: int = 0
    """Packets other than PUBLISH that came."""
    others_sent: int = 0
    other_bytes_sent: int = 0
    """Packets other than PUBLISH that were sent, and their bytes."""

    @property
    def bytes_sent(self) -> int:
        """To clients, as MQTT."""
        return self.publish_bytes_sent + self.other_bytes_sent

    @property
    def publishes(self) -> int:
        """PUBLISH packets from clients, of which it is known what became of them."""
        return self.accepted + self.duplicates + self.refused.total()

    @property
    def packets_received(self) -> int:
        """MQTT packets of every kind from clients."""
        return self.publishes + self.others_received

    @property
    def packets_sent(self) -> int:
        """MQTT packets of every kind to clients."""
        return self.delivered + self.others_sent

    def count_publishes(self, number: int, refusal: str | None) -> None:
        """Count publishes of which it is known now what became of them."""
        if refusal is None:
            self.accepted += number
        else:
            self.refused[refusal] += number
