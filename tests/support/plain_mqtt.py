"""MQTT 3.1.1 by hand: a client that acknowledges exactly when a test says so, and reads packets as bytes."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: its type (first nibble), flags, and what comes after the remaining length."""

    kind: int
    flags: int
    body: bytes

    @property
    def packet_id(self) -> int:
        """The packet identifier of an acknowledgement, or of a PUBLISH with QoS 1 or 2."""
        at = 2 + int.from_bytes(self.body[:2], "big") if self.kind == 3 else 0
        return int.from_bytes(self.body[at : at + 2], "big")

    @property
    def payload(self) -> bytes:
        """The payload of a PUBLISH."""
        return self.body[2 + int.from_bytes(self.body[:2], "big") + (2 if self.flags & 6 else 0) :]

    @property
    def dup(self) -> bool:
        """The DUP flag of a PUBLISH."""
        return bool(self.flags & 8)


def text(value: str) -> bytes:
    """A UTF-8 string with its length."""
    return struct.pack(">H", len(value.encode())) + value.encode()


def packet(first: int, body: bytes) -> bytes:
    """A packet of its first byte and what comes after the remaining length."""
    length, encoded = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([first]) + bytes(encoded) + body


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """The next packet; raises IncompleteReadError at the end."""
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return Packet(first >> 4, first & 15, await reader.readexactly(length))


class PlainClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.session_present = False

    @classmethod
    async def connect(
        cls, host: str, port: int, client_id: str, *, clean: bool = True, keep_alive_s: int = 0, level: int = 4
    ) -> PlainClient:
        """Connect and wait for the CONNACK; raises ConnectionRefusedError with its return code."""
        client = cls(*await asyncio.open_connection(host, port))
        properties = b"\0" if level == 5 else b""
        body = text("MQTT") + bytes([level, 2 if clean else 0]) + struct.pack(">H", keep_alive_s) + properties
        client.write(0x10, body + text(client_id))
        connack = await client.read()
        if connack.body[1]:
            await client.abort()
            raise ConnectionRefusedError(connack.body[1])
        client.session_present = bool(connack.body[0])
        return client

    def write(self, first: int, body: bytes) -> None:
        """Send a packet."""
        self.writer.write(packet(first, body))

    async def read(self) -> Packet:
        """The next packet."""
        return await asyncio.wait_for(read_packet(self.reader), TIMEOUT_S)

    async def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        """Subscribe and return the granted QoS."""
        self.write(0x82, b"\0\1" + text(topic_filter) + bytes([qos]))
        return (await self.read()).body[2]

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, packet_id: int = 1, retain: bool = False) -> None:
        """Send a PUBLISH."""
        identifier = struct.pack(">H", packet_id) if qos else b""
        self.write(0x30 | qos << 1 | retain, text(topic) + identifier + payload)

    def ack(self, packet_id: int) -> None:
        """Send a PUBACK."""
        self.write(0x40, struct.pack(">H", packet_id))

    async def abort(self) -> None:
        """Close without DISCONNECT."""
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def closed(self) -> None:
        """Wait until the other side has closed."""
        with contextlib.suppress(ConnectionError):
            while await asyncio.wait_for(self.reader.read(65536), TIMEOUT_S):
                pass
        await self.abort()
