"""A client of raw bytes, for tests that say to the byte what goes over the wire. Blocking; knows nothing of our codec.

    peer = Peer(port)
    connack = peer.connect("id", properties=prop(0x11, 60))
    peer.send(packet(0x82, ...)); first, body = peer.receive()

`receive` returns packets as they came; `Publish.parse` and `Answer.parse` take them apart. `closed` waits for the end.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.support.mqtt_bytes import field, packet, varint

WITHIN_S = 30.0

BYTE, TWO, FOUR, VARINT, TEXT, PAIR = "byte", "two", "four", "varint", "text", "pair"
KINDS = {
    0x01: BYTE, 0x02: FOUR, 0x03: TEXT, 0x08: TEXT, 0x09: TEXT, 0x0B: VARINT, 0x11: FOUR, 0x12: TEXT, 0x13: TWO,
    0x15: TEXT, 0x16: TEXT, 0x17: BYTE, 0x18: FOUR, 0x19: BYTE, 0x1A: TEXT, 0x1C: TEXT, 0x1F: TEXT, 0x21: TWO,
    0x22: TWO, 0x23: TWO, 0x24: BYTE, 0x25: BYTE, 0x26: PAIR, 0x27: FOUR, 0x28: BYTE, 0x29: BYTE, 0x2A: BYTE,
}  # fmt: skip
"""Property identifiers and their data types (MQTT 5 §2.2.2.2)."""

Found = list[tuple[int, Any]]
"""Properties in their order: identifier and value; text as bytes."""


def prop(identifier: int, value: Any) -> bytes:
    """One property."""
    kind = KINDS[identifier]
    if kind == BYTE:
        raw = bytes((value,))
    elif kind == TWO:
        raw = struct.pack("!H", value)
    elif kind == FOUR:
        raw = struct.pack("!I", value)
    elif kind == VARINT:
        raw = varint(value)
    elif kind == TEXT:
        raw = field(value)
    else:
        raw = field(value[0]) + field(value[1])
    return varint(identifier) + raw


def block(*properties: bytes) -> bytes:
    """Properties with their length before them."""
    raw = b"".join(properties)
    return varint(len(raw)) + raw


def read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """(value, where it ends)."""
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            return value, at


def read_block(raw: bytes, at: int) -> tuple[Found, int]:
    """(the properties of the block that begins here, where it ends)."""
    length, at = read_varint(raw, at)
    end = at + length
    found: Found = []
    while at < end:
        identifier, at = read_varint(raw, at)
        kind = KINDS[identifier]
        value: Any
        if kind == VARINT:
            value, at = read_varint(raw, at)
        elif kind in {BYTE, TWO, FOUR}:
            size = {BYTE: 1, TWO: 2, FOUR: 4}[kind]
            value, at = int.from_bytes(raw[at : at + size], "big"), at + size
        else:
            value, at = _text(raw, at)
            if kind == PAIR:
                second, at = _text(raw, at)
                value = (value, second)
        found.append((identifier, value))
    assert at == end, "the properties do not end where their length says"
    return found, end


def _text(raw: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(raw[at : at + 2], "big")
    assert at + 2 + size <= len(raw)
    return raw[at + 2 : at + 2 + size], at + 2 + size


@dataclass(frozen=True, kw_only=True)
class Connack:
    """CONNACK."""

    flags: int
    code: int
    properties: Found

    @classmethod
    def parse(cls, first: int, body: bytes) -> Connack:
        assert first == 0x20, f"not a CONNACK: {first:02x} {body.hex()}"
        properties, end = read_block(body, 2)
        assert end == len(body)
        return cls(flags=body[0], code=body[1], properties=properties)

    def get(self, identifier: int) -> Any:
        """The value of a property; None when it is not there."""
        return dict(self.properties).get(identifier)


@dataclass(frozen=True, kw_only=True)
class Publish:
    """PUBLISH from the server."""

    first: int
    topic: bytes
    packet_id: int
    properties: Found
    payload: bytes

    @property
    def qos(self) -> int:
        return self.first >> 1 & 3

    @property
    def dup(self) -> bool:
        return bool(self.first & 8)

    @property
    def retain(self) -> bool:
        return bool(self.first & 1)

    def get(self, identifier: int) -> Any:
        """The value of a property; None when it is not there."""
        return dict(self.properties).get(identifier)

    def all(self, identifier: int) -> list[Any]:
        """All values of a property that may come several times."""
        return [value for number, value in self.properties if number == identifier]

    @classmethod
    def parse(cls, first: int, body: bytes) -> Publish:
        assert first >> 4 == 3, f"not a PUBLISH: {first:02x} {body.hex()}"
        topic, at = _text(body, 0)
        packet_id = 0
        if first & 6:
            packet_id, at = int.from_bytes(body[at : at + 2], "big"), at + 2
        properties, at = read_block(body, at)
        return cls(first=first, topic=topic, packet_id=packet_id, properties=properties, payload=body[at:])


@dataclass(frozen=True, kw_only=True)
class Answer:
    """PUBACK, PUBREC, PUBREL, PUBCOMP: `codes` has one; SUBACK, UNSUBACK: one a filter; DISCONNECT: no packet id."""

    first: int
    packet_id: int
    codes: list[int]
    properties: Found

    @classmethod
    def parse(cls, first: int, body: bytes) -> Answer:
        if first == 0xE0:
            properties = read_block(body, 1)[0] if len(body) > 1 else []
            return cls(first=first, packet_id=0, codes=[body[0] if body else 0], properties=properties)
        packet_id = int.from_bytes(body[:2], "big")
        if first in {0x90, 0xB0}:
            properties, at = read_block(body, 2)
            return cls(first=first, packet_id=packet_id, codes=list(body[at:]), properties=properties)
        properties = read_block(body, 3)[0] if len(body) > 3 else []
        return cls(first=first, packet_id=packet_id, codes=[body[2] if len(body) > 2 else 0], properties=properties)


class Closed(Exception):
    """The server closed the connection."""


class Peer:
    """One connection."""

    def __init__(self, port: int, *, within_s: float = WITHIN_S) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=within_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._early: deque[tuple[int, bytes]] = deque()

    # ---- bytes ----------------------------------------------------------------------------------------------------

    def send(self, *data: bytes) -> None:
        """Send in one piece."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it closed; `receive` will tell
            self._socket.sendall(b"".join(data))

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            try:
                more = self._socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed
            self._rest += more
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def receive(self) -> tuple[int, bytes]:
        """The next packet: first byte, and body. Raises Closed, TimeoutError."""
        return self._early.popleft() if self._early else self._read()

    def _read(self) -> tuple[int, bytes]:
        first = self._take(1)[0]
        length = shift = 0
        while True:
            byte = self._take(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first, self._take(length)

    def remainder(self) -> list[tuple[int, bytes]]:
        """The packets until the server has closed."""
        packets = []
        with contextlib.suppress(Closed):
            while True:
                packets.append(self.receive())
        return packets

    def close(self) -> None:
        """Gone, without DISCONNECT."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- packets --------------------------------------------------------------------------------------------------

    def connect(
        self,
        client_id: str | bytes = "",
        *properties: bytes,
        clean: bool = True,
        keep_alive_s: int = 0,
        will: bytes = b"",
        will_flags: int = 0,
    ) -> Connack:
        """CONNECT, and its CONNACK. `will`: the fields of a will, from its properties; `will_flags` without bit 2."""
        self.send(
            connect(client_id, *properties, clean=clean, keep_alive_s=keep_alive_s, will=will, will_flags=will_flags)
        )
        return Connack.parse(*self.receive())

    def subscribe(
        self, topic_filter: str | bytes, options: int = 0, *properties: bytes, packet_id: int = 900
    ) -> Answer:
        """SUBSCRIBE to one filter, and its SUBACK; nothing may come between."""
        self.send(subscribe([(topic_filter, options)], *properties, packet_id=packet_id))
        return Answer.parse(*self.receive())

    def publish(self, topic: str | bytes, payload: bytes = b"", *, qos: int = 0, **more: Any) -> Answer | None:
        """PUBLISH, and its whole exchange for QoS 1 and 2; returns the last packet of it."""
        self.send(publish(topic, payload, qos=qos, **more))
        if not qos:
            return None
        answer = Answer.parse(*self.receive())
        if qos == 2 and answer.codes[0] < 0x80:
            self.send(packet(0x62, struct.pack("!H", answer.packet_id)))
            answer = Answer.parse(*self.receive())
        return answer

    def message(self) -> Publish:
        """The next packet, a PUBLISH; not acknowledged."""
        return Publish.parse(*self.receive())

    def acknowledged(self) -> Publish:
        """The next packet, a PUBLISH, with its whole exchange."""
        message = self.message()
        number = struct.pack("!H", message.packet_id)
        if message.qos == 1:
            self.send(packet(0x40, number))
        elif message.qos == 2:
            self.send(packet(0x50, number))
            while (got := self._read())[0] >> 4 == 3:  # those that were under way before PUBREC came
                self._early.append(got)
            assert got == (0x62, number)
            self.send(packet(0x70, number))
        return message

    def ping(self) -> None:
        """PINGREQ, and its PINGRESP, with nothing before it: nothing came to this client."""
        self.send(b"\xc0\x00")
        got = self.receive()
        assert got == (0xD0, b""), f"not a PINGRESP: {got[0]:02x} {got[1].hex()}"

    def settle(self) -> None:
        """Return when all that this client published is stored and delivered: also QoS 0, which nobody acknowledges."""
        self.publish("settled", qos=1, packet_id=65_000)

    def disconnect(self, code: int | None = None, *properties: bytes) -> None:
        """DISCONNECT; returns when the server has closed."""
        self.send(b"\xe0\x00" if code is None else packet(0xE0, bytes((code,)), block(*properties)))
        assert self.remainder() == []
        self.close()

    def refused(self) -> int | None:
        """Wait until the server has closed: the code of its last packet, DISCONNECT or CONNACK; None without one."""
        packets = self.remainder()
        self.close()
        if not packets:
            return None
        first, body = packets[-1]
        assert first in {0x20, 0xE0}, f"{first:02x} {body.hex()}"
        return body[1] if first == 0x20 else (body[0] if body else 0)


def connect(
    client_id: str | bytes = "",
    *properties: bytes,
    clean: bool = True,
    keep_alive_s: int = 0,
    will: bytes = b"",
    will_flags: int = 0,
    flags: int = 0,
    more: bytes = b"",
) -> bytes:
    """CONNECT of MQTT 5; `flags` are added, `more` comes last: user name and password."""
    bits = flags | clean << 1 | (will_flags | 4 if will else 0)
    head = field("MQTT") + bytes((5, bits)) + struct.pack("!H", keep_alive_s)
    return packet(0x10, head, block(*properties), field(client_id), will, more)


def will_of(topic: str | bytes, payload: bytes | str = b"gone", *properties: bytes) -> bytes:
    """The fields of a will."""
    return block(*properties) + field(topic) + field(payload)


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    *,
    qos: int = 0,
    packet_id: int = 1,
    retain: bool = False,
    dup: bool = False,
    properties: bytes = b"",
) -> bytes:
    """PUBLISH of MQTT 5; `properties` without their length."""
    number = struct.pack("!H", packet_id) if qos else b""
    return packet(0x30 | dup << 3 | qos << 1 | retain, field(topic), number, block(properties), payload)


def subscribe(filters: list[tuple[str | bytes, int]], *properties: bytes, packet_id: int = 900) -> bytes:
    """SUBSCRIBE of MQTT 5."""
    entries = [field(topic_filter) + bytes((options,)) for topic_filter, options in filters]
    return packet(0x82, struct.pack("!H", packet_id), block(*properties), *entries)


def unsubscribe(filters: list[str | bytes], *properties: bytes, packet_id: int = 901) -> bytes:
    """UNSUBSCRIBE of MQTT 5."""
    return packet(0xA2, struct.pack("!H", packet_id), block(*properties), *[field(each) for each in filters])
