"""MQTT 5 properties (§2.2.2): which there are, their data types, where each may stand, and their bytes.

A block of properties is a variable byte integer with its length, then pairs of identifier and value. A property that is
not allowed in a packet, or a value of the wrong type, makes the packet malformed; one that comes twice is a protocol
error, except User Property anywhere and Subscription Identifier in a PUBLISH (§2.2.2.2, §3.3.2.3.8).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.mqtt.cursor import Cursor
from gateway.mqtt.errors import LimitExceeded, MalformedPacket, ProtocolError
from gateway.mqtt.strings import encode_binary, encode_text, encode_varint


class Property(enum.IntEnum):
    """The identifiers of §2.2.2.2."""

    PAYLOAD_FORMAT_INDICATOR = 0x01
    MESSAGE_EXPIRY_INTERVAL = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY_INTERVAL = 0x11
    ASSIGNED_CLIENT_IDENTIFIER = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY_INTERVAL = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2A


P = Property
PropertyMap = dict[Property, Any]
"""Values as int, str or bytes; User Property a tuple of pairs, Subscription Identifier in a PUBLISH a tuple of ints."""

_MESSAGE: Final = frozenset(
    {
        P.PAYLOAD_FORMAT_INDICATOR,
        P.MESSAGE_EXPIRY_INTERVAL,
        P.CONTENT_TYPE,
        P.RESPONSE_TOPIC,
        P.CORRELATION_DATA,
        P.USER_PROPERTY,
    }
)
_ANSWER: Final = frozenset({P.REASON_STRING, P.USER_PROPERTY})


class Place(enum.Enum):
    """Where a client may write properties, and which of them."""

    CONNECT = (
        "CONNECT",
        frozenset(
            {
                P.SESSION_EXPIRY_INTERVAL,
                P.RECEIVE_MAXIMUM,
                P.MAXIMUM_PACKET_SIZE,
                P.TOPIC_ALIAS_MAXIMUM,
                P.REQUEST_RESPONSE_INFORMATION,
                P.REQUEST_PROBLEM_INFORMATION,
                P.USER_PROPERTY,
                P.AUTHENTICATION_METHOD,
                P.AUTHENTICATION_DATA,
            }
        ),
    )
    WILL = "Will", _MESSAGE | {P.WILL_DELAY_INTERVAL}
    PUBLISH = "PUBLISH", _MESSAGE | {P.TOPIC_ALIAS, P.SUBSCRIPTION_IDENTIFIER}
    PUBACK = "PUBACK", _ANSWER
    PUBREC = "PUBREC", _ANSWER
    PUBREL = "PUBREL", _ANSWER
    PUBCOMP = "PUBCOMP", _ANSWER
    SUBSCRIBE = "SUBSCRIBE", frozenset({P.SUBSCRIPTION_IDENTIFIER, P.USER_PROPERTY})
    UNSUBSCRIBE = "UNSUBSCRIBE", frozenset({P.USER_PROPERTY})
    DISCONNECT = "DISCONNECT", frozenset({P.SESSION_EXPIRY_INTERVAL, P.REASON_STRING, P.USER_PROPERTY})
    AUTH = "AUTH", frozenset({P.AUTHENTICATION_METHOD, P.AUTHENTICATION_DATA, P.REASON_STRING, P.USER_PROPERTY})

    def __init__(self, packet: str, allowed: frozenset[Property]) -> None:
        self.packet = packet
        self.allowed = allowed


def _pair(cursor: Cursor, what: str) -> tuple[str, str]:
    return cursor.text(what), cursor.text(what)


def _encode_pair(value: tuple[str, str]) -> bytes:
    return encode_text(value[0]) + encode_text(value[1])


_Codec = tuple[Callable[[Cursor, str], Any], Callable[[Any], bytes]]
_BYTE: Final[_Codec] = Cursor.byte, lambda value: bytes((value,))
_TWO: Final[_Codec] = Cursor.two, lambda value: int(value).to_bytes(2, "big")
_FOUR: Final[_Codec] = Cursor.four, lambda value: int(value).to_bytes(4, "big")
_VARINT: Final[_Codec] = Cursor.varint, encode_varint
_TEXT: Final[_Codec] = Cursor.text, encode_text
_NAME: Final[_Codec] = Cursor.identifier, encode_text
_BINARY: Final[_Codec] = Cursor.binary, encode_binary
_PAIR: Final[_Codec] = _pair, _encode_pair

_CODECS: Final[dict[Property, _Codec]] = {
    P.PAYLOAD_FORMAT_INDICATOR: _BYTE,
    P.MESSAGE_EXPIRY_INTERVAL: _FOUR,
    P.CONTENT_TYPE: _TEXT,
    P.RESPONSE_TOPIC: _NAME,
    P.CORRELATION_DATA: _BINARY,
    P.SUBSCRIPTION_IDENTIFIER: _VARINT,
    P.SESSION_EXPIRY_INTERVAL: _FOUR,
    P.ASSIGNED_CLIENT_IDENTIFIER: _TEXT,
    P.SERVER_KEEP_ALIVE: _TWO,
    P.AUTHENTICATION_METHOD: _TEXT,
    P.AUTHENTICATION_DATA: _BINARY,
    P.REQUEST_PROBLEM_INFORMATION: _BYTE,
    P.WILL_DELAY_INTERVAL: _FOUR,
    P.REQUEST_RESPONSE_INFORMATION: _BYTE,
    P.RESPONSE_INFORMATION: _TEXT,
    P.SERVER_REFERENCE: _TEXT,
    P.REASON_STRING: _TEXT,
    P.RECEIVE_MAXIMUM: _TWO,
    P.TOPIC_ALIAS_MAXIMUM: _TWO,
    P.TOPIC_ALIAS: _TWO,
    P.MAXIMUM_QOS: _BYTE,
    P.RETAIN_AVAILABLE: _BYTE,
    P.USER_PROPERTY: _PAIR,
    P.MAXIMUM_PACKET_SIZE: _FOUR,
    P.WILDCARD_SUBSCRIPTION_AVAILABLE: _BYTE,
    P.SUBSCRIPTION_IDENTIFIER_AVAILABLE: _BYTE,
    P.SHARED_SUBSCRIPTION_AVAILABLE: _BYTE,
}
_NAMES: Final = {item: item.name.replace("_", " ").title() for item in Property}
_KNOWN: Final = {int(item): item for item in Property}
_REPEATABLE: Final = frozenset({P.USER_PROPERTY, P.SUBSCRIPTION_IDENTIFIER})
_FLAGS: Final = frozenset({P.PAYLOAD_FORMAT_INDICATOR, P.REQUEST_PROBLEM_INFORMATION, P.REQUEST_RESPONSE_INFORMATION})
_NOT_ZERO: Final = frozenset({P.RECEIVE_MAXIMUM, P.MAXIMUM_PACKET_SIZE, P.SUBSCRIPTION_IDENTIFIER})


def read_properties(cursor: Cursor, place: Place) -> PropertyMap:
    """The block of properties at the cursor, its length first. Raises MalformedPacket, ProtocolError, LimitExceeded."""
    length = cursor.varint("property length")
    end = cursor.pos + length
    if end > cursor.end:
        raise MalformedPacket(f"The {place.packet} properties run past the end of the packet.")
    packet_end, cursor.end = cursor.end, end
    found = read_pairs(cursor, place)
    cursor.end = packet_end
    return found


def read_pairs(cursor: Cursor, place: Place) -> PropertyMap:
    """The properties from the cursor to its end."""
    found: PropertyMap = {}
    repeated: dict[Property, list[Any]] = {}
    while cursor.left:
        number = cursor.varint("property identifier")
        item = _KNOWN.get(number)
        if item is None or item not in place.allowed:
            raise MalformedPacket(f"The property 0x{number:02X} is not allowed in {place.packet}.")
        name = _NAMES[item]
        value = _CODECS[item][0](cursor, name)
        if (item in _FLAGS and value > 1) or (item in _NOT_ZERO and value == 0):
            raise ProtocolError(f"The property {name} of {place.packet} must not have the value {value}.")
        if item is P.USER_PROPERTY or (item is P.SUBSCRIPTION_IDENTIFIER and place is Place.PUBLISH):
            values = repeated.setdefault(item, [])
            values.append(value)
            if len(values) > cursor.limits.max_user_properties:
                raise LimitExceeded(
                    f"{place.packet} has more than {cursor.limits.max_user_properties} properties {name}."
                )
        elif item in found:
            raise ProtocolError(f"The property {name} comes twice in {place.packet}.")
        else:
            found[item] = value
    for item, several in repeated.items():
        found[item] = tuple(several)
    return found


def encode_pairs(values: Mapping[Property, Any]) -> bytes:
    """Identifiers and values end to end, without the length; a value of None is left out. Raises ValueError."""
    parts: list[bytes] = []
    for item, value in values.items():
        if value is None:
            continue
        encode = _CODECS[item][1]
        identifier = bytes((item,))
        if item in _REPEATABLE:
            parts.extend(identifier + encode(entry) for entry in value)
        else:
            parts.append(identifier + encode(value))
    return b"".join(parts)
