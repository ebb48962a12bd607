"""Conversations of a hostile broker that nobody wrote: hypothesis puts moves together, `scripted` plays them."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support import wire
from tests.support.hostile_broker import Script, Visit

_PATIENCE_S = 0.2


@dataclass(frozen=True, slots=True)
class Say:
    """Bytes, whatever they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement of a type and with a code, for the frame at a place in what is in flight."""

    first: int
    place: int
    code: int | None
    block: bytes = b""
    """What follows the code: properties, or what looks like them."""


@dataclass(frozen=True, slots=True)
class Await:
    """Take so many frames before going on; not for long."""

    frames: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset the connection."""


Move = Say | Answer | Await | Cut

_BODIES = st.binary(max_size=60)


def _packet(first: int, body: bytes, lie: int) -> bytes:
    """With a length that may lie.

    An acknowledgement is for what was never sent: there may be frames that the broker has not read yet, and one that it
    acknowledges unseen could not be told from one that it never did.
    """
    if 0x40 <= first < 0x80:
        body = b"\x7f" + body
    return bytes((first,)) + wire.varint(max(0, len(body) + lie)) + body


_PACKETS = st.builds(
    _packet,
    st.sampled_from([0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0, 0x00, 0x10]),
    _BODIES,
    st.sampled_from([0, 0, 0, 0, -1, 1, 1000, 2**28 - 100]),
)
_KNOWN = tuple(wire.FORMS)
_PROPERTY_BLOCKS = st.lists(
    st.builds(
        lambda identifier, number, raw: wire.property_bytes(
            identifier,
            {"pair": (raw, raw), "text": raw, "varint": number, "byte": number % 256, "two": number % 65536}.get(
                wire.FORMS[identifier], number
            ),
        ),
        st.sampled_from(_KNOWN),
        st.integers(0, 2**28 - 1),
        st.binary(max_size=20),
    ),
    max_size=4,
).map(b"".join)
_CONNACKS = st.builds(
    lambda flags, code, block: wire.packet(0x20, bytes((flags, code)), wire.varint(len(block)), block),
    st.sampled_from([0, 0, 0, 1, 255]),
    st.sampled_from([0, 0, 0, 0, 0x80, 0x84, 0x87, 0x97]),
    _PROPERTY_BLOCKS,
)
_ANSWERS = st.builds(
    Answer,
    st.sampled_from([0x40, 0x40, 0x40, 0x50, 0x62, 0x70, 0x42]),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 255)),
)
_PROPERTIED_ANSWERS = st.builds(
    Answer,
    st.just(0x40),
    st.integers(0, 5),
    st.integers(0, 255),
    _PROPERTY_BLOCKS.map(lambda block: wire.varint(len(block)) + block),
)
OPENINGS = st.one_of(
    st.just(b"\x20\x03\x00\x00\x00"), st.just(b"\x20\x03\x00\x00\x00"), _CONNACKS, _PACKETS, st.binary(max_size=40)
)
MOVES: st.SearchStrategy[list[Move]] = st.lists(
    st.one_of(
        _ANSWERS,
        _ANSWERS,
        st.builds(Await, st.integers(1, 3)),
        st.builds(Say, _PACKETS),
        _PROPERTIED_ANSWERS,
        st.builds(Say, st.binary(min_size=1, max_size=200).filter(lambda raw: raw[0] >> 4 != 4)),
        st.just(Cut()),
    ),
    max_size=10,
)


def scripted(opening: bytes, moves: list[Move]) -> Script:
    """The moves as a script: CONNECT is read, the opening is said, then each move in its turn."""

    async def play(visit: Visit) -> None:
        await visit.connect()
        visit.send(opening)
        for move in moves:
            match move:
                case Say(data):
                    visit.send(data)
                case Await(frames):
                    for _ in range(frames):
                        await _frame(visit)
                case Answer(first, place, code, block):
                    if not visit.frames:
                        await _frame(visit)
                    ids = list(visit.frames) or [1]
                    packet_id = ids[place % len(ids)]
                    tail = b"" if code is None else bytes((code,)) + block
                    visit.send(wire.packet(first, struct.pack("!H", packet_id), tail))
                case Cut():
                    visit.cut()
                    return
        await visit.flush()
        await _frame(visit)

    return play


async def _frame(visit: Visit) -> None:
    """The next frame, or none: the gateway may have nothing more to say to such a broker."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await visit.frame()
    except TimeoutError:
        pass
