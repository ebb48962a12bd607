"""What waits on disk for sessions: each message once, and for each session that it is to get it.

Two tables of the store. MESSAGE: a number that grows, to the message (`Message.pack`). DELIVERY: the session's number
times 2^32 plus a place in its queue, to a MessagePack array:

    [1, number of the message, packet id, step, QoS, retain, subscription identifiers, shared subscription, is sent]

Step: 0 waits for PUBACK, 1 for PUBREC, 2 for PUBCOMP. The shared subscription is the filter that picked the session,
`$share/name/filter`, or None. The last one says whether its subscriber was there, so that it may have been sent. For
those that came while he was not, the place 2^32 - 1 holds [1, place] when he has come: all before that place may have
been sent. Places go round before it: a session's rows are in the order of their places, beginning behind the widest
space between them. A message row goes with its last delivery; how many there are is only counted in
memory, and messages that none points to are swept at start.
"""

from __future__ import annotations

import logging
from collections.abc import Container
from typing import Any, Final

import msgpack

from bridge.ports import Clock
from gateway.broker.flight import Flight, Kept, Step
from gateway.broker.message import Message, MessageUnreadable
from gateway.broker.outgoing import PLACES
from gateway.spool.ports import Store, Table

logger = logging.getLogger(__name__)

_KEYS: Final = 1 << 32
_MARK: Final = _KEYS - 1
_VERSION: Final = 1
_STEPS: Final = (Step.PUBACK, Step.PUBREC, Step.PUBCOMP)
_NUMBERS: Final = {step: number for number, step in enumerate(_STEPS)}


class Shelf:
    """The rows of both tables; every change goes with the store's open commit."""

    __slots__ = ("_clock", "_last_number", "_store", "set_aside")

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last_number = 0
        self.set_aside: dict[int, int] = {}
        """Numbers of sessions that cannot be read, and how many messages wait for each."""

    def give(self, session_number: int, flight: Flight, kept: Kept) -> None:
        """Keep that the session is to get the message, and the message itself, if this is the first one."""
        if not kept.number:
            self._last_number += 1
            kept.number = self._last_number
            body = kept.message.pack(now_s=self._clock.monotonic_s(), now_us=self._clock.now_us())
            self._store.keep(Table.MESSAGE, kept.number, body)
        self.note(session_number, flight, kept)

    def note(self, session_number: int, flight: Flight, kept: Kept, step: Step | None = None) -> None:
        """Keep how far the delivery is: at `step`, where that is not yet the flight's own."""
        body: bytes = msgpack.packb(
            [
                _VERSION,
                kept.number,
                flight.packet_id,
                _NUMBERS[step or flight.step],
                flight.qos,
                flight.retain,
                flight.identifiers,
                flight.group,
                flight.is_told,
            ]
        )
        self._store.keep(Table.DELIVERY, session_number * _KEYS + flight.place, body)

    def mark(self, session_number: int, place: int) -> None:
        """Keep that all of the session's deliveries before this place may have been sent."""
        body: bytes = msgpack.packb([_VERSION, place])
        self._store.keep(Table.DELIVERY, session_number * _KEYS + _MARK, body)

    def clear(self, session_number: int, flight: Flight) -> None:
        """The delivery is over."""
        self._store.discard(Table.DELIVERY, session_number * _KEYS + flight.place)
        self.let_go(flight)

    def let_go(self, flight: Flight) -> None:
        """The message goes when nobody holds it any more; `clear` without the delivery's own row."""
        kept = flight.kept
        if kept is not None and kept.number and not kept.holders:
            self._store.discard(Table.MESSAGE, kept.number)
            kept.number = 0

    def clear_session(self, session_number: int) -> None:
        """Nothing is to be delivered to the session any more; the messages are let go by their flights."""
        first = session_number * _KEYS
        self._store.discard_range(Table.DELIVERY, first, first + _KEYS - 1)

    def load(self, session_numbers: Container[int], *, is_complete: bool = True) -> dict[int, tuple[list[Flight], int]]:
        """What was on disk at start, by session number: what waits, in order, and the next place.

        What belongs to nobody is discarded. Where some sessions could not be read (not `is_complete`), it may be theirs
        and was acknowledged: it stays on disk, and is given to nobody.
        """
        messages = self._load_messages(is_complete=is_complete)
        rows: dict[int, list[tuple[int, bytes]]] = {}
        for key, body in self._store.load(Table.DELIVERY):
            number, place = divmod(int(key), _KEYS)
            rows.setdefault(number, []).append((place, body))
        found: dict[int, tuple[list[Flight], int]] = {}
        wanted: set[int] = set()
        for number, places in rows.items():
            if number not in session_numbers:
                if is_complete:
                    self.clear_session(number)
                else:
                    wanted |= self._set_aside(number, places, messages)
                continue
            flights: dict[int, Flight] = {}
            mark = _mark(places.pop()[1]) if places[-1][0] == _MARK else None
            for place, body in _in_order(places):
                flight = _flight(place, body, messages)
                if flight is None or flight.kept is None:
                    logger.warning("A message that waits for a session is left out: its row cannot be read.")
                    self._store.discard(Table.DELIVERY, number * _KEYS + place)
                    continue
                flight.is_told |= mark is not None and 0 < (mark - place) % PLACES < PLACES // 2
                before = flights.pop(flight.packet_id, None)
                if before is not None:  # cannot be; but an id must not stand for two
                    self._store.discard(Table.DELIVERY, number * _KEYS + before.place)
                flights[flight.packet_id] = flight
            wanted.update(flight.kept.number for flight in flights.values() if flight.kept is not None)
            found[number] = list(flights.values()), _next_place(list(flights.values()), mark)
        for message_number in messages:
            if message_number not in wanted:
                self._store.discard(Table.MESSAGE, message_number)
        return found

    def _set_aside(self, session_number: int, rows: list[tuple[int, bytes]], messages: dict[int, Kept]) -> set[int]:
        """Leave a session's rows where they are; returns the messages that they need."""
        needed = set()
        for place, body in rows:
            flight = _flight(place, body, messages)
            if flight is not None and flight.kept is not None:
                flight.kept.holders += 1  # which nobody lets go of
                needed.add(flight.kept.number)
        self.set_aside[session_number] = sum(place != _MARK for place, _ in rows)
        return needed

    def _load_messages(self, *, is_complete: bool) -> dict[int, Kept]:
        messages: dict[int, Kept] = {}
        now_s, now_us = self._clock.monotonic_s(), self._clock.now_us()
        for key, body in self._store.load(Table.MESSAGE):
            number = int(key)
            self._last_number = max(self._last_number, number)
            try:
                messages[number] = Kept(Message.unpack(body, now_s=now_s, now_us=now_us), number)
            except MessageUnreadable as error:
                logger.warning("The stored message %d is left out: it cannot be read. %s", number, error)
                if is_complete:
                    self._store.discard(Table.MESSAGE, number)
        return messages


def _next_place(flights: list[Flight], mark: int | None) -> int:
    """Behind the last that waits, and no place that the mark says was sent: the next one was not."""
    if not flights:
        return mark or 0
    place = (flights[-1].place + 1) % PLACES
    return mark if mark is not None and (mark - place) % PLACES < PLACES // 2 else place


def _in_order(rows: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The rows of one session, sorted by place, from where they begin: places go round."""
    if not rows or rows[-1][0] - rows[0][0] < PLACES // 2:
        return rows
    spaces = [(rows[i][0] - rows[i - 1][0]) % PLACES for i in range(len(rows))]
    begin = max(range(len(rows)), key=spaces.__getitem__)
    return rows[begin:] + rows[:begin]


def _flight(place: int, body: bytes, messages: dict[int, Kept]) -> Flight | None:
    try:
        version, number, packet_id, step, qos, retain, identifiers, group, is_told = msgpack.unpackb(body)
        kept = messages.get(number)
        if version != _VERSION or kept is None or not 1 <= packet_id <= 65535 or qos not in {1, 2}:
            return None
        return Flight(
            message=kept.message,
            qos=qos,
            retain=bool(retain),
            identifiers=_identifiers(identifiers),
            packet_id=packet_id,
            step=_STEPS[step],
            kept=kept,
            place=place,
            group=None if group is None else str(group),
            is_told=bool(is_told),
        )
    except (ValueError, TypeError, IndexError, msgpack.UnpackException):
        return None


def _mark(body: bytes) -> int | None:
    try:
        version, place = msgpack.unpackb(body)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    return place if version == _VERSION and isinstance(place, int) and 0 <= place < PLACES else None


def _identifiers(values: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in values)
