"""The publishing of a will: as its client would have done it (MQTT 5 §3.1.2.5)."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from bridge.record import FLAG_QOS_SHIFT
from gateway.broker.agenda import soon
from gateway.broker.commons import Commons
from gateway.broker.message import Message, expiry
from gateway.broker.outcomes import REASONS, WORDS
from gateway.broker.session import Session
from gateway.broker.watch import show
from gateway.mqtt.packets import Will
from gateway.spool.ports import Outcome

logger = logging.getLogger(__name__)

_FIXED_BYTES: Final = 6
"""What a PUBLISH of a short will has on the wire beside topic and payload."""


def publish_will(commons: Commons, session: Session, will: Will) -> None:
    """Store the will, and give it to local subscribers when the commit has ended; if it is allowed."""
    client_id = session.client_id
    if not session.rights.may_publish(will.topic):
        # It was allowed when the client connected; the rules of now are those that hold.
        commons.counters.refused["not_authorized"] += 1
        logger.info("The will of client %.100r to %.100r is not published: not allowed.", client_id, will.topic)
        return
    commons.counters.wills += 1
    raw = will.topic.encode()
    store = commons.store
    route = commons.routes.of_taken(will.topic)
    stream = route.stream
    now_us = commons.clock.now_us()
    flags = bytes([will.qos << FLAG_QOS_SHIFT | will.retain])
    properties = None if will.properties is None else [will.properties]
    is_stored = stream is not None and store.has_room
    if stream is not None and is_stored:
        store.append(
            stream,
            client=client_id,
            now_us=now_us,
            topics=[raw],
            payloads=[will.payload],
            flags=flags,
            plain_size_bytes=len(raw) + len(will.payload) + _FIXED_BYTES,
            properties=properties,
        )
    if commons.traffic is not None and (is_stored or stream is None):
        commons.traffic.saw(client_id, now_us, [raw], [will.payload], flags, properties)
    commons.delivery.arrivals += will.retain
    message = Message(
        topic=will.topic,
        payload=will.payload,
        qos=will.qos,
        retain=will.retain,
        origin=client_id,
        origin_username=session.username,
        origin_access=session.access,
        properties=will.properties,
        expires_at_s=expiry(will.properties, commons.clock.monotonic_s()),
        arrival=commons.delivery.arrivals,
    )
    booking = commons.delivery.book(message)

    def committed(outcome: Outcome) -> None:
        refusal = "full" if stream is not None and not is_stored else WORDS.get(REASONS[outcome])
        commons.counters.count_publishes(1, None if stream is None else refusal)
        if outcome is Outcome.DURABLE and (is_stored or stream is None):
            show(message, now_us, route.watches)
        # Nobody waits for an answer to a will: local subscribers get it also when it could not be stored. They get it
        # after what its client published before [MQTT-4.6.0-5], which may be told of this commit's end later.
        soon(partial(commons.delivery.settle, booking, is_stored=outcome is Outcome.DURABLE, is_taken=True))

    store.after_commit(commons.actions, committed)
