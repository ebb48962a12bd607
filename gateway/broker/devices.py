"""What an operator is shown of the clients: who is connected, what each has sent, who was turned away.

All of it is in memory, and is read when it is asked for; the publish path only adds to a few numbers of a client's
`Activity`, once a run.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.ports import Clock
from gateway.broker.counters import Counters
from gateway.broker.held import Held
from gateway.broker.refused_connects import RefusedConnect, RefusedConnects
from gateway.broker.session import NEVER_EXPIRES, Session
from gateway.mqtt.packets import Version
from gateway.mqtt.topics import parse_shared

MARK_EVERY_S: Final = 5.0
MAX_SUBSCRIPTIONS: Final = 1000
"""Of one device's that are shown."""
PROTOCOLS: Final = {Version.V31: "3.1", Version.V311: "3.1.1", Version.V5: "5"}


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

    def __init__(
        self, *, clock: Clock, sessions: Mapping[str, Session], counters: Counters, turned_away: RefusedConnects
    ) -> None:
        self._clock = clock
        self._sessions = sessions
        self._counters = counters
        self._turned_away = turned_away
        self._marked_s = self._marked_before_s = clock.monotonic_s()

    def mark(self, now_s: float) -> None:
        """Note how much each has published; to be called every MARK_EVERY_S."""
        self._marked_before_s, self._marked_s = self._marked_s, now_s
        for session in self._sessions.values():
            activity = session.activity
            activity.mark_before = activity.mark
            activity.mark = activity.published

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
        sessions = self._sessions
        wanted: Iterable[Session] = sessions.values()
        if state is not Presence.ALL:
            is_wanted = state is Presence.CONNECTED
            wanted = (session for session in wanted if (session.client is not None) is is_wanted)
        if search:
            text = search.casefold()
            wanted = (session for session in wanted if _has(session, text))
        found = list(wanted)
        key = self._key(sort)
        first = (heapq.nlargest if is_descending else heapq.nsmallest)(offset + limit, found, key=key)
        connected = self._counters.connected_now
        rates = self._rates()
        return DevicePage(
            total=len(found),
            connected=connected,
            absent=len(sessions) - connected,
            devices=[self._device(session, rates) for session in first[offset:]],
        )

    def one(self, client_id: str) -> DeviceDetail | None:
        """One of them; None: it has no session."""
        session = self._sessions.get(client_id)
        if session is None:
            return None
        expiry_s = session.expiry_interval_s
        will = session.will
        filters = heapq.nsmallest(MAX_SUBSCRIPTIONS, session.subscriptions)
        return DeviceDetail(
            device=self._device(session, self._rates()),
            session_expiry_s=None if expiry_s >= NEVER_EXPIRES else expiry_s,
            subscriptions=[_held(each, session.subscriptions[each]) for each in filters],
            will_topic=None if will is None else will.topic,
            will_qos=None if will is None else will.qos,
            refusals=dict(session.activity.refusals or {}),
        )

    @property
    def refused(self) -> Sequence[RefusedConnect]:
        """Connections that were turned away: the newest 50, newest first, equal ones counted together."""
        return self._turned_away.newest_first()

    def _key(self, sort: Order) -> Callable[[Session], tuple[float, str] | str]:
        if sort is Order.CLIENT:
            return lambda session: session.client_id
        numbers: Mapping[Order, Callable[[Session], float]] = {
            Order.PER_S: self._rates(),
            Order.PUBLISHED: lambda session: session.activity.published,
            Order.SINCE: lambda session: 0 if session.client is None else session.client.since_us,
            Order.QUEUED: lambda session: session.outgoing.queued,
        }
        number = numbers[sort]
        return lambda session: (number(session), session.client_id)

    def _rates(self) -> Callable[[Session], float]:
        """What tells each session's publishes a second, as of now."""
        clock = self._clock
        now_us = clock.now_us()
        span_s = max(1.0, clock.monotonic_s() - self._marked_before_s)

        def per_s(session: Session) -> float:
            activity, client = session.activity, session.client
            if activity.mark_before or client is None:
                return (activity.published - activity.mark_before) / span_s
            # It may be here for less than that.
            return activity.published / max(1.0, min(span_s, (now_us - client.since_us) / 1e6))

        return per_s

    def _device(self, session: Session, per_s: Callable[[Session], float]) -> Device:
        client, activity, outgoing = session.client, session.activity, session.outgoing
        topic = activity.last_topic
        return Device(
            client=session.client_id,
            is_connected=client is not None,
            since_us=None if client is None else client.since_us,
            address=None if client is None else client.peer,
            listener=None if client is None else client.listener,
            protocol=None if client is None else PROTOCOLS[client.version],
            username=session.username,
            published=activity.published,
            published_bytes=activity.published_bytes,
            per_s=per_s(session),
            delivered=activity.delivered,
            last_topic=None if topic is None else topic.decode(errors="replace"),
            last_published_at_us=activity.last_us or None,
            refused=sum((activity.refusals or {}).values()),
            queued=outgoing.queued,
            queued_bytes=outgoing.queued_bytes,
            in_flight=len(outgoing.in_flight) + len(outgoing.sent_once),
            subscriptions=len(session.subscriptions),
            keep_alive_s=None if client is None else client.keep_alive_s,
            is_durable=session.is_durable,
        )

    def list(self) -> Sequence[Device]:
        """All of them, by client id."""
        sessions = sorted(self._sessions.values(), key=lambda session: session.client_id)
        rates = self._rates()
        return [self._device(session, rates) for session in sessions]


def _has(session: Session, text: str) -> bool:
    return (
        text in session.client_id.casefold()
        or (session.username is not None and text in session.username.casefold())
        or (session.client is not None and text in session.client.peer.casefold())
    )


def _held(topic_filter: str, held: Held) -> SubscriptionHeld:
    shared = parse_shared(topic_filter)
    return SubscriptionHeld(
        filter=topic_filter if shared is None else shared.topic_filter,
        qos=held.subscription.qos,
        no_local=held.subscription.no_local,
        retain_as_published=held.subscription.retain_as_published,
        shared=None if shared is None else shared.share_name,
    )
