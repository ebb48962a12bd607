"""Who is connected, who subscribed, and who gets what.

The broker owns sessions, subscriptions, retained messages and delayed wills. A publish goes into the store's open
commit; local subscribers get it when that commit is on disk, so that they never see what was refused to its publisher.
Everything runs on the event loop, in plain calls; `tick` does what has become due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from bridge.ports import Clock
from config import settings
from config.settings import Stream
from gateway.access.ports import NO_RIGHTS, Entry
from gateway.broker.agenda import Agenda, do_safely
from gateway.broker.commons import Commons
from gateway.broker.connecting import Connecting
from gateway.broker.counters import Counters
from gateway.broker.delivery import Delivery
from gateway.broker.devices import MARK_EVERY_S, Devices
from gateway.broker.held import Held
from gateway.broker.ports import Observer
from gateway.broker.queue_limits import QueueLimits
from gateway.broker.refused_connects import RefusedConnects
from gateway.broker.retained import RetainedMessages
from gateway.broker.routes import Routes
from gateway.broker.session import Session
from gateway.broker.sessions import Sessions
from gateway.broker.shared_group import SharedGroup
from gateway.broker.subscribing import Subscribing
from gateway.broker.subscriptions import SubscriptionTree
from gateway.broker.sys_topics import sys_topics
from gateway.broker.unreleased import Unreleased
from gateway.broker.watch import MAX_PENDING, MAX_PENDING_BYTES, RetainedBelow, Watch
from gateway.broker.will_watch import WillWatch
from gateway.broker.wills import publish_will
from gateway.mqtt.errors import TopicFilterInvalid
from gateway.mqtt.reason_codes import ReasonCode
from gateway.mqtt.topics import parse_shared, validate_topic_filter
from gateway.spool.ports import Store

logger = logging.getLogger(__name__)

TICK_S: Final = 0.25
"""How often due things are looked for; wills and expiries are in whole seconds."""
MAX_TICK_S: Final = 0.02
DUE_AT_A_TIME: Final = 4
"""How long due things are done in one turn of the loop, and after how many of them that is looked at: the sessions of
ten thousand clients that were lost together expire together, too."""

_SESSIONS: Final = settings.Sessions()
_RETAINED: Final = settings.Retained()
_LIMITS: Final = settings.Limits()


class Broker:
    """The broker. `new_client_id` makes a fresh, unguessable client id for a client that has none."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        streams: Sequence[Stream],
        new_client_id: Callable[[], str],
        entries: Mapping[str, Entry] | None = None,
        sessions: settings.Sessions = _SESSIONS,
        retained: settings.Retained = _RETAINED,
        limits: settings.Limits = _LIMITS,
        queue_limits: QueueLimits | None = None,
        traffic: Observer | None = None,
    ) -> None:
        """`entries` are the rules of entry by name, which say what each client may do; None: everything.

        `traffic` is told of every run of publishes that is taken.
        """
        self.store = store
        self.clock = clock
        self.counters = Counters()
        self.subscriptions: SubscriptionTree[Session, Held] = SubscriptionTree()
        self.shared: SubscriptionTree[SharedGroup, None] = SubscriptionTree()
        self.routes = Routes(streams, self.subscriptions, self.shared, max_levels=limits.max_topic_levels)
        self.retained = RetainedMessages(retained)
        self._agenda = Agenda()
        self.limits = limits
        if queue_limits is None:
            queue_limits = QueueLimits.of(sessions)
        self.sessions = Sessions(
            store=store,
            clock=clock,
            agenda=self._agenda,
            limits=sessions,
            entries=entries,
            queue_limits=queue_limits,
            on_end=self._on_session_end,
            on_rights=self._on_rights,
        )
        self.subscribing = Subscribing(
            sessions=self.sessions,
            tree=self.subscriptions,
            shared=self.shared,
            routes=self.routes,
            limits=sessions,
            max_topic_levels=limits.max_topic_levels,
        )
        self.delivery = Delivery(
            store=store,
            clock=clock,
            agenda=self._agenda,
            routes=self.routes,
            retained=self.retained,
            counters=self.counters,
            shared=self.subscribing.groups,
        )
        self._commons = Commons(
            store=store,
            clock=clock,
            agenda=self._agenda,
            counters=self.counters,
            routes=self.routes,
            sessions=self.sessions,
            subscribing=self.subscribing,
            delivery=self.delivery,
            retained=self.retained,
            unreleased=Unreleased(clock, lambda: (len(each.awaiting_release) for each in self.sessions.values())),
            refused_connects=RefusedConnects(),
            traffic=traffic,
        )
        self.later = self._commons.later
        self.turned_away = self._commons.turned_away
        self.devices = Devices(
            clock=clock,
            sessions=self.sessions,
            counters=self.counters,
            turned_away=self._commons.refused_connects,
        )
        self._sys_topics = sys_topics(self._commons, subscriptions=self.subscriptions, queues=queue_limits.total)
        self.wills = WillWatch(
            clock=clock,
            agenda=self._agenda,
            publish=partial(publish_will, self._commons),
            remember=self.sessions.remember,
        )
        self._connecting = Connecting(self._commons, wills=self.wills, new_client_id=new_client_id)
        self.connect = self._connecting.connect
        self.refuse = self._connecting.refuse
        self._ticking: asyncio.TimerHandle | None = None
        self.sessions.restore(store.sessions())
        for session in self.sessions.values():
            self.subscribing.restore(session)
            self.wills.restore(session)
        taken = self.delivery.restore(self.sessions.values(), is_complete=not self.sessions.unreadable)
        self.sessions.give_numbers(taken)
        for session in self.sessions.values():
            self._drop_unreadable(session)

    # ---- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick; call on the running event loop."""
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)
            self._mark()
            if self.limits.sys_interval_s is not None:
                self._report(self.limits.sys_interval_s)

    def _mark(self) -> None:
        """Note how much each device has published, for its rate."""
        self.later("devices", MARK_EVERY_S, self._mark)
        self.devices.mark(self.clock.monotonic_s())

    def _report(self, interval_s: float) -> None:
        """Say below `$SYS` what is new, now and in each interval."""
        self.later("$SYS", interval_s, partial(self._report, interval_s))
        self._sys_topics.report(self.clock.monotonic_s())

    def _on_tick(self) -> None:
        is_all = self.tick()
        self._ticking = asyncio.get_running_loop().call_later(TICK_S if is_all else 0, self._on_tick)

    def tick(self) -> bool:
        """Do what has become due: delayed wills, expired sessions, second tries. False when there is more of it."""
        started_s = self.clock.monotonic_s()
        while actions := self._agenda.take_due(started_s, DUE_AT_A_TIME):
            for action in actions:
                do_safely(action)
            if self.clock.monotonic_s() - started_s > MAX_TICK_S:
                return False
        return True

    def stop_accepting(self) -> None:
        """Refuse every CONNECT from now on; those who are connected stay."""
        self._connecting.is_accepting = False

    async def drain(self) -> None:
        """Read nothing more, let the open commit end and its acknowledgements go out, then disconnect everybody.

        Wills are published or kept as `gateway.broker.will_watch` says. Idempotent.
        """
        self.stop_accepting()
        self._connecting.is_draining = True
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        clients = self.sessions.clients()
        for client in clients:
            client.stop_reading()
        self.wills.gateway_stops(self.sessions.values())
        ended = asyncio.Event()
        self.store.after_commit(self._commons.actions, lambda _outcome: ended.set())
        await ended.wait()
        for client in clients:
            client.close(ReasonCode.SERVER_SHUTTING_DOWN)

    # ---- connections ----------------------------------------------------------------------------------------------

    def disconnect(self, client_id: str) -> bool:
        """An operator ends a client's connection; its will is published. False: it has none.

        MQTT 5 is told so with DISCONNECT 0x98; 3.1.1 knows no such packet, and is cut.
        """
        session = self.sessions.get(client_id)
        if session is None or session.client is None:
            return False
        session.client.close(ReasonCode.ADMINISTRATIVE_ACTION)
        return True

    def watch(
        self,
        filters: Sequence[str],
        *,
        max_pending: int = MAX_PENDING,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        with_retained: bool = False,
    ) -> Watch:
        """See everything that the filters match from now on (`gateway.broker.watch`); call `close` at the end.

        `with_retained`: what is retained below them comes first. Raises TopicFilterInvalid.
        """
        for topic_filter in filters:
            validate_topic_filter(topic_filter, self.limits.max_topic_levels)
            if parse_shared(topic_filter) is not None:
                raise TopicFilterInvalid(f"{topic_filter!r} is a shared subscription, which cannot be watched.")
        watch = Watch(
            filters,
            max_pending=max_pending,
            max_pending_bytes=max_pending_bytes,
            now_s=self.clock.monotonic_s,
            retained=RetainedBelow(self.retained, filters, self.clock.monotonic_s) if with_retained else None,
            on_close=self._unwatch,
        )
        for topic_filter in filters:
            self.routes.watches.add(topic_filter, watch, None)
        self.routes.forget(filters)
        return watch

    def _unwatch(self, watch: Watch) -> None:
        for topic_filter in watch.filters:
            self.routes.watches.remove(topic_filter, watch)
        self.routes.forget(watch.filters)

    def _on_rights(self, session: Session) -> None:
        if session.subscriptions:
            self.routes.clear()
        self._drop_unreadable(session)

    def _drop_unreadable(self, session: Session) -> None:
        """What waits for the session, and it may not read any more, does not go out.

        What waits for one whose access is not in the settings stays: it is there again when the access is.
        """
        if session.rights is NO_RIGHTS:
            return
        if not session.rights.is_unlimited and (session.outgoing.queued or session.outgoing.in_flight):
            session.outgoing.keep_only_readable(session.rights.may_read)
            self.delivery.account(session)

    def rights_changed(self) -> None:
        """The rules of entry were read again: ask them anew, and disconnect those whom they do not know any more,
        and end the sessions of those who were removed."""
        unknown, removed = self.sessions.renew_rights()
        self.routes.clear()
        for session in self.sessions.values():
            self._drop_unreadable(session)
        for session in unknown:
            if session.client is not None:
                session.client.close(ReasonCode.NOT_AUTHORIZED)
        for session in removed:  # nobody can come back to it, so nothing is to wait there
            if self.sessions.get(session.client_id) is session:
                self.sessions.end(session)
        for client in self.sessions.clients():
            client.rights_changed()

    def limit(self, *, sessions: settings.Sessions, retained: settings.Retained, limits: settings.Limits) -> None:
        """Have other limits hold from now on; what is above them already stays until it is gone."""
        before, self.limits = self.limits, limits
        self.sessions.limit(sessions)
        self.subscribing.limit(sessions, max_topic_levels=limits.max_topic_levels)
        self.retained.limit(retained)
        self.routes.limit(limits.max_topic_levels)
        if limits.sys_interval_s != before.sys_interval_s:
            self._agenda.cancel("$SYS")
            if limits.sys_interval_s is not None and self._ticking is not None:
                self._report(limits.sys_interval_s)

    def order_streams(self, streams: Sequence[Stream]) -> None:
        """Records go into other streams from now on; the store knows them by the same places."""
        self.routes.order_streams(streams)

    def _on_session_end(self, session: Session) -> None:
        self.wills.session_ended(session)
        self.subscribing.forget(session)
        self.delivery.forget(session)
