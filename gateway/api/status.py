"""What a running gateway says about itself: the body of `/api/v1/status`, and what `/metrics` counts.

The composition root fills these in at every request; nothing here is kept between two requests. Sizes are in bytes,
ages and durations in seconds; counters count since the process started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from bridge.uplink_status import UplinkStatus
from config.settings import Address, UnixPath
from gateway.verdict import Verdict

DROP_REASONS = ("full", "expired")
"""The reasons that are always listed; others (corrupt, dead_letter) appear once they have happened."""

UPLINK_ONLINE = "online"
"""The one state of an uplink that means that frames can leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStatus:
    """One door for devices: the address it really has (a bind of port 0 shows the port it got)."""

    name: str
    bind: Address | UnixPath
    connections: int
    transport: str = "tcp"
    certificate_expires_at: datetime | None = None
    """In UTC; None where there is no certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """Local clients: who is here, what waits for them, and what was refused or dropped, by reason."""

    connected: int = 0
    absent: int = 0
    """Sessions that are kept for clients that are away."""
    subscriptions: int = 0
    shared_subscriptions: int = 0
    queued_messages: int = 0
    queued_bytes: int = 0
    in_flight_messages: int = 0
    """Sent, and not yet acknowledged."""
    retained_messages: int = 0
    retained_bytes: int = 0
    retained_refused: int = 0
    """Messages that were delivered and not retained, for want of room."""
    connects: int = 0
    refused_connects: Mapping[str, int] = field(default_factory=dict)
    disconnects: Mapping[str, int] = field(default_factory=dict)
    """Connections that the gateway ended."""
    refused_publishes: Mapping[str, int] = field(default_factory=dict)
    delivered: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Messages that a subscriber did not get."""
    throttled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """One stream: `records` and `bytes` wait in the spool; `accepted` were committed; `dropped` counts by reason."""

    records: int
    bytes: int
    oldest_age_s: float | None
    first_seq: int
    next_seq: int
    accepted: int
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def all_dropped(self) -> dict[str, int]:
        """`dropped` with the reasons that are always listed."""
        return dict.fromkeys(DROP_REASONS, 0) | dict(self.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A corrupt database that was set aside when the spool was opened."""

    set_aside: str
    reason: str
    records_saved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """The store: `size_bytes` counts the database and its WAL; `recovery` is there only when one was needed."""

    size_bytes: int
    limit_bytes: int
    commits: int
    recovery: Recovery | None = None
    is_refusing: bool = False
    """Whether new records are refused for lack of room."""
    disk_free_bytes: int | None = None
    full_in_s: float | None = None
    """Until it is full at the present rates; None where it does not fill up, or there is no saying."""
    drained_in_s: float | None = None
    """Until all that waits is delivered at the present rates; None as above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterStatus:
    """What waits for a decision now."""

    letters: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStatus:
    """Records a second over the last 10 seconds: accepted from devices, acknowledged by the cloud."""

    in_per_s: float
    out_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStatus:
    """All of it."""

    version: str
    gateway: str
    uptime_s: float
    listeners: tuple[ListenerStatus, ...]
    broker: BrokerStatus
    streams: Mapping[str, StreamStatus]
    uplinks: Mapping[str, UplinkStatus]
    spool: SpoolStatus
    rates: RateStatus
    dead_letters: DeadLetterStatus = DeadLetterStatus()
    paused: Mapping[str, str] = field(default_factory=dict)
    """Who has paused which uplink."""
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """The status as the API writes it: plain values, in the order above."""
        spool = asdict(self.spool)
        for name in ("full_in_s", "drained_in_s"):
            spool[name] = None if spool[name] is None else round(spool[name], 1)
        if self.spool.recovery is None:
            del spool["recovery"]
        return {
            "version": self.version,
            "gateway": self.gateway,
            "uptime_s": round(self.uptime_s, 3),
            "verdict": asdict(self.verdict),
            "listeners": [_listener(item) for item in self.listeners],
            "broker": {name: _plain(value) for name, value in asdict(self.broker).items()},
            "streams": {name: _stream(item) for name, item in self.streams.items()},
            "uplinks": {
                name: {**asdict(item), "paused_by": self.paused.get(name)} for name, item in self.uplinks.items()
            },
            "dead_letters": asdict(self.dead_letters),
            "spool": spool,
            "rates": {"in_per_s": round(self.rates.in_per_s, 1), "out_per_s": round(self.rates.out_per_s, 1)},
        }


def _listener(item: ListenerStatus) -> dict[str, Any]:
    expires_at = item.certificate_expires_at
    return {
        "name": item.name,
        "transport": item.transport,
        "bind": str(item.bind),
        "connections": item.connections,
        "certificate_expires_at": None if expires_at is None else expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _plain(value: Any) -> Any:
    return dict(sorted(value.items())) if isinstance(value, Mapping) else value


def _stream(item: StreamStatus) -> dict[str, Any]:
    return {
        "records": item.records,
        "bytes": item.bytes,
        "oldest_age_s": None if item.oldest_age_s is None else round(item.oldest_age_s, 3),
        "first_seq": item.first_seq,
        "next_seq": item.next_seq,
        "accepted": item.accepted,
        "dropped": item.all_dropped,
    }
