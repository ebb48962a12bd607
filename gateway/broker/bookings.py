"""A publish before its commit: who is to get it is decided, and the rows are put into the open commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from bridge.ports import Clock
from gateway.broker.audience import NOBODY, Audience
from gateway.broker.booking import Booking
from gateway.broker.fanout import Run
from gateway.broker.flight import Flight, Kept
from gateway.broker.held import Target, shared_target_of
from gateway.broker.message import Message, expiry
from gateway.broker.retaining import Retaining
from gateway.broker.routes import Route, Routes
from gateway.broker.session import Session
from gateway.broker.shelf import Shelf
from gateway.mqtt.packets import PublishBatch

_RETAIN: Final = 0x01


class Bookings:
    """Makes bookings. `account` is called with a session whose queue had no room."""

    __slots__ = ("_account", "_clock", "_retaining", "_routes", "_shelf", "arrivals")

    def __init__(
        self, *, clock: Clock, routes: Routes, shelf: Shelf, retaining: Retaining, account: Callable[[Session], None]
    ) -> None:
        self._clock = clock
        self._routes = routes
        self._shelf = shelf
        self._retaining = retaining
        self._account = account
        self.arrivals = 0
        """How many messages came that may be retained (`Message.arrival`)."""

    def book_run(
        self,
        batch: PublishBatch,
        routes: Mapping[bytes, Route],
        *,
        origin: str,
        username: str | None,
        access: str = "",
    ) -> Booking | None:
        """What a run will bring; None when nobody is to get it. `routes` has each of its topics, all allowed."""
        has_retain = batch.any_retain
        found = routes.values()
        has_groups = any(route.groups for route in found)
        audiences = {route.audience for route in found}
        if not has_retain and not has_groups and audiences == {NOBODY}:
            return None
        booking = Booking(batch.qos)
        if has_retain or has_groups or batch.properties is not None:
            for message in self._messages(batch, routes, origin, username, access):
                self._book(booking, message, routes[message.topic.encode()])
            return booking
        qos, topics, payloads = batch.qos, batch.topics, batch.payloads
        if len(audiences) == 1:
            run = Run(topics, payloads, qos=qos, origin=origin, username=username, access=access)
            booking.parts = [(audiences.pop(), run)]
        else:
            for start, stop, audience in _parts(topics, routes):
                if audience is not NOBODY:
                    run = Run(
                        topics[start:stop],
                        payloads[start:stop],
                        qos=qos,
                        origin=origin,
                        username=username,
                        access=access,
                    )
                    booking.parts.append((audience, run))
        if qos:
            for audience, run in booking.parts:
                targets = audience.targets.items()
                if any(target.qos and session.is_durable for session, target in targets):
                    for message in run.messages():
                        self._reserve(booking, message, targets)
        return booking

    def book(self, message: Message) -> Booking:
        """What one message will bring: a will, or what somebody else than a client says."""
        booking = Booking(message.qos)
        self._book(booking, message, self._routes.of_taken(message.topic))
        return booking

    def _messages(
        self, batch: PublishBatch, routes: Mapping[bytes, Route], origin: str, username: str | None, access: str
    ) -> list[Message]:
        """Those of a run that somebody gets or that are to be retained."""
        now_s = self._clock.monotonic_s()
        messages = []
        for i, raw in enumerate(batch.topics):
            route = routes[raw]
            retain = bool(batch.first_bytes[i] & _RETAIN)
            self.arrivals += retain
            if not (retain or route.groups or route.audience is not NOBODY):
                continue
            properties = batch.properties[i] if batch.properties is not None else None
            messages.append(
                Message(
                    topic=route.topic,
                    payload=batch.payloads[i],
                    qos=batch.qos,
                    retain=retain,
                    origin=origin,
                    origin_username=username,
                    origin_access=access,
                    properties=properties,
                    expires_at_s=expiry(properties, now_s),
                    arrival=self.arrivals,
                )
            )
        return messages

    def _book(self, booking: Booking, message: Message, route: Route) -> None:
        picked: list[tuple[Session, Target]] = []
        for turns in route.groups:
            member = turns.pick()
            if member is not None:
                session, held = member
                picked.append((session, shared_target_of(held)))
        booking.entries.append((message, route.audience, picked))
        if message.qos:
            self._reserve(booking, message, route.audience.targets.items())
            self._reserve(booking, message, picked)
        if message.retain:
            change = self._retaining.book(message)
            if change is not None:
                booking.changes.append(change)

    def _reserve(self, booking: Booking, message: Message, targets: Iterable[tuple[Session, Target]]) -> None:
        """Have what the durable sessions among the targets are to get in the open commit."""
        kept: Kept | None = None
        for session, each in targets:
            if not (each.qos and session.is_durable):
                continue
            target = each if session.client_id != message.origin else each.own
            if target is None or not target.qos:
                continue
            booking.durable.add(session)
            kept = kept or Kept(message, 0)
            self.reserve_one(booking, session, flight_to(target, message), kept)

    def reserve_one(self, booking: Booking, session: Session, flight: Flight, kept: Kept) -> None:
        """Have one delivery to a durable session in the open commit, where its queue has room."""
        flight.kept = kept
        flight.is_told = session.client is not None
        if session.outgoing.reserve(flight, self._clock.monotonic_s()):
            self._shelf.give(session.number, flight, kept)
            booking.reserved.append((session, flight))
        if session.outgoing.ended:
            self._account(session)


def flight_to(target: Target, message: Message) -> Flight:
    """A message on its way to one session; it has no packet id yet."""
    return Flight(
        message=message,
        qos=min(message.qos, target.qos),
        retain=message.retain and target.retain_as_published,
        identifiers=target.identifiers,
        group=target.group,
    )


def _parts(topics: Sequence[bytes], routes: Mapping[bytes, Route]) -> Iterator[tuple[int, int, Audience]]:
    """(start, stop, audience) of each stretch of a run that has one audience."""
    start = 0
    current = routes[topics[0]].audience
    for i, topic in enumerate(topics):
        audience = routes[topic].audience
        if audience is not current:
            yield start, i, current
            start, current = i, audience
    yield start, len(topics), current
