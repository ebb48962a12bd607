"""What a broker may answer that nobody would think of: named scripts for `HostileBroker`, each for one connection."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable

from tests.support import wire
from tests.support.hostile_broker import Script, Visit

_HUGE = b"\xff\xff\xff\x7f"
"""256 MB less one byte as a remaining length."""
_RNG = random.Random(3)


def at_once(data: bytes) -> Script:
    """Bytes before anything was asked."""

    async def play(visit: Visit) -> None:
        visit.send(data)
        await visit.flush()

    return play


def for_connect(data: bytes | Callable[[Visit], bytes]) -> Script:
    """Bytes in place of a CONNACK; then the gateway may end it, or we do."""

    async def play(visit: Visit) -> None:
        await visit.connect()
        visit.send(data if isinstance(data, bytes) else data(visit))
        await _a_moment(visit)

    return play


def online(data: bytes | Callable[[Visit, int], bytes], *, items: wire.Properties = ()) -> Script:
    """Bytes once a frame is there."""

    async def play(visit: Visit) -> None:
        await visit.connect()
        visit.connack(items=items if visit.level == 5 else ())
        packet_id = await visit.frame()
        visit.send(data if isinstance(data, bytes) else data(visit, packet_id))
        await visit.flush()
        await _a_moment(visit)

    return play


def endless(head: bytes, packet: bytes) -> Script:
    """A CONNACK or none, then a packet that never ends, or without one QoS 2 publishes that nobody asked for."""

    async def play(visit: Visit) -> None:
        await visit.connect()
        visit.send(head)
        zeros = bytes(1 << 20)
        visit.send(packet)
        for turn in range(250):
            if packet:
                visit.send(zeros)
            else:
                ids = range(turn * 250 + 1, turn * 250 + 251)
                visit.send(b"".join([wire.publish("a", zeros[:4000], version=5, qos=2, packet_id=n) for n in ids]))
            await visit.flush()
            if visit.is_over:
                return

    return play


async def _a_moment(visit: Visit) -> None:
    """Let the gateway answer, or hang up; then we do."""
    try:
        async with asyncio.timeout(0.15):
            await visit.gone()
    except TimeoutError:
        pass


def _ack(first: int, packet_id: int, *tail: int) -> bytes:
    return wire.packet(first, struct.pack("!H", packet_id), bytes(tail))


async def _reset(visit: Visit) -> None:
    await visit.connect()
    visit.cut()


async def _reset_online(visit: Visit) -> None:
    await visit.connect()
    visit.connack()
    await visit.frame()
    visit.cut()


async def _drip(visit: Visit) -> None:
    await visit.connect()
    for byte in b"\x20\x13\x00\x00\x10\x26\x00\x01a\x00\x08bbbbbbbb":
        visit.send(bytes((byte,)))
        await asyncio.sleep(0.05)


async def _all_refused(visit: Visit) -> None:
    await visit.connect()
    visit.connack()
    for code in (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x10, 0x42, 0xFE, 0xFF):
        visit.puback(await visit.frame(), code)
        await visit.flush()


async def _acked_from_behind(visit: Visit) -> None:
    """Frames acknowledged in the wrong order, each twice, and those of nobody in between."""
    await visit.connect()
    visit.connack()
    ids = [await visit.frame() for _ in range(3)]
    for packet_id in reversed(ids):
        for each in (packet_id, packet_id, packet_id + 1000):
            visit.puback(each)
    await visit.flush()
    await _a_moment(visit)


async def _first_never(visit: Visit) -> None:
    """Everything is acknowledged but the first frame of the connection."""
    await visit.connect()
    visit.connack()
    await visit.frame()
    for _ in range(4):
        visit.puback(await visit.frame())
    await visit.flush()
    await _a_moment(visit)


async def _never_reads(visit: Visit) -> None:
    await visit.connect()
    visit.connack()
    await asyncio.sleep(1.0)


async def _never_acknowledges(visit: Visit) -> None:
    await visit.connect()
    visit.connack()
    await visit.gone()


def named_scripts() -> dict[str, Script]:
    """Each ends within two seconds or so."""
    scripts: dict[str, Script] = {
        "hangs up at once": at_once(b""),
        "garbage before CONNECT": at_once(_RNG.randbytes(5000)),
        "CONNACK before CONNECT": at_once(b"\x20\x03\x00\x00\x00"),
        "reset at CONNECT": _reset,
        "garbage for CONNACK": for_connect(_RNG.randbytes(3000)),
        "HTTP": for_connect(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"),
        "one byte of CONNACK": for_connect(b"\x20"),
        "an empty CONNACK": for_connect(b"\x20\x00"),
        "half a CONNACK": for_connect(b"\x20\x02\x00"),
        "CONNACK of one byte": for_connect(b"\x20\x01\x00"),
        "CONNACK with a length of five bytes": for_connect(b"\x20\xff\xff\xff\xff\x01\x00\x00"),
        "CONNACK that declares 256 MB": for_connect(b"\x20" + _HUGE + b"\x00" * 100_000),
        "CONNACK with properties that lie about their length": for_connect(b"\x20\x04\x00\x00\x7f\x21"),
        "CONNACK with an unknown property": for_connect(b"\x20\x05\x00\x00\x02\x7e\x01"),
        "CONNACK with a property of PUBLISH": for_connect(b"\x20\x08\x00\x00\x05\x02\x00\x00\x00\x01"),
        "CONNACK with a property twice": for_connect(b"\x20\x09\x00\x00\x06\x21\x00\x05\x21\x00\x06"),
        "CONNACK with text that is no text": for_connect(b"\x20\x08\x00\x00\x05\x1f\x00\x02\xff\xfe"),
        "CONNACK with all flags": for_connect(lambda v: wire.packet(0x2F, b"\xff\x00", wire.properties(v.level))),
        "CONNACK that is a v3 one": for_connect(b"\x20\x02\x00\x00"),
        "a session nobody asked for": for_connect(lambda v: wire.packet(0x20, b"\x01\x00", wire.properties(v.level))),
        "CONNACK twice": for_connect(b"\x20\x03\x00\x00\x00" * 2),
        "CONNACK drop by drop": _drip,
        "PINGRESP for CONNACK": for_connect(b"\xd0\x00"),
        "DISCONNECT for CONNACK": for_connect(b"\xe0\x02\x8b\x00"),
        "AUTH for CONNACK": for_connect(b"\xf0\x02\x18\x00"),
        "PUBLISH for CONNACK": for_connect(wire.publish("a", b"x" * 1000, version=5, qos=1)),
        "SUBACK for CONNACK": for_connect(b"\x90\x04\x00\x01\x00\x00"),
        "PUBACK for CONNACK": for_connect(b"\x40\x02\x00\x01"),
        "Receive Maximum 0": for_connect(lambda v: wire.packet(0x20, b"\0\0", wire.properties(5, [(0x21, 0)]))),
        "Receive Maximum 1": online(b"\xd0\x00", items=[(0x21, 1)]),
        "Maximum Packet Size 0": for_connect(lambda v: wire.packet(0x20, b"\0\0", wire.properties(5, [(0x27, 0)]))),
        "Maximum Packet Size 1": for_connect(lambda v: wire.packet(0x20, b"\0\0", wire.properties(5, [(0x27, 1)]))),
        "Maximum QoS 0": for_connect(lambda v: wire.packet(0x20, b"\0\0", wire.properties(5, [(0x24, 0)]))),
        "Server Keep Alive 1": online(b"", items=[(0x13, 1)]),
        "Server Keep Alive 0": online(b"", items=[(0x13, 0)]),
        "an assigned client id of 60 000 bytes": online(b"", items=[(0x12, b"x" * 60_000)]),
        "a thousand user properties": online(b"", items=[(0x26, (b"k", b"v" * 50))] * 1000),
        "reset at the first frame": _reset_online,
        "garbage online": online(_RNG.randbytes(5000)),
        "PUBACKs for all identifiers that were never sent": online(
            b"".join(_ack(0x40, n) for n in range(2000, 65536))  # those of a connection begin at 1
        ),
        "PUBACK for identifier 0": online(_ack(0x40, 0)),
        "PUBACK of no length": online(b"\x40\x00"),
        "PUBACK of one byte": online(b"\x40\x01\x00"),
        "PUBACK with flags for another's": online(lambda v, n: _ack(0x4F, n + 5000)),
        "PUBACK with a property that lies": online(lambda v, n: _ack(0x40, n, 0x97, 0x7F, 0x1F)),
        "PUBACK with a text that is no text": online(lambda v, n: _ack(0x40, n, 0x97, 5, 0x1F, 0, 2, 0xFF, 0xFE)),
        "PUBCOMP for a frame": online(lambda v, n: _ack(0x70, n)),
        "PUBREC and PUBCOMP for a frame": online(lambda v, n: _ack(0x50, n) + _ack(0x70, n)),
        "PUBREL for a frame": online(lambda v, n: _ack(0x62, n)),
        "every refusal in turn": _all_refused,
        "acknowledged from behind, and twice": _acked_from_behind,
        "all but the first acknowledged": _first_never,
        "never reads": _never_reads,
        "never acknowledges": _never_acknowledges,
        "CONNACK again": online(b"\x20\x03\x00\x00\x00"),
        "a refusing CONNACK behind a good one": online(b"\x20\x03\x00\x87\x00"),
        "SUBACK nobody asked for": online(b"\x90\x04\x00\x07\x00\x80"),
        "SUBACK of no length": online(b"\x90\x00"),
        "UNSUBACK of no length": online(b"\xb0\x00"),
        "UNSUBACK nobody asked for": online(b"\xb0\x04\x00\x07\x00\x11"),
        "PUBLISH nobody asked for": online(lambda v, _: wire.publish("a/b", b"x" * 500, version=v.level)),
        "PUBLISH with QoS 1": online(lambda v, _: wire.publish("a/b", b"x", version=v.level, qos=1, packet_id=9)),
        "PUBLISH with QoS 2": online(lambda v, _: wire.publish("a/b", b"x", version=v.level, qos=2, packet_id=9)),
        "PUBLISH with QoS 3": online(lambda v, _: wire.publish("a/b", b"x", version=v.level, qos=3, packet_id=9)),
        "PUBLISH without a topic": online(lambda v, _: wire.publish("", b"x", version=v.level)),
        "PUBLISH with a topic that is no text": online(lambda v, _: wire.publish(b"\xff\xfe", b"x", version=v.level)),
        "PUBLISH of no length": online(b"\x30\x00"),
        "PUBLISH of one byte": online(b"\x32\x01\x00"),
        "PUBREL nobody waits for": online(_ack(0x62, 9)),
        "a client's packets": online(wire.connect("x") + wire.subscribe(("#", 1)) + wire.PINGREQ),
        "ten thousand PINGRESP": online(b"\xd0\x00" * 10_000),
        "ten thousand PINGREQ": online(b"\xc0\x00" * 10_000),
        "AUTH online": online(b"\xf0\x02\x19\x00"),
        "AUTH of no length": online(b"\xf0\x00"),
        "the reserved type 0": online(b"\x00\x00"),
        "DISCONNECT of no length": online(b"\xe0\x00"),
        "DISCONNECT with a property that lies": online(b"\xe0\x03\x8b\x7f\x1f"),
        "DISCONNECT and on with PUBACKs of nobody": online(b"\xe0\x02\x8b\x00" + _ack(0x40, 60_000)),
        "a packet that declares 256 MB": online(b"\x30" + _HUGE + b"\x00\x01a" + b"x" * 200_000),
    }
    for code in (
        *range(1, 6),
        0x80,
        0x84,
        0x85,
        0x86,
        0x87,
        0x88,
        0x89,
        0x8A,
        0x95,
        0x97,
        0x9C,
        0x9D,
        0x9F,
        0x42,
        0xFF,
    ):
        scripts[f"CONNACK 0x{code:02x}"] = for_connect(
            lambda v, code=code: wire.packet(0x20, bytes((0, code)), wire.properties(v.level))
        )
    for code in (0x00, 0x04, 0x81, 0x82, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x97, 0x98, 0x9C, 0xA0, 0x42, 0xFF):
        scripts[f"DISCONNECT 0x{code:02x}"] = online(bytes((0xE0, 2, code, 0)))
    return scripts
