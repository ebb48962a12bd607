"""MQTT packets written by hand, byte for byte, for tests of the reader."""

from __future__ import annotations

import struct

from gateway.mqtt.packets import Packet, PubAck, PubAcks, PublishBatch
from gateway.mqtt.reader import Reader


def varint(value: int) -> bytes:
    """Variable byte integer."""
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | 128 if value else low)
        if not value:
            return bytes(out)


def field(value: bytes | str) -> bytes:
    """Two bytes of length, then the bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def packet(first: int, *parts: bytes) -> bytes:
    """Fixed header and body."""
    body = b"".join(parts)
    return bytes((first,)) + varint(len(body)) + body


def connect(level: int = 4, client_id: str = "device", flags: int = 2) -> bytes:
    """A plain CONNECT."""
    name = "MQIsdp" if level == 3 else "MQTT"
    block = b"\x00" if level == 5 else b""
    return packet(0x10, field(name), bytes((level, flags)), b"\x00\x3c", block, field(client_id))


def publish(
    topic: bytes | str = "a/b",
    payload: bytes = b"x",
    *,
    level: int = 4,
    qos: int = 1,
    packet_id: int = 1,
    flags: int = 0,
    properties: bytes = b"",
) -> bytes:
    """A PUBLISH; `flags` are added to the first byte (8 DUP, 1 RETAIN)."""
    number = struct.pack("!H", packet_id) if qos else b""
    block = varint(len(properties)) + properties if level == 5 else b""
    return packet(0x30 | qos << 1 | flags, field(topic), number, block, payload)


def connected(level: int = 4, *, max_packet_size_bytes: int = 2**20, topic_alias_maximum: int = 0) -> Reader:
    """A reader that has read a CONNECT."""
    reader = Reader(max_packet_size_bytes=max_packet_size_bytes, topic_alias_maximum=topic_alias_maximum)
    reader.feed(connect(level))
    assert reader.error is None
    return reader


def rows(packets: list[Packet]) -> list[object]:
    """Packets with their batches taken apart: what does not depend on how the bytes came in pieces."""
    out: list[object] = []
    for item in packets:
        if isinstance(item, PublishBatch):
            properties = item.properties or [None] * len(item)
            ids = item.packet_ids or [b""] * len(item)
            for topic, payload, number, first, props in zip(
                item.topics, item.payloads, ids, item.first_bytes, properties, strict=True
            ):
                out.append((item.qos, topic, payload, number, first, props and props.to_map()))
        elif isinstance(item, PubAcks):
            out.extend(PubAck(packet_id=number) for number in item.packet_ids)
        elif hasattr(item, "packet_ids"):
            out.extend(("PUBREL", number) for number in item.packet_ids)
        else:
            out.append(item)
    return out
