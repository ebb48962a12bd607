"""The way of a message from its publish to the queues of local subscribers, and what of it is on disk.

    publish   `book_run`, `book`: who is to get it is decided; what a durable session gets with QoS 1 or 2 goes into the
              open commit, with its packet id; a retained message's row, too (`gateway.broker.bookings`)
    commit    `settle`: what is on disk enters the queues in the order in which it was published; the rest is made now,
              and goes to those who are connected
    answer    PUBACK, PUBCOMP: the rows go (`account`); PUBREC: is noted on disk before PUBREL is sent (`note_received`)

A run without properties and RETAIN takes the fast way: no object for each message and subscriber, the packets are made
once as bytes (`gateway.broker.fanout`), and every subscriber that can take them is given the same ones. What asks for
more (subscription identifiers, topic aliases, QoS 1 and 2) goes one by one. Both ways lead through the same queue, and
the fast one leads past it only when it is empty, so that nothing is overtaken [MQTT-4.6.0-6].
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bridge.ports import Clock
from gateway.broker.agenda import TRY_AGAIN_AFTER_S, Agenda, do_safely
from gateway.broker.audience import Audience
from gateway.broker.booking import Booking
from gateway.broker.bookings import Bookings, flight_to
from gateway.broker.counters import Counters
from gateway.broker.fanout import Run
from gateway.broker.flight import Flight, Kept, Step
from gateway.broker.held import Target, shared_target_of
from gateway.broker.message import Message
from gateway.broker.ports import Connected
from gateway.broker.retained import RetainedMessages
from gateway.broker.retaining import Retaining
from gateway.broker.routes import Routes
from gateway.broker.session import Session
from gateway.broker.shared_group import SharedGroup
from gateway.broker.shelf import Shelf
from gateway.broker.watch import show
from gateway.mqtt import writer
from gateway.spool.ports import Outcome, Store

logger = logging.getLogger(__name__)

EXPIRY_SWEEP_S: Final = 10.0
RECEIVED_BYTES: Final = 128
"""What a PUBREC that waits for a commit takes in memory, roughly: a client may send the same one again and again."""


class Delivery:
    """See above. Waits for commits itself for what no client waits for (`gateway.spool.ports.Waiter`)."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        routes: Routes,
        retained: RetainedMessages,
        counters: Counters,
        shared: Mapping[str, SharedGroup] | None = None,
    ) -> None:
        """`shared`: the shared subscriptions by their whole filter."""
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._routes = routes
        self._counters = counters
        self._shared = {} if shared is None else shared
        self._retained = retained
        self._shelf = Shelf(store, clock)
        self._retaining = Retaining(store, clock, retained)
        self._bookings = Bookings(
            clock=clock, routes=routes, shelf=self._shelf, retaining=self._retaining, account=self.account
        )
        self.book_run = self._bookings.book_run
        self.book = self._bookings.book

    @property
    def arrivals(self) -> int:
        """How many messages came that may be retained (`Message.arrival`)."""
        return self._bookings.arrivals

    @arrivals.setter
    def arrivals(self, number: int) -> None:
        self._bookings.arrivals = number

    def restore(self, sessions: Iterable[Session], *, is_complete: bool = True) -> Collection[int]:
        """Take what was on disk at start: retained messages, and what waits for these sessions.

        `is_complete`: these are all sessions; where some could not be read, what waits for others stays on disk, and
        the numbers of those others are returned.
        """
        self._retaining.restore()
        by_number = {session.number: session for session in sessions if session.number}
        for number, (flights, next_place) in self._shelf.load(by_number, is_complete=is_complete).items():
            by_number[number].outgoing.restore(flights, next_place)
        self._sweep()
        set_aside = self._shelf.set_aside
        if set_aside:
            self._counters.set_aside = sum(set_aside.values())
            logger.warning(
                "%d messages wait for %d sessions that cannot be read. They stay on disk and are delivered to nobody.",
                self._counters.set_aside,
                len(set_aside),
            )
        return set_aside

    def _sweep(self) -> None:
        self._retaining.forget_expired()
        booking = Booking(0)
        booking.changes = self._retaining.book_again()
        if booking.changes:
            self._store.after_commit(self, booking)
        self._agenda.add("retained", self._clock.monotonic_s() + EXPIRY_SWEEP_S, self._sweep)

    # ---- when the commit has ended --------------------------------------------------------------------------------

    def settle(self, booking: Booking, *, is_stored: bool, is_taken: bool) -> None:
        """Let what was booked enter the queues, and go out.

        `is_stored`: what of it was in the commit is on disk. `is_taken`: whoever needs no disk gets it.
        """
        touched: dict[Session, None] = {}
        if booking.reserved:
            self._settle_reserved(booking, touched, is_stored=is_stored, is_taken=is_taken)
        for change in booking.changes:
            self._retaining.settle(change, is_stored=is_stored, is_taken=is_taken)
        if is_taken:
            for audience, run in booking.parts:
                self._deliver(run, audience, booking, touched)
            for message, audience, picked in booking.entries:
                self._offer_all(booking, message, audience.targets.items(), touched)
                self._offer_all(booking, message, picked, touched)
        for session in touched:
            if session.client is not None:
                session.client.sending.pump_safely()

    def _settle_reserved(
        self, booking: Booking, touched: dict[Session, None], *, is_stored: bool, is_taken: bool
    ) -> None:
        by_session: dict[Session, list[Flight]] = {}
        for session, flight in booking.reserved:
            by_session.setdefault(session, []).append(flight)
        for session, flights in by_session.items():
            if is_stored:
                for flight in flights:
                    flight.is_admitted = True
                session.outgoing.admit()
                touched[session] = None
            else:
                session.outgoing.cancel(flights)
                if is_taken:
                    self._counters.dropped["failed"] += len(flights)

    def _deliver(self, run: Run, audience: Audience, booking: Booking, touched: dict[Session, None]) -> None:
        """A run, to each of its audience: as bytes where that is possible."""
        origin = run.origin
        for session, each in audience.targets.items():
            target = each if session.client_id != origin else each.own
            if target is None:
                continue
            client = session.client
            if booking.qos and target.qos:
                if session not in booking.durable:
                    sent = 0
                    if client is not None and not target.identifiers:
                        sent = client.sending.send_promised(run, min(booking.qos, target.qos))
                    if sent < len(run):
                        for message in run.messages()[sent:]:
                            self._put(session, flight_to(target, message))
                        touched[session] = None
            elif client is None:
                self._counters.dropped["offline"] += len(run)
            elif target.identifiers or not client.sending.send_run(run):
                for message in run.messages():
                    self._put(session, flight_to(target, message))
                touched[session] = None

    def _offer_all(
        self,
        booking: Booking,
        message: Message,
        targets: Iterable[tuple[Session, Target]],
        touched: dict[Session, None],
    ) -> None:
        for session, each in targets:
            target = each if session.client_id != message.origin else each.own
            if target is None:
                continue
            if message.qos and target.qos and session in booking.durable:
                continue
            self._put(session, flight_to(target, message))
            touched[session] = None

    def _put(self, session: Session, flight: Flight) -> None:
        """Into the queue, in memory; what waits is sent first where that makes room."""
        client = session.client
        outgoing = session.outgoing
        if client is None:
            if not (flight.qos and session.is_durable):  # it may have ended between the publish and its commit
                self._counters.dropped["offline"] += 1
                return
        elif outgoing.is_full_for(flight):
            client.sending.pump_safely()
        outgoing.offer(flight, self._clock.monotonic_s())
        if outgoing.ended:
            self.account(session)

    # ---- what others ask for --------------------------------------------------------------------------------------

    def publish_own(self, messages: Iterable[Message]) -> None:
        """What the server itself says: to the subscribers of now; retained in memory alone."""
        touched: dict[Session, None] = {}
        nothing = Booking(0)
        for message in messages:
            if message.retain:
                self._retained.keep_own(message)
            route = self._routes[message.topic.encode()]
            self._offer_all(nothing, message, route.audience.targets.items(), touched)
            if route.watches:
                show(message, self._clock.now_us(), route.watches)
            for turns in route.groups:
                member = turns.pick()
                if member is not None:
                    session, held = member
                    self._offer_all(nothing, message, [(session, shared_target_of(held))], touched)
        for session in touched:
            if session.client is not None:
                session.client.sending.pump_safely()

    def offer(
        self, session: Session, message: Message, *, qos: int, retain: bool, identifiers: tuple[int, ...] = ()
    ) -> None:
        """Give one session a message: a retained one, to a new subscription. The caller pumps."""
        flight = Flight(message=message, qos=qos, retain=retain, identifiers=identifiers)
        if not (qos and session.is_durable):
            self._put(session, flight)
            return
        booking = Booking(qos)
        self._bookings.reserve_one(booking, session, flight, Kept(message, 0))
        if booking.reserved:
            self._store.after_commit(self, booking)

    def on_commit(self, items: list[Any], outcome: Outcome) -> None:
        """A commit with what nobody else waits for has ended."""
        is_stored = outcome is Outcome.DURABLE
        for booking in items:
            do_safely(partial(self.settle, booking, is_stored=is_stored, is_taken=True))

    # ---- what becomes of it ---------------------------------------------------------------------------------------

    def account(self, session: Session) -> None:
        """Count what has left the session's queue unsent, and take the rows of what has left off the disk."""
        ended = session.outgoing.take_ended()
        dropped = self._counters.dropped
        for entry, reason in ended:
            if reason is not None:
                dropped[reason] += entry.count
            if isinstance(entry, Flight) and entry.kept is not None and entry.kept.number:
                self._shelf.clear(session.number, entry)

    def mark(self, session: Session) -> None:
        """What waited for an absent subscriber is being sent: note it, so that after a crash it comes with DUP.

        Nothing waits for that note: the crash would have to come before the next commit has ended.
        """
        self._shelf.mark(session.number, session.outgoing.mark())

    def note_received(self, session: Session, client: Connected, flight: Flight) -> None:
        """The subscriber has the message (PUBREC): once the disk knows, PUBREL says so."""
        kept = flight.kept
        flight.is_told = True
        if kept is None or flight.step is Step.PUBCOMP:  # the disk has it already
            session.outgoing.received(flight.packet_id)
            client.sending.reply(writer.pubrel(flight.packet_id, version=client.version))
            return
        self._shelf.note(session.number, flight, kept, Step.PUBCOMP)
        self._store.after_commit(client, Received(self, session, flight), held_bytes=RECEIVED_BYTES)

    def note_again(self, session: Session, client: Connected, flight: Flight) -> None:
        """The disk did not take it: in a while, ask again. A client that is gone by then says it again itself."""

        def again() -> None:
            if client.is_open and session.outgoing.in_flight.get(flight.packet_id) is flight:
                self.note_received(session, client, flight)

        self._agenda.add((client, flight), self._clock.monotonic_s() + TRY_AGAIN_AFTER_S, again)

    def forget(self, session: Session) -> None:
        """The session ends: what waits for it is dropped; what a shared subscription gave it goes to another member."""
        outgoing = session.outgoing
        unsent = [flight for flight in outgoing.clear() if flight.group is not None]
        handed = {id(flight) for flight in unsent}
        ended = outgoing.take_ended()
        for entry, reason in ended:
            if reason is not None and id(entry) not in handed:
                self._counters.dropped[reason] += entry.count
        self._hand_over(session, unsent)
        if session.number:
            self._shelf.clear_session(session.number)
        for entry, _ in ended:
            if isinstance(entry, Flight):
                self._shelf.let_go(entry)

    def _hand_over(self, session: Session, flights: Sequence[Flight]) -> None:
        booking = Booking(0)
        touched: dict[Session, None] = {}
        for flight in flights:
            group = self._shared.get(str(flight.group))
            member = None if group is None else group.pick(flight.message.topic)
            if member is None or member[0] is session:
                self._counters.dropped["session_ended"] += 1
                continue
            other, held = member
            new = flight_to(shared_target_of(held), flight.message)
            touched[other] = None
            if new.qos and other.is_durable:
                self._bookings.reserve_one(booking, other, new, flight.kept or Kept(flight.message, 0))
            else:
                self._put(other, new)
        if booking.reserved:
            self._store.after_commit(self, booking)
        for other in touched:
            if other.client is not None:
                other.client.sending.pump_safely()


class Received:
    """A PUBREC of a durable delivery, once it is on disk."""

    __slots__ = ("_delivery", "_flight", "_session")

    def __init__(self, delivery: Delivery, session: Session, flight: Flight) -> None:
        self._delivery = delivery
        self._session = session
        self._flight = flight

    def settle(self, client: Connected, outcome: Outcome) -> bytes:
        """PUBREL."""
        flight = self._flight
        outgoing = self._session.outgoing
        if outgoing.in_flight.get(flight.packet_id) is not flight:
            return b""
        if outcome is not Outcome.DURABLE:
            self._delivery.note_again(self._session, client, flight)
            return b""
        outgoing.received(flight.packet_id)
        return writer.pubrel(flight.packet_id, version=client.version)
