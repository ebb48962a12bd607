"""Packets that are odd or wrong in one way each, and the conversations to try them in; for comparing two servers.

Systematic, not random: every flag, every reason code, every subscription option, every property in every packet, with a
right, a wrong and a repeated value, lengths that are too short and too long, of each version of MQTT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.mqtt5_peer import BYTE, FOUR, KINDS, PAIR, TEXT, TWO, VARINT, block, prop
from tests.support.mqtt_bytes import field, packet, varint

TOPIC, IDENTIFIER = "odd/topic", "odd-packets"
NAMES = {3: "MQIsdp", 4: "MQTT", 5: "MQTT"}


@dataclass(frozen=True, kw_only=True)
class Odd:
    """`data` is sent to a server, after a plain CONNECT unless it `is_first`."""

    name: str
    level: int
    data: bytes
    is_first: bool = False


def plain_connect(level: int, *, flags: int = 2, properties: bytes = b"\x00", rest: bytes = b"") -> bytes:
    """CONNECT of a version; `properties` with their length."""
    return packet(
        0x10,
        field(NAMES[level]),
        bytes((level, flags)),
        b"\x00\x3c",
        properties if level == 5 else b"",
        field(IDENTIFIER),
        rest,
    )


def everything() -> Iterator[Odd]:
    """All of them."""
    for level in (3, 4, 5):
        yield from _first_bytes(level)
        yield from _connects(level)
        yield from _publishes(level)
        yield from _answers(level)
        yield from _subscribes(level)
        yield from _lengths(level)
    yield from _properties()
    yield from _codes()
    yield from _characters()


def _bodies(level: int) -> dict[str, tuple[int, bytes]]:
    """A right packet of each kind: first byte and body."""
    none = b"\x00" if level == 5 else b""
    kinds = {
        "PUBLISH 0": (0x30, field(TOPIC) + none + b"x"),
        "PUBLISH 1": (0x32, field(TOPIC) + b"\x00\x07" + none + b"x"),
        "PUBLISH 2": (0x34, field(TOPIC) + b"\x00\x07" + none + b"x"),
        "PUBACK": (0x40, b"\x00\x07"),
        "PUBREL": (0x62, b"\x00\x07"),
        "PUBCOMP": (0x70, b"\x00\x07"),
        "SUBSCRIBE": (0x82, b"\x00\x07" + none + field(TOPIC) + b"\x00"),
        "UNSUBSCRIBE": (0xA2, b"\x00\x07" + none + field(TOPIC)),
        "PINGREQ": (0xC0, b""),
        "DISCONNECT": (0xE0, b""),
    }
    if level == 5:
        kinds["AUTH"] = (0xF0, b"\x19" + block(prop(0x15, "m")))
    return kinds


def _first_bytes(level: int) -> Iterator[Odd]:
    for first in range(256):
        for body in (b"", b"\x00\x07", field("t") + b"\x00\x07\x00x"):
            yield Odd(name=f"first byte {first:02x} and {len(body)} bytes", level=level, data=packet(first, body))
        yield Odd(name=f"begins with {first:02x}", level=level, data=packet(first, b"\x00\x07"), is_first=True)


def _connects(level: int) -> Iterator[Odd]:
    none = b"\x00" if level == 5 else b""
    rest = {0x04: none + field("will") + field("gone"), 0x80: field("user"), 0x40: field("password")}

    def fields(flags: int) -> bytes:
        return b"".join(rest[bit] for bit in (0x04, 0x80, 0x40) if flags & bit)

    for flags in range(256):
        data = plain_connect(level, flags=flags, rest=fields(flags))
        yield Odd(name=f"connect flags {flags:02x}", level=level, data=data, is_first=True)
        if flags & 0xC4:
            data = plain_connect(level, flags=flags, rest=fields(flags)[:-1])
            yield Odd(name=f"connect flags {flags:02x}, cut", level=level, data=data, is_first=True)
    whole = plain_connect(level)
    yield Odd(name="connect with more behind", level=level, data=packet(0x10, whole[2:], b"x"), is_first=True)
    for size in range(len(whole) - 2):
        yield Odd(name=f"connect cut to {size}", level=level, data=packet(0x10, whole[2 : 2 + size]), is_first=True)
    for other in range(256):
        head = field(NAMES[level]) + bytes((other, 2)) + b"\x00\x3c" + none + field(IDENTIFIER)
        yield Odd(name=f"protocol level {other}", level=level, data=packet(0x10, head), is_first=True)
    for wrong in (b"", b"MQT", b"MQTTT", b"mqtt", b"MQIsd", b"MQTT\x00"):
        head = field(wrong) + bytes((level, 2)) + b"\x00\x3c" + none + field(IDENTIFIER)
        yield Odd(name=f"protocol name {wrong!r}", level=level, data=packet(0x10, head), is_first=True)
    yield Odd(name="connect twice", level=level, data=plain_connect(level))
    for clean in (0, 2):
        head = field(NAMES[level]) + bytes((level, clean)) + b"\x00\x3c" + none + field("")
        yield Odd(name=f"no client id, clean {clean}", level=level, data=packet(0x10, head), is_first=True)
    for topic in (b"", b"a/#", b"+", b"\xff", b"a\x00"):
        data = plain_connect(level, flags=6, rest=none + field(topic) + field("gone"))
        yield Odd(name=f"will topic {topic!r}", level=level, data=data, is_first=True)
    for user in (b"\xff", b"a\x00", b"\xed\xa0\x80"):
        data = plain_connect(level, flags=0x82, rest=field(user))
        yield Odd(name=f"user name {user!r}", level=level, data=data, is_first=True)


def _publishes(level: int) -> Iterator[Odd]:
    none = b"\x00" if level == 5 else b""
    for flags in range(16):
        number = b"\x00\x07" if flags & 6 else b""
        for payload in (b"", b"x"):
            data = packet(0x30 | flags, field(TOPIC), number, none, payload)
            yield Odd(name=f"PUBLISH flags {flags:x} payload {payload!r}", level=level, data=data)
        if number:
            data = packet(0x30 | flags, field(TOPIC), b"\x00\x00", none, b"x")
            yield Odd(name=f"PUBLISH flags {flags:x} id 0", level=level, data=data)
    for topic in (
        b"",
        b"#",
        b"+",
        b"a/#",
        b"a/+/b",
        b"a+",
        b"a\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"/",
        b"$a",
    ):
        for qos in (0, 1, 2):
            data = packet(0x30 | qos << 1, field(topic), b"\x00\x07" if qos else b"", none, b"x")
            yield Odd(name=f"PUBLISH {qos} topic {topic!r}", level=level, data=data)
    for kind, (first, body) in _bodies(level).items():
        if kind.startswith("PUBLISH"):
            for size in range(len(body) - 1):
                yield Odd(name=f"{kind} cut to {size}", level=level, data=packet(first, body[:size]))


def _answers(level: int) -> Iterator[Odd]:
    for first, kind in ((0x40, "PUBACK"), (0x50, "PUBREC"), (0x62, "PUBREL"), (0x70, "PUBCOMP")):
        for body in (
            b"",
            b"\x00",
            b"\x00\x00",
            b"\x00\x07",
            b"\x00\x07\x00",
            b"\x00\x07\x00\x00",
            b"\x00\x07\x00\x00x",
        ):
            yield Odd(name=f"{kind} {body.hex()}", level=level, data=packet(first, body))


def _subscribes(level: int) -> Iterator[Odd]:
    none = b"\x00" if level == 5 else b""
    for options in range(256):
        data = packet(0x82, b"\x00\x07", none, field(TOPIC), bytes((options,)))
        yield Odd(name=f"SUBSCRIBE options {options:02x}", level=level, data=data)
    for topic_filter in (b"", b"#", b"+", b"a/#/b", b"a#", b"a+", b"+a", b"##", b"a\x00", b"\xff", b"\xed\xa0\x80",
                         b"/", b"//", b"$share", b"$share/", b"$share//a", b"$share/g", b"$share/g/", b"$share/g/a",
                         b"$share/g/#", b"$share/+/a", b"$share/#", b"$SYS/#"):  # fmt: skip
        data = packet(0x82, b"\x00\x07", none, field(topic_filter), b"\x00")
        yield Odd(name=f"SUBSCRIBE {topic_filter!r}", level=level, data=data)
        data = packet(0xA2, b"\x00\x07", none, field(topic_filter))
        yield Odd(name=f"UNSUBSCRIBE {topic_filter!r}", level=level, data=data)
    for first, kind in ((0x82, "SUBSCRIBE"), (0xA2, "UNSUBSCRIBE")):
        entry = field(TOPIC) + (b"\x00" if first == 0x82 else b"")
        for name, body in {
            "nothing": b"",
            "half an id": b"\x00",
            "an id": b"\x00\x07",
            "no filter": b"\x00\x07" + none,
            "id 0": b"\x00\x00" + none + entry,
            "two": b"\x00\x07" + none + entry + entry,
            "cut": b"\x00\x07" + none + entry[:-1],
            "cut in the second": b"\x00\x07" + none + entry + entry[:-2],
        }.items():
            yield Odd(name=f"{kind} with {name}", level=level, data=packet(first, body))


def _lengths(level: int) -> Iterator[Odd]:
    for kind, (first, body) in _bodies(level).items():
        for more in (b"x", b"\x00", b"\x00\x00\x00"):
            if not kind.startswith("PUBLISH"):
                yield Odd(name=f"{kind} with {more.hex()} behind", level=level, data=packet(first, body, more))
        size = len(body)
        for padded in (bytes((size | 0x80, 0)), bytes((size | 0x80, 0x80, 0)), bytes((size | 0x80, 0x80, 0x80, 0))):
            data = bytes((first,)) + padded + body
            yield Odd(name=f"{kind} with a length of {len(padded)} bytes", level=level, data=data)
        data = bytes((first, size | 0x80, 0x80, 0x80, 0x80, 0x00)) + body
        yield Odd(name=f"{kind} with a length of 5 bytes", level=level, data=data)
        data = bytes((first, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F)) + body
        yield Odd(name=f"{kind} with a length of 5 full bytes", level=level, data=data)


_RIGHT = {BYTE: 1, TWO: 5, FOUR: 5, VARINT: 5, TEXT: "text", PAIR: ("k", "v")}
_ZERO = {BYTE: 0, TWO: 0, FOUR: 0, VARINT: 0, TEXT: "", PAIR: ("", "")}
_TOP = {BYTE: 255, TWO: 65535, FOUR: 0xFFFFFFFF, VARINT: 268_435_455, TEXT: "x" * 1000, PAIR: ("x" * 500, "y" * 500)}


def _with(kind: str, properties: bytes) -> tuple[bytes, bool]:
    """(packet of MQTT 5 with these properties, whether it is the first one)."""
    made = varint(len(properties)) + properties
    return {
        "CONNECT": (plain_connect(5, properties=made), True),
        "will": (plain_connect(5, flags=6, rest=made + field("will") + field("gone")), True),
        "PUBLISH": (packet(0x30, field(TOPIC), made, b"x"), False),
        "PUBLISH 1": (packet(0x32, field(TOPIC), b"\x00\x07", made, b"x"), False),
        "PUBACK": (packet(0x40, b"\x00\x07\x00", made), False),
        "PUBREC": (packet(0x50, b"\x00\x07\x00", made), False),
        "PUBREL": (packet(0x62, b"\x00\x07\x00", made), False),
        "PUBCOMP": (packet(0x70, b"\x00\x07\x00", made), False),
        "SUBSCRIBE": (packet(0x82, b"\x00\x07", made, field(TOPIC), b"\x00"), False),
        "UNSUBSCRIBE": (packet(0xA2, b"\x00\x07", made, field(TOPIC)), False),
        "DISCONNECT": (packet(0xE0, b"\x00", made), False),
        "AUTH": (packet(0xF0, b"\x19", made), False),
    }[kind]


_KINDS = ("CONNECT", "will", "PUBLISH", "PUBLISH 1", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
          "UNSUBSCRIBE", "DISCONNECT", "AUTH")  # fmt: skip


def _properties() -> Iterator[Odd]:
    for kind in _KINDS:
        for number in range(0x2C):
            values = {"unknown": varint(number) + b"\x00"}
            if number in KINDS:
                right = prop(number, _RIGHT[KINDS[number]])
                values = {
                    "right": right,
                    "twice": right * 2,
                    "zero": prop(number, _ZERO[KINDS[number]]),
                    "top": prop(number, _TOP[KINDS[number]]),
                    "cut": right[:-1],
                    "alone": right[:1],
                }
                if KINDS[number] == TEXT:
                    values |= {"bad": prop(number, b"\xff"), "nul": prop(number, b"a\x00"), "wild": prop(number, "a/#")}
                if KINDS[number] == PAIR:
                    values |= {"bad": prop(number, (b"k", b"\xff")), "bad key": prop(number, (b"\xff", b"v"))}
            for what, raw in values.items():
                data, is_first = _with(kind, raw)
                yield Odd(name=f"{kind} property {number:02x} {what}", level=5, data=data, is_first=is_first)
        data, is_first = _with(kind, b"")
        yield Odd(name=f"{kind} without properties", level=5, data=data, is_first=is_first)
        data, is_first = _with(kind, prop(0x26, ("k", "v")) * 20)
        yield Odd(name=f"{kind} with 20 user properties", level=5, data=data, is_first=is_first)


def _codes() -> Iterator[Odd]:
    for code in range(256):
        for first, kind in ((0x40, "PUBACK"), (0x50, "PUBREC"), (0x62, "PUBREL"), (0x70, "PUBCOMP")):
            yield Odd(name=f"{kind} code {code:02x}", level=5, data=packet(first, b"\x00\x07", bytes((code,))))
        yield Odd(name=f"DISCONNECT code {code:02x}", level=5, data=packet(0xE0, bytes((code,))))
        yield Odd(name=f"AUTH code {code:02x}", level=5, data=packet(0xF0, bytes((code,)), block(prop(0x15, "m"))))


def _characters() -> Iterator[Odd]:
    """Characters that §1.5.4 advises against, in names and in texts."""
    for text in ("a\x01", "\x1f", "\x7f", "\x80", "\ufdd0", "\uffff", "\U0001fffe", "\ufeff", "\U0010fffd"):
        for kind, number in (("CONNECT", 0x26), ("will", 0x03), ("PUBLISH", 0x03), ("PUBLISH", 0x08), ("PUBLISH", 0x26),
                             ("PUBACK", 0x1F), ("SUBSCRIBE", 0x26)):  # fmt: skip
            data, is_first = _with(kind, prop(number, ("k", text) if number == 0x26 else text))
            yield Odd(name=f"{kind} text {number:02x} {text!r}", level=5, data=data, is_first=is_first)
        for level in (4, 5):
            none = b"\x00" if level == 5 else b""
            head = field(NAMES[level]) + bytes((level, 2)) + b"\x00\x3c" + none
            yield Odd(name=f"PUBLISH topic {text!r}", level=level, data=packet(0x30, field(text), none))
            data = packet(0x82, b"\x00\x07", none, field(text), b"\x00")
            yield Odd(name=f"SUBSCRIBE filter {text!r}", level=level, data=data)
            yield Odd(name=f"client id {text!r}", level=level, data=packet(0x10, head, field(text)), is_first=True)
            data = plain_connect(level, flags=0x82, rest=field(text))
            yield Odd(name=f"user name {text!r}", level=level, data=data, is_first=True)
