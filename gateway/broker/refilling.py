"""Retained messages on their way to a client: into its session's queue as that drains."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from gateway.broker.agenda import soon
from gateway.broker.commons import Party
from gateway.broker.flight import Flight
from gateway.broker.held import Held
from gateway.broker.message import Message
from gateway.broker.retained_feed import RetainedFeed
from gateway.broker.session import Session

REFILL_MESSAGES: Final = 64
MAX_REFILLS: Final = 16
"""So many go into the queue at a time, and so often in one turn of the loop."""


def send_retained(client: Party, topic_filters: Sequence[str], arrivals: int) -> None:
    """Give the client what is retained below the filters, as far as it is still subscribed to them.

    Not before all who waited for this commit have heard of its end: what was retained with it is known then.
    """
    if topic_filters:
        soon(partial(_begin, client, topic_filters, arrivals))


def _begin(client: Party, topic_filters: Sequence[str], arrivals: int) -> None:
    session, commons = client.session, client.commons
    feed = session.feed
    if feed is None:
        feed = session.feed = RetainedFeed(session.subscriptions)
    now_s = commons.clock.monotonic_s()
    for topic_filter in topic_filters:
        feed.add(topic_filter, commons.retained.match(topic_filter, now_s), arrivals)
    (session.client or client).refill()  # the session may have another connection by now


def refill(client: Party, feed: RetainedFeed) -> None:
    """Put more into the session's queue, as far as that drains; the rest when it has, or others had their turn."""
    if feed.is_refilling or client.sending.is_settling:
        return
    feed.is_refilling = True
    session = client.session
    try:
        for _ in range(MAX_REFILLS):
            if not client.is_writable or session.outgoing.queued >= REFILL_MESSAGES:
                return
            if not _refill_once(client, feed):
                return
            if not feed:
                session.feed = None
                client.sending.pump()
                return
            client.sending.pump()
    finally:
        feed.is_refilling = False
    soon(client.refill)


def _refill_once(client: Party, feed: RetainedFeed) -> bool:
    """False when the queue could not take all that it was given, and has to drain first."""
    session, commons = client.session, client.commons
    outgoing = session.outgoing
    is_wanted = partial(_is_wanted, client, session)
    found = feed.take(REFILL_MESSAGES, commons.clock.monotonic_s(), is_wanted)
    for i, (message, held) in enumerate(found):
        qos = min(message.qos, held.subscription.qos)
        identifiers = () if held.identifier is None else (held.identifier,)
        flight = Flight(message=message, qos=qos, retain=True, identifiers=identifiers)
        # Where nothing waits and there still is no room, others have it all: it is dropped, and counted.
        if outgoing.queued and outgoing.is_full_for(flight):
            feed.put_back(found[i:])
            client.sending.pump()
            return outgoing.queued == 0
        commons.delivery.offer(session, message, qos=qos, retain=True, identifiers=identifiers)
    return True


def _is_wanted(client: Party, session: Session, message: Message, held: Held) -> bool:
    """Whether the session may have it, and its publisher may still publish it."""
    if held.subscription.no_local and message.origin == session.client_id:
        return False
    rights = session.rights
    return (
        rights.is_unlimited or rights.may_read(message.topic)
    ) and client.commons.sessions.entitlements.may_still_publish(message)
