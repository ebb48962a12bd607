"""The properties of a PUBLISH, parsed once for all the packets that carry the same bytes.

Devices repeat themselves: thousands of PUBLISHes with the same content type and user properties. So the block of
properties is a key, and a repeated one costs one dict lookup and yields the identical `Properties`, which the store
compares by identity. The cache is bounded in entries and in bytes; when it is full it begins anew, because what
devices repeat comes back at once.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

from bridge.record import Properties
from config.settings import Limits
from gateway.mqtt.cursor import DEFAULT_LIMITS, Cursor
from gateway.mqtt.errors import ProtocolError, TopicAliasInvalid
from gateway.mqtt.properties import P, Place, PropertyMap, encode_pairs, read_pairs

MAX_ENTRIES: Final = 1024
MAX_KEY_BYTES: Final = 512
"""Longer blocks are parsed each time. An entry of short pairs takes twenty times its key: all together, some 12 MB."""


class PublishProperties(NamedTuple):
    """What a PUBLISH's properties say; `topic_alias` 0 is none, `properties` None when nothing travels on."""

    topic_alias: int
    subscription_identifiers: tuple[int, ...]
    properties: Properties | None


def message_properties(found: PropertyMap, packet: str) -> Properties | None:
    """The properties that travel with a message (§3.3.2.3), of a PUBLISH or a will; None when there are none.

    Raises ProtocolError for a response topic with wildcards or without characters [MQTT-3.3.2-14].
    """
    response_topic = found.get(P.RESPONSE_TOPIC)
    if response_topic is not None and (not response_topic or "+" in response_topic or "#" in response_topic):
        raise ProtocolError(f"The Response Topic of {packet} is empty or contains a wildcard.")
    result = Properties(
        payload_format_indicator=found.get(P.PAYLOAD_FORMAT_INDICATOR),
        message_expiry_interval=found.get(P.MESSAGE_EXPIRY_INTERVAL),
        content_type=found.get(P.CONTENT_TYPE),
        response_topic=response_topic,
        correlation_data=found.get(P.CORRELATION_DATA),
        user_property=found.get(P.USER_PROPERTY, ()),
    )
    return result if result.to_map() else None


def parse_publish_properties(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> PublishProperties:
    """Parse the block without its length. Raises MalformedPacket, ProtocolError, LimitExceeded, TopicAliasInvalid."""
    found = read_pairs(Cursor(raw, packet="PUBLISH", limits=limits), Place.PUBLISH)
    alias = found.get(P.TOPIC_ALIAS)
    if alias == 0:
        raise TopicAliasInvalid("A topic alias must not be 0.")  # [MQTT-3.3.2-8]
    return PublishProperties(alias or 0, found.get(P.SUBSCRIPTION_IDENTIFIER, ()), message_properties(found, "PUBLISH"))


class PublishPropertyCache(dict[bytes, PublishProperties]):
    """`cache[raw]` parses what it has not seen; raises as `parse_publish_properties` does, and then keeps nothing."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()
        self._limits = limits

    def __missing__(self, raw: bytes) -> PublishProperties:
        parsed = parse_publish_properties(raw, self._limits)
        if len(raw) <= MAX_KEY_BYTES:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[raw] = parsed
        return parsed


@functools.cache
def shared_cache(limits: Limits) -> PublishPropertyCache:
    """One for the process, since the devices of a site resemble each other; the limits of a process are the same."""
    return PublishPropertyCache(limits)


def encode_publish_properties(
    properties: Properties | None,
    *,
    topic_alias: int | None = None,
    subscription_identifiers: tuple[int, ...] = (),
    message_expiry_interval_s: int | None = None,
) -> bytes:
    """The block without its length, for a PUBLISH to a subscriber.

    `message_expiry_interval_s` replaces the publisher's: what is left of it [MQTT-3.3.2-6].
    """
    values: PropertyMap = {}
    if properties is not None:
        expiry = properties.message_expiry_interval if message_expiry_interval_s is None else message_expiry_interval_s
        values = {
            P.PAYLOAD_FORMAT_INDICATOR: properties.payload_format_indicator,
            P.MESSAGE_EXPIRY_INTERVAL: expiry,
            P.CONTENT_TYPE: properties.content_type,
            P.RESPONSE_TOPIC: properties.response_topic,
            P.CORRELATION_DATA: properties.correlation_data,
            P.USER_PROPERTY: properties.user_property,
        }
    if topic_alias is not None:
        values[P.TOPIC_ALIAS] = topic_alias
    if subscription_identifiers:
        values[P.SUBSCRIPTION_IDENTIFIER] = subscription_identifiers
    return encode_pairs(values)
