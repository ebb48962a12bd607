"""The publishing of a will: as its client would have done it (MQTT 5 §3.1.2.5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bridge.record import FLAG_QOS_SHIFT
from gateway.broker.exchanges import REASONS, WORDS
from gateway.broker.message import Message, expiry
from gateway.broker.watch import show
from gateway.mqtt.packets import Will
from gateway.spool.ports import Outcome

if TYPE_CHECKING:
    from gateway.broker.broker import Broker

_FIXED_BYTES = 6
"""What a PUBLISH of a short will has on the wire beside topic and payload."""


def publish_will(broker: Broker, client_id: str, will: Will, *, username: str | None = None, access: str = "") -> None:
    """Store the will, and give it to local subscribers when the commit has ended; that it is allowed is known."""
    broker.counters.wills += 1
    raw = will.topic.encode()
    store = broker.store
    route = broker.routes[raw]
    stream = route.stream
    now_us = broker.clock.now_us()
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
    if broker.traffic is not None and (is_stored or stream is None):
        broker.traffic.saw(client_id, now_us, [raw], [will.payload], flags, properties)
    broker.delivery.arrivals += will.retain
    message = Message(
        topic=will.topic,
        payload=will.payload,
        qos=will.qos,
        retain=will.retain,
        origin=client_id,
        origin_username=username,
        origin_access=access,
        properties=will.properties,
        expires_at_s=expiry(will.properties, broker.clock.monotonic_s()),
        arrival=broker.delivery.arrivals,
    )
    booking = broker.delivery.book(message)

    def committed(outcome: Outcome) -> None:
        refusal = "full" if stream is not None and not is_stored else WORDS.get(REASONS[outcome])
        broker.counters.count_publishes(1, None if stream is None else refusal)
        if outcome is Outcome.DURABLE and (is_stored or stream is None):
            show(message, now_us, route.watches)
        # Nobody waits for an answer to a will: local subscribers get it also when it could not be stored. They get it
        # after what its client published before [MQTT-4.6.0-5], which may be told of this commit's end later.
        broker.soon(partial(broker.delivery.settle, booking, is_stored=outcome is Outcome.DURABLE, is_taken=True))

    store.after_commit(broker, committed)
