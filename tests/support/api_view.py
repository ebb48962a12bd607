"""A gateway's view for the HTTP interface, with every value given by the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from bridge.uplink_status import UplinkStatus
from config.settings import Address
from gateway.api import (
    BrokerStatus,
    Check,
    DeadLetterStatus,
    GatewayStatus,
    ListenerStatus,
    RateStatus,
    SpoolStatus,
    StreamStatus,
)
from gateway.verdict import Verdict


def some_status() -> GatewayStatus:
    """Two listeners, two streams, one uplink; every number is different."""
    return GatewayStatus(
        verdict=Verdict(level="ok", word="Safe", sentence="Safe: 1\u202f500 records kept, oldest 1 min."),
        version="0.1.0",
        gateway="edge-01",
        uptime_s=12.5,
        listeners=(
            ListenerStatus(name="local", bind=Address(host="127.0.0.1", port=1883), connections=20),
            ListenerStatus(
                name="plant",
                transport="tls",
                bind=Address(host="::", port=8883),
                connections=5,
                certificate_expires_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
            ),
        ),
        broker=BrokerStatus(
            connected=25,
            absent=6,
            subscriptions=40,
            shared_subscriptions=2,
            queued_messages=70,
            queued_bytes=7100,
            in_flight_messages=8,
            retained_messages=9,
            retained_bytes=910,
            retained_refused=3,
            connects=111,
            refused_connects={"not_authorized": 12, "connect_timeout": 13},
            disconnects={"stalled": 14},
            refused_publishes={"full": 15},
            delivered=1600,
            dropped={"queue_full": 17},
            throttled=18,
        ),
        streams={
            "alarms": StreamStatus(
                records=0, bytes=0, oldest_age_s=None, first_seq=1, next_seq=1, accepted=0, dropped={}
            ),
            "telemetry": StreamStatus(
                records=1500,
                bytes=240_000,
                oldest_age_s=61.25,
                first_seq=501,
                next_seq=2001,
                accepted=1900,
                dropped={"full": 7, "corrupt": 2},
            ),
        },
        uplinks={
            "cloud": UplinkStatus(
                state="online",
                since="2026-01-31T12:00:00Z",
                in_flight=3,
                last_error=None,
                retries=4,
                frames=11,
                records=400,
                raw_bytes=64_000,
                wire_bytes=6_400,
                dead_letters=1,
            )
        },
        spool=SpoolStatus(
            size_bytes=524_288,
            limit_bytes=1_073_741_824,
            commits=90,
            disk_free_bytes=5_000_000,
            drained_in_s=12.34,
        ),
        dead_letters=DeadLetterStatus(letters=3, records=33),
        paused={},
        rates=RateStatus(in_per_s=123.46, out_per_s=100.0),
    )


@dataclass(kw_only=True)
class GivenView:
    """Answers what it was given."""

    answer: GatewayStatus = field(default_factory=some_status)
    store: Check = field(default_factory=lambda: Check(name="store", ok=True))
    ready: list[Check] = field(default_factory=lambda: [Check(name="listeners", ok=True), Check(name="spool", ok=True)])
    fault: Exception | None = None

    def status(self) -> GatewayStatus:
        """The given status, or the given fault."""
        if self.fault is not None:
            raise self.fault
        return self.answer

    def health(self) -> list[Check]:
        """The given store check."""
        return [self.store]

    def readiness(self) -> list[Check]:
        """The given checks."""
        return self.ready
