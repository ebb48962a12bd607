"""The packets of a server as bytes, for MQTT 3.1, 3.1.1 and 5.0.

Functions of values; none keeps state. Where MQTT 5 gives a client the right to bound what it gets,
`max_packet_size_bytes` is that bound: Reason String and User Properties are left out of an answer that would be longer
(§3.2.2.3.9 and its like), and where even the rest is too long the answer is empty: close without one. A PUBLISH that is
too long has to be dropped by the caller, who counts it [MQTT-3.1.2-24].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bridge.record import Properties
from gateway.mqtt.packets import Version
from gateway.mqtt.properties import P, Property, encode_pairs
from gateway.mqtt.publish_properties import encode_publish_properties
from gateway.mqtt.reason_codes import connack_return_code, suback_return_code
from gateway.mqtt.strings import encode_varint

UserProperty = tuple[tuple[str, str], ...]

PINGRESP: Final = b"\xd0\x00"
"""The whole packet (§3.13)."""


def _packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((first,)) + encode_varint(len(body)) + body


def _block(values: Mapping[Property, Any]) -> bytes:
    pairs = encode_pairs(values)
    return encode_varint(len(pairs)) + pairs


def _explained(
    first: int,
    before: bytes,
    after: bytes,
    values: dict[Property, Any],
    reason_string: str | None,
    user_property: UserProperty,
    max_packet_size_bytes: int | None,
) -> bytes:
    """A packet with as many explanations as the client's Maximum Packet Size has room for; empty if none fits."""
    explanations: tuple[dict[Property, Any], ...] = ({},)
    if reason_string and user_property:
        explanations = (
            {P.REASON_STRING: reason_string, P.USER_PROPERTY: user_property},
            {P.REASON_STRING: reason_string},
            {},
        )
    elif reason_string:
        explanations = ({P.REASON_STRING: reason_string}, {})
    elif user_property:
        explanations = ({P.USER_PROPERTY: user_property}, {})
    for explanation in explanations:
        packet = _packet(first, before, _block(values | explanation), after)
        if max_packet_size_bytes is None or len(packet) <= max_packet_size_bytes:
            return packet
    return b""


def connack(
    *,
    version: Version,
    session_present: bool = False,
    reason_code: int = 0,
    properties: Mapping[Property, Any] | None = None,
    reason_string: str | None = None,
    user_property: UserProperty = (),
    max_packet_size_bytes: int | None = None,
) -> bytes:
    """CONNACK (§3.2). `reason_code` is MQTT 5's for every version; `properties` and the rest are MQTT 5 only.

    For 3.1 and 3.1.1 the answer is empty where that version has no return code for the reason: close without one.
    """
    flags = bytes((session_present and reason_code == 0,))  # [MQTT-3.2.2-6]
    if version is not Version.V5:
        code = connack_return_code(reason_code)
        if code is None:
            return b""
        if version is Version.V31:
            flags = b"\0"  # reserved there
        return b"\x20\x02" + flags + bytes((code,))
    before = flags + bytes((reason_code,))
    return _explained(0x20, before, b"", dict(properties or {}), reason_string, user_property, max_packet_size_bytes)


def _answers(first: int, packet_ids: Sequence[bytes], reason_code: int, version: Version) -> bytes:
    """A whole run of PUBACK, PUBREC, PUBREL or PUBCOMP in one: one join, however many there are."""
    if not packet_ids:
        return b""
    if reason_code == 0 or version is not Version.V5:
        head = bytes((first, 2))
        return head + head.join(packet_ids)
    head = bytes((first, 3))
    tail = bytes((reason_code,))
    return head + (tail + head).join(packet_ids) + tail


def pubacks(packet_ids: Sequence[bytes], reason_code: int = 0, *, version: Version) -> bytes:
    """A PUBACK for each two-byte id (§3.4).

    Empty for an error before MQTT 5, which has no way to say it: what is not acknowledged is sent again.
    """
    if reason_code >= 0x80 and version is not Version.V5:
        return b""
    return _answers(0x40, packet_ids, reason_code, version)


def pubrecs(packet_ids: Sequence[bytes], reason_code: int = 0, *, version: Version) -> bytes:
    """A PUBREC for each id (§3.5); empty for an error before MQTT 5, as with `pubacks`."""
    if reason_code >= 0x80 and version is not Version.V5:
        return b""
    return _answers(0x50, packet_ids, reason_code, version)


def pubrels(packet_ids: Sequence[bytes], reason_code: int = 0, *, version: Version) -> bytes:
    """A PUBREL for each id (§3.6)."""
    return _answers(0x62, packet_ids, reason_code, version)


def pubcomps(packet_ids: Sequence[bytes], reason_code: int = 0, *, version: Version) -> bytes:
    """A PUBCOMP for each id (§3.7)."""
    return _answers(0x70, packet_ids, reason_code, version)


def pubrel(packet_id: int, reason_code: int = 0, *, version: Version) -> bytes:
    """One PUBREL (§3.6)."""
    return pubrels([packet_id.to_bytes(2, "big")], reason_code, version=version)


def publish(
    topic: bytes | str,
    payload: bytes,
    *,
    version: Version,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    packet_id: int = 0,
    properties: Properties | None = None,
    subscription_identifiers: tuple[int, ...] = (),
    topic_alias: int | None = None,
    message_expiry_interval_s: int | None = None,
) -> bytes:
    """PUBLISH to a subscriber (§3.3); `packet_id` counts for QoS 1 and 2.

    With `topic_alias`, an empty topic stands for one that was sent before. `message_expiry_interval_s` replaces the
    publisher's [MQTT-3.3.2-6]. Properties are left out before MQTT 5.
    """
    name = topic.encode() if isinstance(topic, str) else topic
    first = 0x30 | dup << 3 | qos << 1 | retain
    number = packet_id.to_bytes(2, "big") if qos else b""
    if version is not Version.V5:
        block = b""
    elif properties is None and topic_alias is None and not subscription_identifiers:
        block = b"\0"
    else:
        pairs = encode_publish_properties(
            properties,
            topic_alias=topic_alias,
            subscription_identifiers=subscription_identifiers,
            message_expiry_interval_s=message_expiry_interval_s,
        )
        block = encode_varint(len(pairs)) + pairs
    length = len(name).to_bytes(2, "big")
    remaining = 2 + len(name) + len(number) + len(block) + len(payload)
    return b"".join((bytes((first,)), encode_varint(remaining), length, name, number, block, payload))


def suback(
    packet_id: int,
    codes: Iterable[int],
    *,
    version: Version,
    reason_string: str | None = None,
    user_property: UserProperty = (),
    max_packet_size_bytes: int | None = None,
) -> bytes:
    """SUBACK (§3.9): one code a filter, in order; the granted QoS or a refusal, which is 0x80 before MQTT 5."""
    number = packet_id.to_bytes(2, "big")
    if version is not Version.V5:
        return _packet(0x90, number, bytes(map(suback_return_code, codes)))
    return _explained(0x90, number, bytes(codes), {}, reason_string, user_property, max_packet_size_bytes)


def unsuback(
    packet_id: int,
    codes: Iterable[int] = (),
    *,
    version: Version,
    reason_string: str | None = None,
    user_property: UserProperty = (),
    max_packet_size_bytes: int | None = None,
) -> bytes:
    """UNSUBACK (§3.11); before MQTT 5 it has no codes."""
    number = packet_id.to_bytes(2, "big")
    if version is not Version.V5:
        return _packet(0xB0, number)
    return _explained(0xB0, number, bytes(codes), {}, reason_string, user_property, max_packet_size_bytes)


def disconnect(
    reason_code: int = 0,
    *,
    reason_string: str | None = None,
    user_property: UserProperty = (),
    server_reference: str | None = None,
    max_packet_size_bytes: int | None = None,
) -> bytes:
    """DISCONNECT from the server (§3.14): MQTT 5 only, in the older versions a server just closes."""
    if not reason_string and not user_property and server_reference is None:
        return b"\xe0\x00" if reason_code == 0 else bytes((0xE0, 1, reason_code))
    values = {P.SERVER_REFERENCE: server_reference}
    before = bytes((reason_code,))
    packet = _explained(0xE0, before, b"", values, reason_string, user_property, max_packet_size_bytes)
    return packet or bytes((0xE0, 1, reason_code))
