"""What an operator is shown of the clients: who is connected, what each has sent, who was turned away.

All of it is in memory, and is read when it is asked for; the publish path only adds to a few numbers of a client's
`Activity`, once a run.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.broker.refused_connects import RefusedConnect

if TYPE_CHECKING:
    from gateway.broker.broker import Broker


class Presence(enum.StrEnum):
    """Which devices are asked for."""

    CONNECTED = "connected"
    ABSENT = "absent"
    """Those whose session waits for them."""
    ALL = "all"


class Order(enum.StrEnum):
    """What devices are sorted by."""

    CLIENT = "client"
    PER_S = "per_s"
    PUBLISHED = "published"
    SINCE = "since"
    QUEUED = "queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One session. What is of its connection is None while it has none; counts are since the process began."""

    client: str
    is_connected: bool
    since_us: int | None
    """When it connected, microseconds since 1970 UTC."""
    address: str | None
    listener: str | None
    protocol: str | None
    """"5", "3.1.1" or "3.1"."""
    username: str | None
    published: int
    published_bytes: int
    per_s: float
    """Publishes a second, over the last five to ten seconds."""
    delivered: int
    last_topic: str | None
    last_published_at_us: int | None
    refused: int
    """Publishes of it that were not taken."""
    queued: int
    queued_bytes: int
    in_flight: int
    subscriptions: int
    keep_alive_s: int | None
    """0: none."""
    is_durable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionHeld:
    """One subscription of a device. `shared`: the name of its share; None where it has it alone."""

    filter: str
    """Without the share's name."""
    qos: int
    no_local: bool
    retain_as_published: bool
    shared: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDetail:
    """One device, and what its page has beside."""

    device: Device
    session_expiry_s: int | None
    """How long its session outlives the connection; None: for ever."""
    subscriptions: Sequence[SubscriptionHeld]
    """The first thousand, by filter."""
    will_topic: str | None
    will_qos: int | None
    refusals: Mapping[str, int]
    """Publishes that were not taken, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePage:
    """`total` is how many match; `connected` and `absent` are how many there are of all."""

    total: int
    connected: int
    absent: int
    devices: Sequence[Device]


class Devices:
    """See above; `broker.devices`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def page(
        self,
        *,
        search: str = "",
        state: Presence = Presence.CONNECTED,
        sort: Order = Order.CLIENT,
        is_descending: bool = False,
        limit: int = 100,
        offset: int = 0,
    ) -> DevicePage:
        """Some of them. `search`: a part of client id, address or user name, in any case."""
        return DevicePage(total=0, connected=0, absent=0, devices=[])

    def one(self, client_id: str) -> DeviceDetail | None:
        """One of them; None: it has no session."""
        return None

    @property
    def refused(self) -> Sequence[RefusedConnect]:
        """Connections that were turned away: the newest 50, newest first, equal ones counted together."""
        return []

    def list(self) -> Sequence[Device]:
        """All of them, by client id."""
        return []
