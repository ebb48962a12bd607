"""The retained messages that a session's new subscriptions still have to get (MQTT 5 §3.3.1.3).

They may be more than a queue holds. So they are not put there at once, but taken from what is retained as the queue
drains; a walk through it holds a few words of memory, whatever it finds. What changes meanwhile is given as it is then.
A feed outlives the connection, as its session does, but not the gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.broker.flight import Flight
from gateway.broker.held import Held
from gateway.broker.message import Message
from gateway.broker.retained import Matches
from gateway.broker.session import Session

if TYPE_CHECKING:
    from gateway.broker.client import Client

REFILL_MESSAGES: Final = 64
MAX_REFILLS: Final = 16
"""So many go into the queue at a time, and so often in one turn of the loop."""


class RetainedFeed:
    """One session's walks, oldest first. `may_come` says whether a message's publisher may still publish it."""

    __slots__ = ("_is_refilling", "_left", "_may_come", "_session", "_walks")

    def __init__(self, session: Session, may_come: Callable[[Message], bool]) -> None:
        self._session = session
        self._may_come = may_come
        self._walks: dict[str, tuple[Matches, int]] = {}
        self._is_refilling = False
        self._left: list[tuple[Message, Held]] = []
        """There was no room for these: they are the next."""

    def __bool__(self) -> bool:
        return bool(self._walks or self._left)

    def add(self, topic_filter: str, matches: Matches, arrivals: int) -> None:
        """A new subscription to the filter: one more walk. What came after `arrivals` was given to it as it came."""
        held = self._session.subscriptions
        if len(self._walks) >= len(held):  # some are of filters that were unsubscribed, while the queue was full
            self._walks = {each: walk for each, walk in self._walks.items() if each in held}
        self._walks.pop(topic_filter, None)  # what it had left is in the new one, too
        self._walks[topic_filter] = (matches, arrivals)

    def refill(self, client: Client) -> None:
        """Put more into the session's queue, as far as that drains; the rest when it has, or others had their turn."""
        if self._is_refilling or client.sending.is_settling:
            return
        self._is_refilling = True
        try:
            for _ in range(MAX_REFILLS):
                if not client.is_writable or self._session.outgoing.queued >= REFILL_MESSAGES:
                    return
                if not self._refill_once(client):
                    return
                if not self:
                    self._session.feed = None
                    client.sending.pump()
                    return
                client.sending.pump()
        finally:
            self._is_refilling = False
        client.broker.soon(client.refill)

    def _refill_once(self, client: Client) -> bool:
        """False when the queue could not take all that it was given, and has to drain first."""
        session = self._session
        outgoing = session.outgoing
        found = self._next_few(REFILL_MESSAGES, client.broker.clock.monotonic_s())
        for i, (message, held) in enumerate(found):
            qos = min(message.qos, held.subscription.qos)
            identifiers = () if held.identifier is None else (held.identifier,)
            flight = Flight(message=message, qos=qos, retain=True, identifiers=identifiers)
            # Where nothing waits and there still is no room, others have it all: it is dropped, and counted.
            if outgoing.queued and outgoing.is_full_for(flight):
                self._left = found[i:]
                client.sending.pump()
                return outgoing.queued == 0
            client.broker.delivery.offer(session, message, qos=qos, retain=True, identifiers=identifiers)
        return True

    def _next_few(self, max_messages: int, now_s: float) -> list[tuple[Message, Held]]:
        """Some messages with the subscriptions that they are for; none, also when only so much work was enough."""
        if self._left:
            left, self._left = self._left, []
            # Rights may have changed since.
            return [(message, held) for message, held in left if self._is_wanted(message, held)]
        walks = self._walks
        while walks:
            topic_filter, (matches, arrivals) = next(iter(walks.items()))
            held = self._session.subscriptions.get(topic_filter)
            if held is None:  # unsubscribed meanwhile
                del walks[topic_filter]
                continue
            found = [
                (message, held)
                for message in matches.take(max_messages, now_s)
                if message.arrival <= arrivals and self._is_wanted(message, held)
            ]
            if matches.is_done:
                del walks[topic_filter]
            return found
        return []

    def _is_wanted(self, message: Message, held: Held) -> bool:
        session = self._session
        if held.subscription.no_local and message.origin == session.client_id:
            return False
        rights = session.rights
        return (rights.is_unlimited or rights.may_read(message.topic)) and self._may_come(message)
