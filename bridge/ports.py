"""The seams of the bridge: what it needs from a store, a broker connection and a clock, and nothing more.

All methods are called on the event loop, and all callbacks are made on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """Two readings: one for waiting, one for stamping."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; only differences mean something."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC, as the wall clock has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A range of sequence numbers that was dropped on purpose.

    `reason` is one of full, expired, corrupt, dead_letter, and replayed: these records came out of the dead letters of
    another uplink, and went through this one before, under other numbers.
    """

    first_seq: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """One block as the spool keeps it: `body` is the MessagePack block, zstd-compressed when `compressed` is true."""

    first_seq: int
    count: int
    received_at_us: int
    raw_size_bytes: int
    plain_size_bytes: int
    """What the same publishes took as MQTT packets: the yardstick for bytes saved on the wire."""
    compressed: bool
    body: bytes

    @property
    def next_seq(self) -> int:
        """The sequence number after the block's last."""
        return self.first_seq + self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Peek:
    """A contiguous run of blocks, and the gaps between the asked-for sequence number and the first of them.

    No blocks but gaps: the stream ends in a gap. Neither: there is nothing to send.
    """

    blocks: Sequence[StoredBlock] = ()
    gaps: Sequence[Gap] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What of a stream waits for one uplink: records in [next_to_deliver_seq, next_seq)."""

    next_to_deliver_seq: int
    """The uplink's watermark: every record below it was delivered, or declared as a gap that was delivered."""
    next_seq: int
    oldest_received_at_us: int | None
    size_bytes: int


class Outbox(Protocol):
    """One uplink's view of the spool."""

    @property
    def streams(self) -> Sequence[str]:
        """The names of the streams that this uplink carries, most important first."""

    def epoch(self, stream: str) -> str:
        """The identity of this life of the stream's numbering (16 hexadecimal digits)."""

    def backlog(self, stream: str) -> Backlog:
        """What waits, from memory: cheap enough to ask at every turn."""

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after every commit that added records (or gaps) to one of the streams.

        Returns what ends that, to be called once.
        """

    async def peek(self, stream: str, from_seq: int, *, max_records: int, max_bytes: int) -> Peek:
        """The first blocks at or after `from_seq`, whole and contiguous, within the bounds (but at least one block).

        `max_bytes` bounds the stored bodies. A block that turns out to be corrupt is set aside and shows as a gap.
        """

    async def release(self, stream: str, next_seq: int) -> None:
        """Everything below `next_seq` is delivered. Returns when noted; the note is durable with a later commit."""

    async def dead_letter(self, stream: str, first_seq: int, count: int, *, reason: str) -> None:
        """Move these records out of the stream, durably, into the dead letters; they show as a gap from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """What the broker's CONNACK granted."""

    session_present: bool = False
    receive_maximum: int = 65535
    maximum_packet_size_bytes: int | None = None
    maximum_qos: int = 2
    retain_available: bool = True
    assigned_client_id: str | None = None
    mqtt_version: str = "5"
    """The version that is spoken: 5 or 3.1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A PUBLISH that came down a link and waits for `Link.acknowledge`."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A PUBLISH to go up a link; `properties` are MQTT 5's, by the names of `bridge.record.Properties`."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    user_properties: tuple[tuple[str, str], ...] = field(default=())
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    payload_format_indicator: int | None = None
    message_expiry_interval_s: int | None = None


class LinkEvents(Protocol):
    """What a link tells its owner."""

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        """A PUBACK (QoS 1) or the end of a QoS 2 exchange came; `reason_code` as in MQTT 5 §2.4 (0 for 3.1.1)."""

    def on_delivery(self, delivery: Delivery) -> None:
        """A subscribed message arrived."""

    def on_lost(self, error: Exception) -> None:
        """The connection ended without `close`; called once, nothing comes after it."""


class Link(Protocol):
    """One connection to a broker, from connect to its end; never reused."""

    async def connect(self) -> LinkLimits:
        """Resolve, connect, TLS, CONNECT, CONNACK. Raises LinkUnreachable or LinkRefused."""

    def publish(self, message: Publish) -> int:
        """Hand a message to the socket; returns its packet id (0 for QoS 0). Raises LinkLost."""

    async def subscribe(self, topic_filter: str, *, qos: int) -> None:
        """Returns when the broker granted it. Raises LinkRefused when it did not, or granted less."""

    def acknowledge(self, delivery: Delivery) -> None:
        """Send the PUBACK (QoS 1) or PUBREC/PUBCOMP flow (QoS 2) for a delivery; nothing when the link is gone."""

    async def close(self) -> None:
        """DISCONNECT when possible, then end; idempotent."""
