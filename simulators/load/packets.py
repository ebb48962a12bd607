"""The few MQTT packets a publisher needs, as bytes (MQTT 3.1.1 and MQTT 5; clauses are those of MQTT 5)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x62
PUBCOMP: Final = 0x70
CONNACK: Final = 0x20
PINGREQ: Final = b"\xc0\x00"
PINGRESP: Final = b"\xd0\x00"
DISCONNECT: Final = b"\xe0\x00"
V311: Final = 4
V5: Final = 5

_RECEIVE_MAXIMUM: Final = 0x21
_FIXED_PROPERTY_SIZES: Final = {
    0x11: 4,
    0x21: 2,
    0x24: 1,
    0x25: 1,
    0x27: 4,
    0x22: 2,
    0x28: 1,
    0x29: 1,
    0x2A: 1,
    0x13: 2,
}
"""The properties of CONNACK that have a fixed size (§3.2.2.3); all others are strings or binary data."""
_USER_PROPERTY: Final = 0x26


class ProtocolViolation(Exception):
    """The broker sent something that a publisher doesn't expect."""


def encode_length(value: int) -> bytes:
    """A Variable Byte Integer (§1.5.5)."""
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(encoded)


def decode_length(data: bytes, offset: int) -> tuple[int, int] | None:
    """The Variable Byte Integer at `offset` and where it ends; None when it is not all there yet."""
    value = 0
    for position in range(4):
        if offset + position >= len(data):
            return None
        digit = data[offset + position]
        value |= (digit & 0x7F) << (7 * position)
        if digit < 0x80:
            return value, offset + position + 1
    raise ProtocolViolation("The broker sent a packet whose length takes more than four bytes.")


def encode_string(text: str) -> bytes:
    """A UTF-8 string behind its two-byte length (§1.5.4)."""
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def encode_connect(
    client_id: str, *, version: int, keep_alive_s: int = 0, username: str | None = None, password: str | None = None
) -> bytes:
    """CONNECT with a clean start (§3.1)."""
    flags = 0x02 | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = encode_string("MQTT") + struct.pack("!BBH", version, flags, keep_alive_s)
    body += (b"\x00" if version == V5 else b"") + encode_string(client_id)
    body += b"".join(encode_string(text) for text in (username, password) if text is not None)
    return b"\x10" + encode_length(len(body)) + body


def encode_publish(
    topic: str,
    payload: bytes,
    *,
    qos: int,
    packet_id: int,
    version: int,
    user_property: tuple[str, str] | None = None,
    retain: bool = False,
) -> bytes:
    """PUBLISH (§3.3); `packet_id` is left out for QoS 0, the user property for MQTT 3.1.1."""
    body = encode_string(topic)
    if qos:
        body += struct.pack("!H", packet_id)
    if version == V5:
        properties = b""
        if user_property is not None:
            properties = bytes((_USER_PROPERTY,)) + encode_string(user_property[0]) + encode_string(user_property[1])
        body += encode_length(len(properties)) + properties
    return bytes((0x30 | qos << 1 | retain,)) + encode_length(len(body) + len(payload)) + body + payload


def encode_subscribe(topic_filters: Sequence[str], *, qos: int, version: int, packet_id: int = 1) -> bytes:
    """SUBSCRIBE (§3.8)."""
    body = struct.pack("!H", packet_id) + (b"\x00" if version == V5 else b"")
    body += b"".join(encode_string(each) + bytes((qos,)) for each in topic_filters)
    return b"\x82" + encode_length(len(body)) + body


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnAck:
    """What a CONNACK says that matters to a publisher, and how many bytes it took."""

    reason_code: int
    receive_maximum: int
    size_bytes: int


def decode_connack(data: bytes, *, version: int) -> ConnAck | None:
    """The CONNACK at the start of `data`; None when it is not all there yet. Raises ProtocolViolation (§3.2)."""
    if data and data[0] != CONNACK:
        raise ProtocolViolation(
            f"The broker answered CONNECT with a packet that begins 0x{data[0]:02x}, not a CONNACK."
        )
    length = decode_length(data, 1)
    if length is None or len(data) < length[0] + length[1]:
        return None
    end = length[0] + length[1]
    if length[0] < 2:
        raise ProtocolViolation("The broker's CONNACK is too short to hold a reason code.")
    receive_maximum = 65535
    if version == V5 and length[0] > 2:
        receive_maximum = _receive_maximum(data[length[1] + 2 : end])
    return ConnAck(reason_code=data[length[1] + 1], receive_maximum=receive_maximum, size_bytes=end)


def _receive_maximum(data: bytes) -> int:
    length = decode_length(data, 0)
    if length is None or length[0] + length[1] != len(data):
        raise ProtocolViolation("The properties of the broker's CONNACK do not fill it.")
    offset = length[1]
    while offset < len(data):
        identifier = data[offset]
        offset += 1
        if identifier == _RECEIVE_MAXIMUM:
            return int.from_bytes(data[offset : offset + 2], "big")
        if identifier in _FIXED_PROPERTY_SIZES:
            offset += _FIXED_PROPERTY_SIZES[identifier]
            continue
        for _ in range(2 if identifier == _USER_PROPERTY else 1):
            offset += 2 + int.from_bytes(data[offset : offset + 2], "big")
    return 65535
