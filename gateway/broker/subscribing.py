"""Which filters the sessions hold, and what takes effect by it (MQTT 5 §3.8 to §3.11).

A subscription takes effect at once. What is answered to SUBSCRIBE and UNSUBSCRIBE, and when, is in
`gateway.broker.subscription_packets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from config import settings
from gateway.broker.held import Held
from gateway.broker.routes import Routes
from gateway.broker.session import Session
from gateway.broker.sessions import Sessions
from gateway.broker.shared_group import SharedGroup
from gateway.broker.subscriptions import SubscriptionTree
from gateway.mqtt.packets import Subscribe, Subscription
from gateway.mqtt.reason_codes import ReasonCode
from gateway.mqtt.topics import parse_shared

MAX_SUBSCRIPTIONS_BYTES: Final = 64 * 1024 * 1024
"""Of all sessions, in memory: a filter of 200 levels takes much more than it did on the wire. This keeps clients that
make up filters without end from taking all the memory."""
MAX_FILTERS_BYTES: Final = 1024 * 1024
"""Of one session: all of its filters are in its snapshot, which is written whenever anything of the session changes."""
LEVEL_BYTES: Final = 320
"""What a level of a filter takes in memory, roughly, where no other filter has it."""
GROUP_BYTES: Final = 1536
"""What a shared subscription takes in memory beside its names, roughly."""

Before = dict[str, Held | None]
"""What stood under each filter that a SUBSCRIBE was granted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Granting:
    """What became of a SUBSCRIBE. `codes`: what SUBACK says; `retained`: the filters that get what is retained."""

    codes: list[int]
    before: Before
    retained: list[str]


class Subscribing:
    """The subscriptions of all sessions."""

    __slots__ = (
        "_limits",
        "_max_topic_levels",
        "_routes",
        "_sessions",
        "_shared",
        "_tree",
        "groups",
        "size_bytes",
    )

    def __init__(
        self,
        *,
        sessions: Sessions,
        tree: SubscriptionTree[Session, Held],
        shared: SubscriptionTree[SharedGroup, None],
        routes: Routes,
        limits: settings.Sessions,
        max_topic_levels: int,
    ) -> None:
        self._sessions = sessions
        self._tree = tree
        self._shared = shared
        self.groups: dict[str, SharedGroup] = {}
        """Shared subscriptions by their whole filters."""
        self.size_bytes = 0
        """What the subscriptions of all sessions take in memory, roughly, and at most."""
        self._routes = routes
        self._limits = limits
        self._max_topic_levels = max_topic_levels

    def limit(self, limits: settings.Sessions, *, max_topic_levels: int) -> None:
        """Have other limits for the subscriptions to come."""
        self._limits = limits
        self._max_topic_levels = max_topic_levels

    # ---- packets --------------------------------------------------------------------------------------------------

    def subscribe(self, session: Session, packet: Subscribe) -> Granting:
        """Let what a SUBSCRIBE asks for take effect, as far as the session may have it."""
        before: Before = {}
        codes = [
            self._subscribe(session, each, packet.subscription_identifier, before) for each in packet.subscriptions
        ]
        self._routes.forget(map(_own_filter, before))
        # A filter that stands in the packet a thousand times costs one walk through what is retained.
        retained = [
            topic_filter
            for topic_filter, held in before.items()
            if _wants_retained(session.subscriptions[topic_filter].subscription, is_new=held is None)
        ]
        return Granting(codes=codes, before=before, retained=retained)

    def _subscribe(self, session: Session, subscription: Subscription, identifier: int | None, before: Before) -> int:
        topic_filter = subscription.topic_filter
        own_filter = _own_filter(topic_filter)
        if own_filter.count("/") >= self._max_topic_levels:
            return ReasonCode.TOPIC_FILTER_INVALID
        if not session.rights.may_subscribe(own_filter):
            # §3.9.3: 0x80 is for a server that does not wish to reveal the reason. 3.1.1 knows no other, and Paho's
            # interoperability suite takes no other in MQTT 5 either.
            return ReasonCode.UNSPECIFIED_ERROR
        old = session.subscriptions.get(topic_filter)
        if old is None and (
            len(session.subscriptions) >= self._limits.max_subscriptions
            or session.filters_bytes >= MAX_FILTERS_BYTES
            or self.size_bytes >= MAX_SUBSCRIPTIONS_BYTES
        ):
            return ReasonCode.QUOTA_EXCEEDED
        before.setdefault(topic_filter, old)
        self._put(session, topic_filter, Held(subscription=subscription, identifier=identifier))
        return subscription.qos

    def unsubscribe(self, session: Session, topic_filters: Sequence[str]) -> list[ReasonCode]:
        """Take the filters away; returns what UNSUBACK says of each."""
        codes = []
        gone = []
        for topic_filter in topic_filters:
            if topic_filter in session.subscriptions:
                self._take(session, topic_filter)
                gone.append(topic_filter)
                codes.append(ReasonCode.SUCCESS)
            else:
                codes.append(ReasonCode.NO_SUBSCRIPTION_EXISTED)
        self._routes.forget(map(_own_filter, gone))
        return codes

    # ---- sessions -------------------------------------------------------------------------------------------------

    def restore(self, session: Session) -> None:
        """Let what a session of the disk holds take effect."""
        for topic_filter, held in session.subscriptions.items():
            self._put(session, topic_filter, held)

    def arrived(self, session: Session) -> None:
        """Its client is connected: it has a turn with its shared subscriptions."""
        for topic_filter in session.shared or ():
            self.groups[topic_filter].arrived(session)

    def forget(self, session: Session) -> None:
        """The session has ended."""
        filters = list(session.subscriptions)
        for topic_filter in filters:
            self._take(session, topic_filter)
        self._routes.forget(map(_own_filter, filters))

    def put_back(self, session: Session, packet: Subscribe, before: Before) -> None:
        """Undo a `subscribe` that the disk did not take, but for what a later packet has changed since."""
        if self._sessions.get(session.client_id) is not session:
            return
        made = {id(subscription) for subscription in packet.subscriptions}
        for topic_filter, held in before.items():
            now = session.subscriptions.get(topic_filter)
            if now is None or id(now.subscription) not in made:
                continue
            if held is None:
                self._take(session, topic_filter)
            else:
                self._put(session, topic_filter, held)
        self._routes.forget(map(_own_filter, before))

    def _put(self, session: Session, topic_filter: str, held: Held) -> None:
        session.subscriptions[topic_filter] = held
        session.packed_subscriptions = None
        shared = parse_shared(topic_filter)
        if shared is None:
            if self._tree.add(topic_filter, session, held):
                self._count(session, topic_filter, 1)
            return
        group = self.groups.get(topic_filter)
        if group is None:
            group = self.groups[topic_filter] = SharedGroup(topic_filter, shared.topic_filter)
            self._shared.add(shared.topic_filter, group, None)
            self.size_bytes += GROUP_BYTES
        if group.join(session, held):
            self._count(session, topic_filter, 1)
        if session.shared is None:
            session.shared = set()
        session.shared.add(topic_filter)

    def _take(self, session: Session, topic_filter: str) -> None:
        del session.subscriptions[topic_filter]
        session.packed_subscriptions = None
        self._count(session, topic_filter, -1)
        if session.shared is None or topic_filter not in session.shared:
            self._tree.remove(topic_filter, session)
            return
        session.shared.discard(topic_filter)
        group = self.groups[topic_filter]
        group.leave(session)
        if not group.members:
            self.size_bytes -= GROUP_BYTES
            del self.groups[topic_filter]
            self._shared.remove(group.topic_filter, group)

    def _count(self, session: Session, topic_filter: str, change: int) -> None:
        """One more or less. The filter counts for each who has it: each brought a string of his own."""
        self.size_bytes += change * (len(topic_filter) + LEVEL_BYTES * (topic_filter.count("/") + 1))
        session.filters_bytes += change * len(topic_filter)


def _own_filter(topic_filter: str) -> str:
    """The filter itself, without the share name of a shared one."""
    shared = parse_shared(topic_filter)
    return topic_filter if shared is None else shared.topic_filter


def _wants_retained(subscription: Subscription, *, is_new: bool) -> bool:
    """By its Retain Handling [MQTT-3.3.1-9] to [-11]; a shared subscription gets none (§4.8.2)."""
    if parse_shared(subscription.topic_filter) is not None:
        return False
    return subscription.retain_handling == 0 or (subscription.retain_handling == 1 and is_new)
