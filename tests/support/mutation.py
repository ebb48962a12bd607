"""Sessions of a client that has gone mad, each made of a seed and a number: valid packets, and what became of them.

Two kinds of damage. Of fields: packets that are well formed and say what no client would (any property anywhere,
identifiers out of turn, filters of all shapes), so that the broker behind the codec is reached. Of bytes: bits turned,
lengths that lie, pieces cut off, doubled, moved, and spliced with another packet. Last the order of the packets in the
session is disturbed. The same seed and number give the same bytes.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support import wire
from tests.support.wire import V5, V31, V311

TOPICS = (*(f"plant/line-{i % 4}/machine-{i}".encode() for i in range(24)), b"a", b"a/b", b"alarms/1")
ODD_TOPICS: tuple[bytes, ...] = (
    b"", b"/", b"//", b"a//b", b"+", b"#", b"a/+", b"a/#", b"a+b", b"a#", b"$SYS/broker/uptime", b"$SYS", b"$share/g/a",
    b"a\0b", b"\0", b"\xed\xa0\x80", b"\xff\xfe", b"\xc0\x80", b"\xef\xbb\xbfa", b"\xef\xbf\xbe", "größe/µ".encode(),
    b"x" * 1000, b"/" * 500, b"a/" * 300, b"\xf4\x90\x80\x80", b"\x7f", b"a\nb", b" ",
)  # fmt: skip
FILTERS: tuple[bytes, ...] = (
    b"plant/#", b"plant/+/machine-1", b"+/line-1/+", b"#", b"a", b"a/b", b"+", b"alarms/+", b"$SYS/#",
    b"$share/g/plant/#", b"$share/h/a", b"$share/g/#",
)  # fmt: skip
ODD_FILTERS: tuple[bytes, ...] = (
    b"", b"a/#/b", b"a#", b"a+/b", b"##", b"++", b"/#", b"//#", b"$share", b"$share/", b"$share//a", b"$share/g",
    b"$share/g/", b"$share/+/a", b"$share/#/a", b"$share/g/#/a", b"$SYS/+", b"+/" * 200 + b"+", b"/" * 2000, b"a\0",
    b"\xed\xb0\x80", b"\xff", b"$queue/a", b"#/",
)  # fmt: skip
CLIENTS = tuple(f"mad-{i}".encode() for i in range(40))
ODD_CLIENTS: tuple[bytes, ...] = (b"", b"\0", b"+", b"#", b"a/b", b"\xff", "ö".encode(), b"x" * 24, b"y" * 300)
TEXTS: tuple[bytes, ...] = (
    b"",
    b"x",
    b"unit",
    b"text/plain",
    "µ".encode(),
    b"\0",
    b"\xff",
    b"reply/to",
    b"reply/+",
    b"z" * 300,
)
NUMBERS = (0, 1, 2, 3, 10, 127, 128, 255, 256, 16383, 16384, 65535, 65536, 2**28 - 1, 2**31, 2**32 - 1)

WEBSOCKET_SHARE = 0.15

_CONNECT = (0x11, 0x21, 0x22, 0x27, 0x17, 0x19, 0x26)
_WILL = (0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26)
_PUBLISH = (0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x03)
_ANY = tuple(wire.FORMS)
_RANGES = {"byte": 1, "two": 2, "four": 4}


@dataclass(frozen=True, slots=True)
class Session:
    """What one connection sends, and how: in how many pieces, and whether it ends with a reset."""

    number: int
    chunks: tuple[bytes, ...]
    mutated: int
    """How many of its packets are not as a client would send them."""
    resets: bool
    is_websocket: bool = False

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self.chunks)


class Mutator:
    """Sessions of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def session(self, number: int) -> Session:
        """The session of that number."""
        rng = random.Random(f"{self.seed}/{number}")
        version = rng.choice((V31, V311, V311, V5, V5, V5))
        mutated = 0
        packets: list[bytes] = []
        dice = rng.random()
        opening = _connect(rng, version, odd=dice < 0.08)
        mutated += dice < 0.08
        if 0.08 <= dice < 0.15:
            opening = damaged(rng, opening)
            mutated += 1
        if dice < 0.97:
            packets.append(opening)
        for _ in range(rng.randrange(2, 14)):
            make = rng.choice(_MAKERS)
            kind = rng.random()
            odd, is_damaged = kind < 0.3, kind > 0.92
            item = make(rng, version if kind < 0.995 else rng.choice((V311, V5)), odd)
            if is_damaged:
                item = damaged(rng, item, packets[-1] if packets else b"")
            mutated += odd or is_damaged
            packets.append(item)
        if rng.random() < 0.1:
            mutated += _disorder(rng, packets)
        if rng.random() < 0.3:
            packets.append(wire.DISCONNECT if version != V5 else wire.disconnect(rng.choice((0, 4, 0x81))))
        data, is_websocket = b"".join(packets), rng.random() < WEBSOCKET_SHARE
        if is_websocket:
            data, broken = _in_websocket(rng, data)
            mutated += broken
        return Session(
            number=number,
            chunks=_cut(rng, data),
            mutated=mutated,
            resets=rng.random() < 0.15,
            is_websocket=is_websocket,
        )


def damaged(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """The packet after one to three faults of its bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_FAULTS)(rng, data, other)
    return data


# ---- faults of bytes ------------------------------------------------------------------------------------------------


def _flip(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _set(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    out = bytearray(data)
    if out:
        out[rng.randrange(len(out))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(out)


def _truncate(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _double(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    stop = rng.randrange(start, len(data) + 1)
    return data[:stop] + data[start:]


def _remove(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 9) :]


def _insert(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]


def _splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _length(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    """A remaining length that lies, or is written in a way that nobody may."""
    end = 1
    while end < len(data) and end < 5 and data[end] & 0x80:
        end += 1
    body = data[end + 1 :]
    lie = rng.choice(
        (
            wire.varint(max(0, len(body) + rng.randrange(-8, 9))),
            wire.varint(rng.choice((0, 1, 127, 128, 65535, 2**20, 2**28 - 1))),
            b"\xff\xff\xff\xff\x7f",
            b"\x80\x80\x80\x80\x01",
            bytes((len(body) & 0x7F | 0x80, 0x00)),
            b"\xff",
        )
    )
    return data[:1] + lie + body


def _inner_length(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    if len(data) < 6:
        return data
    at = rng.randrange(2, len(data) - 1)
    return data[:at] + struct.pack("!H", rng.choice((0, 1, 255, 65535, rng.randrange(65536)))) + data[at + 2 :]


def _first(rng: random.Random, data: bytes, _other: bytes) -> bytes:
    return bytes((rng.randrange(256),)) + data[1:]


_FAULTS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    _flip, _flip, _set, _truncate, _double, _remove, _insert, _splice, _length, _length, _inner_length, _first,
)  # fmt: skip


def _disorder(rng: random.Random, packets: list[bytes]) -> int:
    """Change the order of a session's packets; returns how many are out of theirs."""
    kind = rng.randrange(4)
    if kind == 0:
        rng.shuffle(packets)
        return len(packets)
    at = rng.randrange(len(packets))
    if kind == 1:
        packets.insert(at, packets[rng.randrange(len(packets))])
    elif kind == 2:
        packets[at:] = packets[at:] * 2
    else:
        packets.insert(rng.randrange(len(packets)), packets.pop(at))
    return 1


def _cut(rng: random.Random, data: bytes) -> tuple[bytes, ...]:
    """In one piece mostly, otherwise in a few."""
    if len(data) < 2 or rng.random() < 0.7:
        return (data,)
    at = sorted({rng.randrange(1, len(data)) for _ in range(rng.randrange(1, 4))})
    return tuple(data[start:stop] for start, stop in zip([0, *at], [*at, len(data)], strict=True))


# ---- WebSocket -------------------------------------------------------------------------------------------------------

_REQUEST = (
    b"GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


def _in_websocket(rng: random.Random, data: bytes) -> tuple[bytes, int]:
    """The bytes in frames of any size, with the faults that frames can have; and how many of those."""
    broken = 0
    request = _REQUEST
    if rng.random() < 0.05:
        request = damaged(rng, request)
        broken += 1
    out, at = [request], 0
    while at < len(data):
        size = rng.choice((1, 5, 20, 125, 126, 400, 70_000))
        frame = wire.websocket_frame(data[at : at + size])
        if rng.random() < 0.03:
            frame = rng.choice((_flip, _set, _truncate, _remove, _insert, _first))(rng, frame, b"")
            broken += 1
        out.append(frame)
        at += size
        if rng.random() < 0.05:
            out.append(wire.websocket_frame(rng.randbytes(rng.choice((0, 2, 125))), opcode=rng.choice((8, 9, 10))))
    return b"".join(out), broken


# ---- packets --------------------------------------------------------------------------------------------------------


def _value(rng: random.Random, identifier: int, *, odd: bool) -> Any:
    form = wire.FORMS[identifier]
    if form == "pair":
        return rng.choice(TEXTS[:5] if not odd else TEXTS), rng.choice(TEXTS[:5] if not odd else TEXTS)
    if form == "text":
        return rng.choice(TEXTS[1:5] if not odd else TEXTS)
    if form == "varint":
        return rng.choice(NUMBERS[1:14] if not odd else NUMBERS[:14])
    if odd:
        return rng.choice(NUMBERS) % 256 ** _RANGES[form]
    if identifier == 0x11:
        return rng.choice((0, 0, 1, 60))
    if identifier in {0x21, 0x27, 0x22, 0x23, 0x02, 0x18}:
        return rng.choice((1, 2, 5)) if identifier != 0x27 else rng.choice((64, 1000, 100_000))
    return rng.randrange(2) if form == "byte" else rng.randrange(1, 100)


def _items(rng: random.Random, known: tuple[int, ...], *, odd: bool) -> list[tuple[int, Any]]:
    if not odd:
        chosen = [each for each in known if rng.random() < 0.2]
    else:
        chosen = [rng.choice(known if rng.random() < 0.9 else _ANY) for _ in range(rng.choice((0, 0, 1, 2, 3, 12)))]
        if rng.random() < 0.01:
            chosen = [0x26] * rng.choice((63, 64, 65, 1000))
    return [(each, _value(rng, each, odd=odd and rng.random() < 0.5)) for each in chosen]


def _connect(rng: random.Random, version: int, *, odd: bool) -> bytes:
    will: tuple[bytes, bytes] | None = None
    if rng.random() < 0.3:
        topics = ODD_TOPICS if odd and rng.random() < 0.5 else TOPICS
        will = (rng.choice(topics), rng.randbytes(rng.choice((0, 5, 40))))
    return wire.connect(
        rng.choice(ODD_CLIENTS if odd and rng.random() < 0.5 else CLIENTS),
        version=version,
        clean=rng.random() < 0.6,
        keep_alive_s=rng.choice((0, 60, 65535)),
        items=_items(rng, _CONNECT, odd=odd),
        will=will,
        will_qos=rng.randrange(4 if odd else 3),
        will_retain=rng.random() < 0.3,
        will_items=_items(rng, _WILL, odd=odd),
        username=rng.choice(TEXTS) if rng.random() < 0.2 else None,
        password=rng.choice(TEXTS) if version == V5 and rng.random() < 0.1 else None,
    )


def _publish(rng: random.Random, version: int, odd: bool) -> bytes:
    strange = odd and rng.random() < 0.2
    topic = rng.choice(ODD_TOPICS if strange else TOPICS)
    items = _items(rng, _PUBLISH, odd=odd)
    if version == V5 and odd and rng.random() < 0.3:
        items.append((0x23, rng.choice((0, 1, 2, 16, 17, 65535))))
        topic = rng.choice((b"", topic))
    size = 0 if rng.random() < 0.1 else rng.choice((1, 20, 160)) if rng.random() < 0.995 else 20_000
    return wire.publish(
        topic,
        rng.randbytes(size),
        version=version,
        qos=rng.randrange(3) if not odd or rng.random() < 0.95 else 3,
        packet_id=_packet_id(rng, odd),
        retain=rng.random() < 0.15,
        dup=rng.random() < (0.3 if odd else 0.05),
        items=items,
    )


def _packet_id(rng: random.Random, odd: bool) -> int:
    return rng.choice((0, 1, 65535)) if odd and rng.random() < 0.1 else rng.randrange(1, 12)


def _answer(rng: random.Random, version: int, odd: bool) -> bytes:
    code = rng.choice((None, 0, 0x10, 0x80, 0x92, 0x97)) if not odd else rng.randrange(256)
    items = _items(rng, (0x1F, 0x26), odd=odd) if rng.random() < 0.3 else ()
    return wire.answer(
        rng.choice((0x40, 0x50, 0x62, 0x70)), _packet_id(rng, odd), version=version, code=code, items=items
    )


def _filter(rng: random.Random, odd: bool) -> bytes:
    return rng.choice(ODD_FILTERS if odd and rng.random() < 0.15 else FILTERS)


def _options(rng: random.Random, version: int, odd: bool) -> int:
    if odd and rng.random() < 0.1:
        return rng.randrange(256)
    more = rng.randrange(2) << 2 | rng.randrange(2) << 3 | rng.randrange(3) << 4 if version == V5 else 0
    return rng.randrange(3) | more


def _subscribe(rng: random.Random, version: int, odd: bool) -> bytes:
    count = rng.choice((1, 1, 2, 4)) if not odd or rng.random() < 0.95 else rng.choice((0, 200))
    filters = [(_filter(rng, odd), _options(rng, version, odd)) for _ in range(count)]
    return wire.subscribe(
        *filters, version=version, packet_id=_packet_id(rng, odd), items=_items(rng, (0x0B, 0x26), odd=odd)
    )


def _unsubscribe(rng: random.Random, version: int, odd: bool) -> bytes:
    filters = [_filter(rng, odd) for _ in range(rng.choice((1, 2)) if not odd else rng.choice((0, 1, 100)))]
    return wire.unsubscribe(
        *filters, version=version, packet_id=_packet_id(rng, odd), items=_items(rng, (0x26,), odd=odd)
    )


def _other(rng: random.Random, version: int, odd: bool) -> bytes:
    if not odd:
        return wire.PINGREQ
    kind = rng.randrange(6)
    if kind == 0:
        return wire.auth(rng.choice((0, 0x18, 0x19)), _items(rng, (0x15, 0x16, 0x1F, 0x26), odd=True))
    if kind == 1:
        return wire.disconnect(rng.randrange(256), _items(rng, (0x11, 0x1F, 0x26, 0x1C), odd=True))
    if kind == 2:
        return _connect(rng, version, odd=True)
    if kind == 3:  # what only a server sends
        return rng.choice((b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00", b"\xb0\x02\x00\x01", b"\xd0\x00"))
    if kind == 4:
        return rng.choice((b"\x00\x00", b"\xc0\x01\x00", b"\xe0\x02\x00\x00", b"\xf0\x00", b"\xc1\x00"))
    return wire.PINGREQ * rng.choice((1, 50))


_MAKERS: tuple[Callable[[random.Random, int, bool], bytes], ...] = (
    _publish, _publish, _publish, _answer, _subscribe, _unsubscribe, _other,
)  # fmt: skip
