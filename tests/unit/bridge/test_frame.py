"""Frames: what goes in comes out, and nothing a stranger sends does more than raise a FrameError."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import google_crc32c
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.block_builder import BlockBuilder
from bridge.compression import Codec
from bridge.errors import (
    BadMagic,
    BlockError,
    ChecksumMismatch,
    FrameError,
    FrameMalformed,
    FrameTruncated,
    InflateBound,
    UnknownVersion,
)
from bridge.frame import MAX_GAPS, MAX_HEADER_BYTES, MAX_SEQ, FrameHeader, decode_frame, decode_header, seal
from bridge.ports import Gap, StoredBlock
from bridge.record import Properties, Record
from config.settings import Compression, Encoding
from tests.support.examples import examples

CODEC = Codec()
CAP = 1 << 22
EPOCH = "0123456789abcdef"

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
property_sets = st.builds(
    Properties,
    payload_format_indicator=st.none() | st.integers(0, 1),
    message_expiry_interval=st.none() | st.integers(0, 2**32 - 1),
    content_type=st.none() | texts,
    response_topic=st.none() | texts,
    correlation_data=st.none() | st.binary(max_size=8),
    user_property=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
)
publishes = st.tuples(
    texts, texts, st.binary(max_size=40), st.integers(0, 2), st.booleans(), st.none() | property_sets, st.integers(0, 9)
)
runs = st.lists(st.lists(publishes, min_size=1, max_size=4), min_size=1, max_size=4)


def header(**more: Any) -> FrameHeader:
    return FrameHeader(**{"gateway": "edge", "stream": "telemetry", "epoch": EPOCH, "first_seq": 1, "count": 1} | more)


def block_of(
    first_seq: int, items: list[Any], *, start_us: int = 1_700_000_000_000_000, compressed: bool
) -> StoredBlock:
    builder = BlockBuilder(start_us)
    for client, topic, payload, qos, retain, properties, later_us in items:
        builder.extend(
            client=client,
            now_us=start_us + later_us,
            topics=[topic.encode()],
            payloads=[payload],
            flags=bytes([qos << 1 | retain]),
            plain_size_bytes=0,
            properties=[properties] if properties is not None else None,
        )
    raw = builder.encode()
    return StoredBlock(
        first_seq=first_seq,
        count=len(items),
        received_at_us=start_us,
        raw_size_bytes=len(raw),
        plain_size_bytes=0,
        compressed=compressed,
        body=CODEC.compress(raw, Compression.ZSTD) if compressed else raw,
    )


def plain(record: Record) -> tuple[Any, ...]:
    values = [getattr(record, field.name) for field in dataclasses.fields(record)]
    values[-1] = record.properties.to_map() if record.properties is not None else None
    return tuple(values)


@settings(max_examples=examples(60), deadline=None)
@given(
    runs,
    st.integers(1, 2**40),
    st.sampled_from(Encoding),
    st.sampled_from(Compression),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_records_come_out_as_they_went_in(
    items: list[list[Any]], first_seq: int, encoding: Encoding, compression: Compression, compressed: list[bool]
) -> None:
    blocks, seq = [], first_seq
    for run, packed in zip(items, compressed, strict=False):
        blocks.append(block_of(seq, run, compressed=packed))
        seq += len(run)
    head = header(
        first_seq=first_seq,
        count=seq - first_seq,
        gaps=(Gap(first_seq=0, count=1, reason="full"),),
        encoding=encoding,
        compression=compression,
        sent_at_us=5,
    )
    frame = decode_frame(seal(head, blocks, CODEC), CAP, CODEC)
    assert dataclasses.replace(frame.header, raw_size_bytes=0) == head
    found = [plain(record) for block in frame.blocks for record in block]
    wanted = [
        plain(
            Record(
                seq=first_seq + at,
                received_at_us=1_700_000_000_000_000 + later_us,
                client=client,
                topic=topic,
                payload=payload,
                qos=qos,
                retain=retain,
                properties=properties,
            )
        )
        for at, (client, topic, payload, qos, retain, properties, later_us) in enumerate(
            item for run in items for item in run
        )
    ]
    # A set of properties in which nothing is set is as good as none, and JSON may say it either way.
    assert [(*record[:-1], record[-1] or None) for record in found] == [(*r[:-1], r[-1] or None) for r in wanted]


def a_frame(**more: Any) -> bytes:
    items = [("c", "a/b", b"payload" * 3, 1, False, None, 0), ("d", "a/c", b"\xff", 2, True, None, 7)]
    return seal(header(count=2, **more), [block_of(1, items, compressed=False)], CODEC)


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("compression", list(Compression))
def test_a_frame_cut_at_any_byte_is_refused(encoding: Encoding, compression: Compression) -> None:
    whole = a_frame(encoding=encoding, compression=compression)
    for length in range(len(whole)):
        with pytest.raises(BadMagic if length == 0 else FrameTruncated):
            decode_frame(whole[:length], CAP, CODEC)


@pytest.mark.parametrize("compression", list(Compression))
def test_a_frame_with_any_bit_flipped_is_refused(compression: Compression) -> None:
    whole = a_frame(compression=compression)
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            decode_frame(bytes(flipped), CAP, CODEC)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_a_frame_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        decode_frame(data, CAP, CODEC)


def assembled(packed_header: bytes, body: bytes) -> bytes:
    """A frame with a right checksum, whatever is in it."""
    rest = len(packed_header).to_bytes(4, "big") + len(body).to_bytes(4, "big") + packed_header + body
    return b"FG\x9d\x01" + google_crc32c.value(rest).to_bytes(4, "big") + rest


FIELDS: dict[str, Any] = {
    "gw": "g",
    "st": "s",
    "ep": EPOCH,
    "seq": 1,
    "n": 1,
    "enc": "blocks",
    "cmp": "none",
    "raw": 0,
    "at": 0,
}


@settings(deadline=None)
@given(
    st.binary(max_size=120),
    st.sampled_from(("blocks", "json")),
    st.sampled_from(("none", "gzip", "zstd")),
    st.integers(0, 300),
)
def test_a_random_body_behind_a_right_checksum_raises_nothing_but_a_frame_error(
    body: bytes, encoding: str, compression: str, raw: int
) -> None:
    fields = FIELDS | {"enc": encoding, "cmp": compression, "raw": len(body) if compression == "none" else raw}
    with pytest.raises(FrameError):
        decode_frame(assembled(msgpack.packb(fields), body), CAP, CODEC)


leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | texts | st.binary(max_size=9)
values = leaves | st.lists(leaves, max_size=4) | st.dictionaries(texts, leaves, max_size=2)


COLUMNS: list[Any] = [
    1_700_000_000_000_000,
    ["t"],
    ["c"],
    [0],
    [0],
    [0],
    b"\x02",
    [b"x"],
    [[{"content_type": "x"}], [1]],
]


@settings(deadline=None)
@given(st.integers(0, 8), values | st.lists(values, min_size=1, max_size=2))
def test_a_column_of_anything_behind_a_right_checksum_raises_nothing_but_a_frame_error(at: int, value: Any) -> None:
    body = msgpack.packb([*COLUMNS[:at], value, *COLUMNS[at + 1 :]])
    try:
        frame = decode_frame(assembled(msgpack.packb(FIELDS | {"raw": len(body)}), body), CAP, CODEC)
    except FrameError:
        return
    (record,) = frame.blocks[0]
    assert isinstance(record.topic, str)
    assert isinstance(record.client, str)
    assert isinstance(record.payload, bytes)
    assert record.received_at_us >= 0


@settings(deadline=None)
@given(st.sampled_from(sorted(FIELDS)), values)
def test_a_header_with_anything_for_a_value_raises_nothing_but_a_frame_error(key: str, value: Any) -> None:
    # One record is declared and the body is empty, so it is refused whatever the one value is.
    with pytest.raises(FrameError):
        decode_frame(assembled(msgpack.packb(FIELDS | {key: value}), b""), CAP, CODEC)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_a_random_header_raises_nothing_but_a_frame_error(packed: bytes) -> None:
    with pytest.raises(FrameError):
        decode_frame(assembled(packed, b""), CAP, CODEC)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: b"{" + data[1:], BadMagic),
        (lambda data: b'{"temperature": 21}', BadMagic),
        (lambda data: data[:3] + b"\x02" + data[4:], UnknownVersion),
        (lambda data: data + b"\x00", FrameMalformed),
        (lambda data: data + data, FrameMalformed),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), ChecksumMismatch),
        (lambda data: assembled(b"", b""), FrameMalformed),
        (lambda data: assembled(b"\xc0" * (MAX_HEADER_BYTES + 1), b""), FrameMalformed),
        (lambda data: assembled(msgpack.packb([1]), b""), FrameMalformed),
        (lambda data: assembled(msgpack.packb(FIELDS | {"enc": "columns"}), b""), UnknownVersion),
        (lambda data: assembled(msgpack.packb(FIELDS | {"cmp": "brotli"}), b""), UnknownVersion),
        (lambda data: assembled(msgpack.packb(FIELDS | {"dict": 1}), b""), UnknownVersion),
        (lambda data: assembled(msgpack.packb(FIELDS | {"raw": CAP + 1}), b""), InflateBound),
        (lambda data: assembled(msgpack.packb(FIELDS | {"n": 0}), b""), FrameMalformed),
        (lambda data: assembled(msgpack.packb(FIELDS | {"gap": [[0, 1]]}), b""), FrameMalformed),
        (
            lambda data: assembled(msgpack.packb(FIELDS | {"n": 0, "gap": [[0, 1, "full"]], "raw": 1}), b"x"),
            FrameMalformed,
        ),
    ],
)
def test_what_is_wrong_with_a_frame_has_its_own_error(
    change: Callable[[bytes], bytes], error: type[FrameError]
) -> None:
    with pytest.raises(error):
        decode_frame(change(a_frame()), CAP, CODEC)


def test_an_unknown_key_in_the_header_is_skipped() -> None:
    packed = msgpack.packb(FIELDS | {"n": 0, "gap": [[0, 1, "full"]], "new": [1, {"a": 2}]})
    found, body = decode_header(assembled(packed, b""))
    assert (found.gaps[0].count, body) == (1, b"")


def test_more_or_fewer_records_than_declared_are_refused() -> None:
    _, body = decode_header(a_frame(compression=Compression.NONE))
    for count in (1, 3):
        packed = msgpack.packb(FIELDS | {"n": count, "raw": len(body)})
        with pytest.raises(
            FrameMalformed, match=rf"declares {count} records and holds 2|exceeds max_array_len\({count}\)"
        ):
            decode_frame(assembled(packed, body), CAP, CODEC)


def test_a_frame_of_gaps_alone_goes_round() -> None:
    gaps = (Gap(first_seq=5, count=2, reason="full"), Gap(first_seq=7, count=3, reason="expired"))
    frame = decode_frame(seal(header(first_seq=10, count=0, gaps=gaps), [], CODEC), CAP, CODEC)
    assert frame.blocks == ()
    assert frame.header.gaps == gaps
    assert (frame.header.start_seq, frame.header.next_seq) == (5, 10)


def test_one_compressed_block_goes_in_untouched() -> None:
    block = block_of(1, [("c", "a", bytes(500), 1, False, None, 0)], compressed=True)
    head, body = decode_header(seal(header(), [block], CODEC))
    assert body == block.body
    assert head.raw_size_bytes == block.raw_size_bytes


def test_several_compressed_blocks_are_compressed_as_one() -> None:
    items = [("c", "a", bytes(range(256)), 1, False, None, 0)]
    blocks = [block_of(seq, items, compressed=True) for seq in range(1, 9)]
    data = seal(header(count=8), blocks, CODEC)
    assert len(data) < 2 * len(blocks[0].body)
    assert [record.seq for block in decode_frame(data, CAP, CODEC).blocks for record in block] == list(range(1, 9))


def test_a_stored_block_that_does_not_inflate_is_a_block_error() -> None:
    block = block_of(1, [("c", "a", b"x", 1, False, None, 0)], compressed=False)
    with pytest.raises(BlockError):
        seal(header(encoding=Encoding.JSON), [dataclasses.replace(block, compressed=True)], CODEC)


def test_blocks_that_are_not_the_headers_are_a_mistake_of_the_caller() -> None:
    block = block_of(1, [("c", "a", b"x", 1, False, None, 0)], compressed=False)
    for head in (header(count=2), header(first_seq=2)):
        with pytest.raises(ValueError, match="not the records"):
            seal(head, [block], CODEC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gateway": ""},
        {"stream": ""},
        {"epoch": "0123456789ABCDEF"},
        {"epoch": EPOCH + "\n"},
        {"first_seq": -1},
        {"first_seq": MAX_SEQ, "count": 1},
        {"count": 0},
        {"count": -1},
        {"raw_size_bytes": -1},
        {"sent_at_us": -1},
        {"first_seq": 9, "gaps": (Gap(first_seq=8, count=2, reason="full"),)},
        {"first_seq": 9, "gaps": (Gap(first_seq=1, count=0, reason="full"),)},
        {"first_seq": 9, "gaps": (Gap(first_seq=1, count=1, reason=""),)},
        {"first_seq": 9, "gaps": (Gap(first_seq=4, count=2, reason="full"), Gap(first_seq=5, count=1, reason="full"))},
        {"first_seq": 9999, "gaps": tuple(Gap(first_seq=i, count=1, reason="full") for i in range(MAX_GAPS + 1))},
    ],
)
def test_a_header_that_no_frame_may_have_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        header(**wrong)
