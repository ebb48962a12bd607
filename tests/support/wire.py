"""Client packets of MQTT 3.1, 3.1.1 and 5 as bytes, with nothing checked: what is wrong may be written, too.

An encoder of the tests' own, so that the product's codec can't test itself. Properties are a list of (identifier,
value); the form of each follows from the identifier (MQTT 5 §2.2.2.2).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

V31, V311, V5 = 3, 4, 5
NAMES = {V31: b"MQIsdp", V311: b"MQTT", V5: b"MQTT"}
DISCONNECT = b"\xe0\x00"
PINGREQ = b"\xc0\x00"

FORMS = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), "byte"),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), "two"),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), "four"),
    0x0B: "varint",
    **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), "text"),
    **dict.fromkeys((0x09, 0x16), "text"),
    0x26: "pair",
}
"""How the value of a property is written; binary data looks as a string does."""

Properties = Sequence[tuple[int, Any]]


def varint(value: int) -> bytes:
    """A Variable Byte Integer (§1.5.5)."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(out)


def text(value: bytes | str) -> bytes:
    """A string or binary data behind its two bytes of length."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def packet(first: int, *parts: bytes) -> bytes:
    """Fixed header and body."""
    body = b"".join(parts)
    return bytes((first,)) + varint(len(body)) + body


def property_bytes(identifier: int, value: Any) -> bytes:
    """One property with its identifier."""
    form = FORMS.get(identifier, "byte")
    if form == "pair":
        return varint(identifier) + text(value[0]) + text(value[1])
    if form == "text":
        return varint(identifier) + text(value)
    if form == "varint":
        return varint(identifier) + varint(value)
    return varint(identifier) + int(value).to_bytes({"byte": 1, "two": 2, "four": 4}[form], "big")


def properties(version: int, items: Properties = ()) -> bytes:
    """The block of properties with its length; nothing before MQTT 5."""
    if version != V5:
        return b""
    body = b"".join(property_bytes(identifier, value) for identifier, value in items)
    return varint(len(body)) + body


def connect(
    client_id: bytes | str,
    *,
    version: int = V311,
    clean: bool = True,
    keep_alive_s: int = 0,
    items: Properties = (),
    will: tuple[bytes | str, bytes] | None = None,
    will_qos: int = 0,
    will_retain: bool = False,
    will_items: Properties = (),
    username: bytes | str | None = None,
    password: bytes | str | None = None,
) -> bytes:
    """CONNECT (§3.1)."""
    flags = clean << 1
    payload = text(client_id)
    if will is not None:
        flags |= 4 | will_qos << 3 | will_retain << 5
        payload += properties(version, will_items) + text(will[0]) + text(will[1])
    if username is not None:
        flags |= 0x80
        payload += text(username)
    if password is not None:
        flags |= 0x40
        payload += text(password)
    head = text(NAMES[version]) + bytes((version, flags)) + struct.pack("!H", keep_alive_s)
    return packet(0x10, head, properties(version, items), payload)


def publish(
    topic: bytes | str,
    payload: bytes = b"x",
    *,
    version: int = V311,
    qos: int = 0,
    packet_id: int = 1,
    retain: bool = False,
    dup: bool = False,
    items: Properties = (),
) -> bytes:
    """PUBLISH (§3.3)."""
    number = struct.pack("!H", packet_id) if qos else b""
    return packet(0x30 | dup << 3 | qos << 1 | retain, text(topic), number, properties(version, items), payload)


def answer(
    first: int, packet_id: int, *, version: int = V311, code: int | None = None, items: Properties = ()
) -> bytes:
    """PUBACK, PUBREC, PUBREL (0x62) or PUBCOMP (§3.4 to §3.7)."""
    tail = b""
    if version == V5 and code is not None:
        tail = bytes((code,)) + (properties(version, items) if items else b"")
    return packet(first, struct.pack("!H", packet_id), tail)


def subscribe(
    *filters: tuple[bytes | str, int], version: int = V311, packet_id: int = 1, items: Properties = ()
) -> bytes:
    """SUBSCRIBE (§3.8) of (filter, options)."""
    body = b"".join(text(each) + bytes((options,)) for each, options in filters)
    return packet(0x82, struct.pack("!H", packet_id), properties(version, items), body)


def unsubscribe(*filters: bytes | str, version: int = V311, packet_id: int = 1, items: Properties = ()) -> bytes:
    """UNSUBSCRIBE (§3.10)."""
    return packet(0xA2, struct.pack("!H", packet_id), properties(version, items), *map(text, filters))


def disconnect(code: int = 0, items: Properties = ()) -> bytes:
    """DISCONNECT of MQTT 5 (§3.14)."""
    return packet(0xE0, bytes((code,)), properties(V5, items))


def auth(code: int = 0x18, items: Properties = ()) -> bytes:
    """AUTH (§3.15)."""
    return packet(0xF0, bytes((code,)), properties(V5, items))


def websocket_frame(data: bytes, *, opcode: int = 2, fin: bool = True, masked: bool = True) -> bytes:
    """A client's WebSocket frame (RFC 6455 §5.2)."""
    size, mask = len(data), masked << 7
    head = bytes((fin << 7 | opcode,))
    if size < 126:
        head += bytes((mask | size,))
    elif size < 65536:
        head += bytes((mask | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((mask | 127,)) + size.to_bytes(8, "big")
    if not masked:
        return head + data
    key = b"\x12\x34\x56\x78"
    pad = (key * (size // 4 + 1))[:size]
    return head + key + (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
