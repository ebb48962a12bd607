"""MQTT control packets as values, for 3.1, 3.1.1 and 5.0 alike (names are MQTT 5's own).

PUBLISH from a device has no class: the reader hands runs of them on as one `PublishBatch`, in columns, because an
object for each would cost more than all the rest of a message's way. Bytes of topics and payloads are slices of what
came; topics are checked where they are first seen (`gateway.broker`), not here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from bridge.record import Properties


class Version(enum.IntEnum):
    """The protocol level of CONNECT (MQTT 5 §3.1.2.2)."""

    V31 = 3
    V311 = 4
    V5 = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """The message to publish when a client is lost (MQTT 5 §3.1.2.5)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    delay_interval_s: int = 0
    properties: Properties | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """CONNECT (§3.1)."""

    version: Version
    client_id: str
    clean_start: bool
    keep_alive_s: int
    will: Will | None = None
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    session_expiry_interval_s: int | None = None
    """As written in CONNECT (MQTT 5); None where it was absent or the version has none."""
    receive_maximum: int = 65535
    maximum_packet_size_bytes: int | None = None
    topic_alias_maximum: int = 0
    request_response_information: bool = False
    request_problem_information: bool = True
    authentication_method: str | None = None
    authentication_data: bytes | None = field(default=None, repr=False)
    user_property: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class PublishBatch:
    """A run of PUBLISH packets of one QoS that came together, as columns of one length (§3.3).

    `first_bytes` are the packets' first bytes: type, DUP, QoS, RETAIN. `packet_ids` are two bytes each, as they came
    (empty for QoS 0). `properties` is None when no packet of the run has any that travels on. `size_bytes` is what the
    packets took on the wire, whole. Topic aliases are resolved.
    """

    qos: int
    topics: list[bytes]
    payloads: list[bytes]
    packet_ids: list[bytes]
    first_bytes: bytearray
    properties: list[Properties | None] | None
    size_bytes: int

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def any_retain(self) -> bool:
        """Whether a packet of the run has RETAIN set."""
        return any(first & 1 for first in self.first_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PubAck:
    """PUBACK from a subscriber (§3.4)."""

    packet_id: int
    reason_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PubAcks:
    """A run of two or more PUBACKs with reason 0 that came together, oldest first (§3.4)."""

    packet_ids: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PubRec:
    """PUBREC from a subscriber (§3.5)."""

    packet_id: int
    reason_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PubRel:
    """A run of PUBRELs, oldest first; ids as they came, two bytes each (§3.6)."""

    packet_ids: list[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PubComp:
    """PUBCOMP from a subscriber (§3.7)."""

    packet_id: int
    reason_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One entry of a SUBSCRIBE with its options (§3.8.3.1)."""

    topic_filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """SUBSCRIBE (§3.8)."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    subscription_identifier: int | None = None
    user_property: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """UNSUBSCRIBE (§3.10)."""

    packet_id: int
    topic_filters: tuple[str, ...]
    user_property: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PingReq:
    """PINGREQ (§3.12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """DISCONNECT from a client (§3.14)."""

    reason_code: int = 0
    session_expiry_interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """AUTH (§3.15)."""

    reason_code: int = 0
    authentication_method: str | None = None
    authentication_data: bytes | None = field(default=None, repr=False)


Packet = (
    Connect
    | PublishBatch
    | PubAck
    | PubAcks
    | PubRec
    | PubRel
    | PubComp
    | Subscribe
    | Unsubscribe
    | PingReq
    | Disconnect
    | Auth
)
"""What the reader makes of a client's bytes."""
