"""Who is connected, who subscribed, and who gets what.

The broker owns sessions, subscriptions, retained messages and delayed wills. A publish goes into the store's open
commit; local subscribers get it when that commit is on disk, so that they never see what was refused to its publisher.
Everything runs on the event loop, in plain calls; `tick` does what has become due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from bridge.ports import Clock
from config.settings import Stream
from gateway.broker.agenda import Agenda
from gateway.broker.client import TRY_AGAIN_AFTER_S, Client
from gateway.broker.connack import Connack, Terms
from gateway.broker.counters import Counters
from gateway.broker.exchanges import Welcome
from gateway.broker.message import Message
from gateway.broker.outgoing import Flight, QueueLimits
from gateway.broker.ports import Channel
from gateway.broker.retained import RetainedLimits, RetainedMessages
from gateway.broker.routes import Routes, Target
from gateway.broker.session import NEVER_EXPIRES, Held, Session, SnapshotUnreadable
from gateway.broker.subscriptions import SubscriptionTree
from gateway.broker.wills import publish_will
from gateway.mqtt.errors import TopicNameInvalid
from gateway.mqtt.packets import Connect, Subscribe, Version, Will
from gateway.mqtt.reason_codes import ReasonCode
from gateway.mqtt.topics import SHARE
from gateway.spool.ports import Outcome, Store

logger = logging.getLogger(__name__)

MAX_SESSIONS: Final = 100_000
MAX_SUBSCRIPTIONS: Final = 10_000
"""Of one session."""
MAX_SUBSCRIPTIONS_BYTES: Final = 64 * 1024 * 1024
"""Of all sessions, in memory: a filter of 200 levels takes much more than it did on the wire. These three keep a client
that makes up names without end from taking all the memory."""

TICK_S: Final = 0.25
"""How often due things are looked for; wills and expiries are in whole seconds."""


class Broker:
    """The broker. `new_client_id` makes a fresh, unguessable client id for a client that has none."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        streams: Sequence[Stream],
        new_client_id: Callable[[], str],
        queue_limits: QueueLimits | None = None,
        retained_limits: RetainedLimits | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.counters = Counters()
        self.subscriptions: SubscriptionTree[Session, Held] = SubscriptionTree()
        self.routes = Routes(streams, self.subscriptions)
        self.retained = RetainedMessages(retained_limits)
        self.sessions: dict[str, Session] = {}
        self._new_client_id = new_client_id
        self._queue_limits = queue_limits
        self._agenda = Agenda()
        self._forgetting: dict[str, int] = {}
        """Sessions that have ended, and that the disk may still have: how often it was asked to forget each."""
        self._is_accepting = True
        self._is_draining = False
        self._ticking: asyncio.TimerHandle | None = None
        self._restore(store.sessions())

    def _restore(self, snapshots: dict[str, bytes]) -> None:
        for client_id, snapshot in snapshots.items():
            try:
                session = Session.restore(client_id, snapshot, self._queue_limits)
            except SnapshotUnreadable as error:
                logger.warning("The stored session of client %r is left out: it cannot be read. %s", client_id, error)
                continue
            self.sessions[client_id] = session
            for topic_filter, held in session.subscriptions.items():
                self.subscriptions.add(topic_filter, session, held)
            self._expire_later(session)

    # ---- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick; call on the running event loop."""
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)

    def _on_tick(self) -> None:
        self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)
        self.tick()

    def tick(self) -> None:
        """Do what has become due: delayed wills, expired sessions, second tries."""
        for action in self._agenda.take_due(self.clock.monotonic_s()):
            _do(action)

    def later(self, key: Hashable, delay_s: float, action: Callable[[], None]) -> None:
        """Have `action` done at a tick after `delay_s`."""
        self._agenda.add(key, self.clock.monotonic_s() + delay_s, action)

    def stop_accepting(self) -> None:
        """Refuse every CONNECT from now on; those who are connected stay."""
        self._is_accepting = False

    async def drain(self) -> None:
        """Read nothing more, let the open commit end and its acknowledgements go out, then disconnect everybody.

        The wills of those who are connected are not published: they did not die, the gateway stops. Idempotent.
        """
        self.stop_accepting()
        self._is_draining = True
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        clients = self._clients()
        for client in clients:
            client.stop_reading()
        ended = asyncio.Event()
        self.store.after_commit(self, lambda _outcome: ended.set())
        await ended.wait()
        for client in clients:
            client.close(ReasonCode.SERVER_SHUTTING_DOWN, with_will=False)

    def _clients(self) -> list[Client]:
        return [session.client for session in self.sessions.values() if session.client is not None]

    # ---- connections ----------------------------------------------------------------------------------------------

    def connect(self, channel: Channel, packet: Connect, terms: Terms) -> Client | None:
        """Take a CONNECT: find or make the session, and answer with CONNACK, once the disk has what it says.

        None when the connection is refused; the refusal is written and the channel closed.
        """
        refusal = self._refusal(packet)
        if refusal is not None:
            self.counters.refused_connects[refusal.name.lower()] += 1
            channel.write(Connack(connect=packet, terms=terms)(refusal))
            channel.close()
            return None
        assigned = None if packet.client_id else self._new_client_id()
        client_id = packet.client_id or str(assigned)
        if client_id not in self.sessions and len(self.sessions) >= MAX_SESSIONS:
            self.counters.refused_connects["max_sessions"] += 1
            channel.write(Connack(connect=packet, terms=terms)(ReasonCode.QUOTA_EXCEEDED))
            channel.close()
            return None
        if not Connack(connect=packet, terms=terms, assigned_client_id=assigned)(ReasonCode.SUCCESS):
            # Even CONNACK is longer than the client's Maximum Packet Size [MQTT-3.1.2-24].
            self.counters.refused_connects["maximum_packet_size"] += 1
            channel.close()
            return None
        session, is_present, was_on_disk = self._session_for(packet, client_id)
        connack = Connack(connect=packet, terms=terms, session_present=is_present, assigned_client_id=assigned)
        client = Client(self, channel, packet, session, receive_maximum=terms.receive_maximum, connack=connack)
        session.client = client
        self.counters.connected_now += 1
        if not session.is_stored if session.is_durable else was_on_disk:
            welcome = Welcome(session, is_new=not is_present)
            welcome.change = self.remember(session)
            self.store.after_commit(client, welcome)
        else:
            client.welcome()
        return client

    def _refusal(self, packet: Connect) -> ReasonCode | None:
        if not self._is_accepting:
            return ReasonCode.SERVER_SHUTTING_DOWN
        if packet.authentication_method is not None:
            return ReasonCode.BAD_AUTHENTICATION_METHOD
        if packet.will is not None:
            try:
                is_refused = self.routes[packet.will.topic.encode()].is_refused
            except TopicNameInvalid:
                return ReasonCode.TOPIC_NAME_INVALID
            if is_refused:
                return ReasonCode.NOT_AUTHORIZED
        return None

    def _session_for(self, packet: Connect, client_id: str) -> tuple[Session, bool, bool]:
        """(session, whether it was there, whether the disk had one); takes over from an open connection."""
        old = self.sessions.get(client_id)
        was_on_disk = client_id in self._forgetting if old is None else old.on_disk
        if old is not None and old.client is not None:
            old.client.close(ReasonCode.SESSION_TAKEN_OVER)  # [MQTT-3.1.4-3]
            old = self.sessions.get(client_id)
        if old is not None and packet.clean_start:
            self.end_session(old)  # [MQTT-3.1.2-4]
            old = None
        expiry_interval_s = _expiry_interval_s(packet)
        if old is None:
            session = Session(client_id, expiry_interval_s, self._queue_limits)
            session.on_disk = was_on_disk
            self.sessions[client_id] = session
            return session, False, was_on_disk
        self._agenda.cancel(("expiry", client_id))
        self._agenda.cancel(("will", client_id))  # the session goes on before the delay has passed (§3.1.3.2.2)
        if old.expiry_interval_s != expiry_interval_s:
            old.expiry_interval_s = expiry_interval_s
            old.change += 1
        return old, True, was_on_disk

    def ended(self, client: Client, will: Will | None) -> None:
        """A connection has ended; called once for each client."""
        self.counters.connected_now -= 1
        session = client.session
        if session.client is client:
            session.client = None
        session.outgoing.keep_only_promised()
        if will is not None and not self._is_draining:
            delay_s = min(will.delay_interval_s, session.expiry_interval_s)
            publish = partial(publish_will, self, client.client_id, will)
            if delay_s:
                self.later(("will", client.client_id), delay_s, publish)
            else:
                publish()
        if self.sessions.get(client.client_id) is not session:
            return
        if session.is_durable:
            self._expire_later(session)
        else:
            self.end_session(session)

    def _expire_later(self, session: Session) -> None:
        if session.expiry_interval_s < NEVER_EXPIRES:
            end = partial(self.end_session, session)
            self.later(("expiry", session.client_id), session.expiry_interval_s, end)

    def end_session(self, session: Session) -> None:
        """Forget the session, in memory and on disk; a delayed will is published now [MQTT-3.1.3-9]."""
        client_id = session.client_id
        self._agenda.cancel(("expiry", client_id))
        self._agenda.hurry(("will", client_id))
        for topic_filter in session.subscriptions:
            self.subscriptions.remove(topic_filter, session)
        if session.subscriptions:
            self.routes.clear()
        del self.sessions[client_id]
        if session.on_disk:
            self._forget(client_id)

    def _forget(self, client_id: str) -> None:
        """Take an ended session off the disk; again a little later, until that is known to have happened."""
        self._forgetting[client_id] = number = self._forgetting.get(client_id, 0) + 1
        self.store.remember(client_id, partial(self._snapshot, client_id))

        def committed(outcome: Outcome) -> None:
            if self._forgetting.get(client_id) != number:
                return
            if outcome is Outcome.DURABLE:
                del self._forgetting[client_id]
            else:
                self.later(("forget", client_id), TRY_AGAIN_AFTER_S, partial(self._forget, client_id))

        self.store.after_commit(self, committed)

    def forget_unstored(self, session: Session, *, is_new: bool) -> None:
        """A session of a refused CONNECT: nobody was told of it, so nobody may find it present."""
        if is_new and session.client is None and self.sessions.get(session.client_id) is session:
            self.end_session(session)

    def remember(self, session: Session) -> int:
        """Have the session in the open commit; returns the number of the change."""
        session.change += 1
        session.on_disk = session.is_durable or session.on_disk
        self.store.remember(session.client_id, partial(self._snapshot, session.client_id))
        return session.change

    def _snapshot(self, client_id: str) -> bytes | None:
        """What the disk shall have for the client id when the commit closes: the session of that moment."""
        session = self.sessions.get(client_id)
        return session.snapshot() if session is not None and session.is_durable else None

    # ---- subscriptions --------------------------------------------------------------------------------------------

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
                len(session.subscriptions) >= MAX_SUBSCRIPTIONS
                or self.subscriptions.size_bytes >= MAX_SUBSCRIPTIONS_BYTES
            ):
                codes.append(ReasonCode.QUOTA_EXCEEDED)
                continue
            before.setdefault(topic_filter, session.subscriptions.get(topic_filter))
            held = Held(subscription=subscription, identifier=packet.subscription_identifier)
            session.subscriptions[topic_filter] = held
            self.subscriptions.add(topic_filter, session, held)
            codes.append(subscription.qos)
        self.routes.clear()
        return codes, before

    def put_back(self, session: Session, packet: Subscribe, before: dict[str, Held | None]) -> None:
        """Undo a `subscribe` that the disk did not take, but for what a later packet has changed since."""
        if self.sessions.get(session.client_id) is not session:
            return
        made = {id(subscription) for subscription in packet.subscriptions}
        for topic_filter, held in before.items():
            now = session.subscriptions.get(topic_filter)
            if now is None or id(now.subscription) not in made:
                continue
            if held is None:
                del session.subscriptions[topic_filter]
                self.subscriptions.remove(topic_filter, session)
            else:
                session.subscriptions[topic_filter] = held
                self.subscriptions.add(topic_filter, session, held)
        self.routes.clear()

    def unsubscribe(self, session: Session, topic_filters: Iterable[str]) -> list[ReasonCode]:
        """Take the subscriptions away; returns a code for each."""
        codes = []
        for topic_filter in topic_filters:
            if session.subscriptions.pop(topic_filter, None) is None:
                codes.append(ReasonCode.NO_SUBSCRIPTION_EXISTED)
            else:
                self.subscriptions.remove(topic_filter, session)
                codes.append(ReasonCode.SUCCESS)
        self.routes.clear()
        return codes

    # ---- messages -------------------------------------------------------------------------------------------------

    def deliver(self, messages: Iterable[Message]) -> None:
        """Keep what is to be retained, and give each message to the local subscribers of now."""
        for message in messages:
            if message.retain:
                self.retained.keep(message)
            for target in self.routes[message.topic.encode()].targets:
                self._send(target, message)

    def _send(self, target: Target, message: Message) -> None:
        session = target.session
        if message.origin == session.client_id:
            if target.own is None:
                return
            target = target.own
        self.offer(
            session,
            Flight(
                message=message,
                qos=min(message.qos, target.qos),
                retain=message.retain and target.retain_as_published,
                identifiers=target.identifiers,
            ),
        )
        if session.client is not None:
            session.client.sending.pump_safely()

    def offer(self, session: Session, flight: Flight) -> None:
        """Put a message into the session's queue, or count why not."""
        if session.client is None and flight.qos == 0:
            self.counters.dropped["offline"] += 1
        elif not session.outgoing.offer(flight):
            self.counters.dropped["queue_full"] += 1

    def on_commit(self, items: list[Any], outcome: Outcome) -> None:
        """A commit that the broker itself waited for has ended: do what was to be done then."""
        for action in items:
            _do(partial(action, outcome))


def _do(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # Whatever is wrong with one of them, the others, and the store's commits, go on.
        logger.exception("A will, an expiry or a second try has failed.")


def _expiry_interval_s(packet: Connect) -> int:
    """How long the session outlives the connection; 3.1.1's clean session 0 means for ever (MQTT 5 §3.1.2.11.2)."""
    if packet.version is Version.V5:
        return packet.session_expiry_interval_s or 0
    return 0 if packet.clean_start else NEVER_EXPIRES
