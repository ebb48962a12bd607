"""What to send, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulators.load.packets import V5, V311


class LoadFailed(Exception):
    """The load could not be run to its end; the message says why, `acknowledged` how far it came."""

    def __init__(self, message: str, *, acknowledged: int = 0) -> None:
        super().__init__(message)
        self.acknowledged = acknowledged


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """One load: `messages` in all, or for `duration_s`, over `connections` with `window` in flight on each.

    `rate_per_s` paces the publishes instead of keeping the windows full, and times each acknowledgement.
    `stall_s` is how long nothing may be acknowledged before the load is given up.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    connections: int = 20
    window: int = 500
    qos: int = 1
    version: int = V311
    user_property: bool = False
    payload_bytes: int = 160
    messages: int | None = None
    duration_s: float | None = None
    rate_per_s: float | None = None
    stall_s: float = 10.0
    topic: str = "plant/line-1/{device}/telemetry"
    """`{device}` and `{n}`, the message's number within the connection's ring, are filled in."""
    retain: bool = False
    client_id: str = "load-{device}"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """TLS with who shows a certificate of this authority, for localhost."""
    seed: int = 1

    def __post_init__(self) -> None:
        if (self.messages is None) == (self.duration_s is None):
            raise ValueError("Say how much to send: either a number of messages or a duration, not both.")
        if self.qos not in (0, 1, 2):
            raise ValueError(f"QoS {self.qos} does not exist; ask for 0, 1 or 2.")
        if self.version not in (V311, V5):
            raise ValueError(f"Protocol level {self.version} is not spoken here; ask for 4 (MQTT 3.1.1) or 5.")
        if self.user_property and self.version != V5:
            raise ValueError("MQTT 3.1.1 has no user properties; ask for version 5 with them.")
        if self.password is not None and self.username is None:
            raise ValueError("MQTT 3.1.1 has no password without a user name; name one.")
        if self.connections < 1 or self.window < 1:
            raise ValueError("A load needs at least one connection and a window of at least one.")
        if self.rate_per_s is not None and (self.rate_per_s <= 0 or self.qos != 1):
            raise ValueError("A paced load times PUBACKs: its rate must be above zero and its QoS 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What one load came to. Times are of `time.monotonic`, which all processes of a Linux machine share."""

    sent: int
    acknowledged: int
    refused: int = 0
    disordered: int = 0
    started_s: float
    ended_s: float
    cpu_s: float
    packet_bytes: int
    distinct_messages: int
    latency_ms: dict[str, float] = field(default_factory=dict)

    @property
    def rate_per_s(self) -> float:
        """Messages acknowledged (QoS 0: taken by the broker) a second, from the first publish to the last answer."""
        return self.acknowledged / max(1e-9, self.ended_s - self.started_s)

    def to_map(self) -> dict[str, object]:
        """The result as the JSON line that the command prints."""
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "refused": self.refused,
            "disordered": self.disordered,
            "started_s": self.started_s,
            "ended_s": self.ended_s,
            "duration_s": round(self.ended_s - self.started_s, 6),
            "rate_per_s": round(self.rate_per_s, 1),
            "cpu_s": round(self.cpu_s, 4),
            "packet_bytes": self.packet_bytes,
            "distinct_messages": self.distinct_messages,
            "latency_ms": self.latency_ms,
        }
