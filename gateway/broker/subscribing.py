"""SUBSCRIBE and UNSUBSCRIBE: which filters a session holds (MQTT 5 §3.8 to §3.11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.broker.routes import Routes
from gateway.broker.session import Held, Session
from gateway.broker.subscriptions import SubscriptionTree
from gateway.mqtt.packets import Subscribe
from gateway.mqtt.reason_codes import ReasonCode
from gateway.mqtt.topics import SHARE

MAX_SUBSCRIPTIONS: Final = 10_000
"""Of one session."""
MAX_SUBSCRIPTIONS_BYTES: Final = 64 * 1024 * 1024
"""Of all sessions, in memory: a filter of 200 levels takes much more than it did on the wire. These two keep a client
that makes up names without end from taking all the memory."""


class Subscribing:
    """The subscriptions of all sessions."""

    __slots__ = ("_routes", "_sessions", "_tree")

    def __init__(
        self, *, sessions: Mapping[str, Session], tree: SubscriptionTree[Session, Held], routes: Routes
    ) -> None:
        self._sessions = sessions
        self._tree = tree
        self._routes = routes

    def restore(self, session: Session) -> None:
        """Let what a session of the disk holds take effect."""
        for topic_filter, held in session.subscriptions.items():
            self._tree.add(topic_filter, session, held)

    def forget(self, session: Session) -> None:
        """The session has ended."""
        for topic_filter in session.subscriptions:
            self._tree.remove(topic_filter, session)
        if session.subscriptions:
            self._routes.clear()

    def subscribe(self, session: Session, packet: Subscribe) -> tuple[list[int], dict[str, Held | None]]:
        """Make the subscriptions; returns a code for each, and what stood under each filter that was granted."""
        codes: list[int] = []
        before: dict[str, Held | None] = {}
        for subscription in packet.subscriptions:
            topic_filter = subscription.topic_filter
            if topic_filter.startswith(SHARE):
                codes.append(ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
                continue
            if topic_filter not in session.subscriptions and (
                len(session.subscriptions) >= MAX_SUBSCRIPTIONS or self._tree.size_bytes >= MAX_SUBSCRIPTIONS_BYTES
            ):
                codes.append(ReasonCode.QUOTA_EXCEEDED)
                continue
            before.setdefault(topic_filter, session.subscriptions.get(topic_filter))
            held = Held(subscription=subscription, identifier=packet.subscription_identifier)
            session.subscriptions[topic_filter] = held
            self._tree.add(topic_filter, session, held)
            codes.append(subscription.qos)
        self._routes.clear()
        return codes, before

    def put_back(self, session: Session, packet: Subscribe, before: dict[str, Held | None]) -> None:
        """Undo a `subscribe` that the disk did not take, but for what a later packet has changed since."""
        if self._sessions.get(session.client_id) is not session:
            return
        made = {id(subscription) for subscription in packet.subscriptions}
        for topic_filter, held in before.items():
            now = session.subscriptions.get(topic_filter)
            if now is None or id(now.subscription) not in made:
                continue
            if held is None:
                del session.subscriptions[topic_filter]
                self._tree.remove(topic_filter, session)
            else:
                session.subscriptions[topic_filter] = held
                self._tree.add(topic_filter, session, held)
        self._routes.clear()

    def unsubscribe(self, session: Session, topic_filters: Iterable[str]) -> list[ReasonCode]:
        """Take the subscriptions away; returns a code for each."""
        codes = []
        for topic_filter in topic_filters:
            if session.subscriptions.pop(topic_filter, None) is None:
                codes.append(ReasonCode.NO_SUBSCRIPTION_EXISTED)
            else:
                self._tree.remove(topic_filter, session)
                codes.append(ReasonCode.SUCCESS)
        self._routes.clear()
        return codes
