"""Frames that must be small enough."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.compression import Codec
from bridge.frame import FrameHeader, decode_frame
from bridge.ports import Gap
from bridge.sealing import CORRUPT, MAX_RAW_BYTES, TOO_LARGE, Sealed, seal_within
from config.receiver_keys import FRAME_BYTES
from config.settings import MIB, Encoding
from tests.support.cloud import EPOCH, stored_block
from tests.support.examples import examples

CODEC = Codec()
GAPS = (Gap(first_seq=1, count=9, reason="full"),)


def header(count: int, **more: object) -> FrameHeader:
    fields: dict[str, object] = {"gateway": "g", "stream": "s", "epoch": EPOCH, "first_seq": 10, "gaps": GAPS}
    return FrameHeader(**(fields | {"count": count} | more))  # type: ignore[arg-type]


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=6), min_size=1, max_size=5),
    st.none() | st.integers(150, 1500),
    st.none() | st.integers(1, 1500),
    st.sampled_from(Encoding),
    st.integers(0, 9),
)
def test_every_record_is_in_one_frame_that_fits_or_is_given_up(
    sizes: list[list[int]], max_bytes: int | None, target_bytes: int | None, encoding: Encoding, seed: int
) -> None:
    rng = random.Random(seed)
    blocks, seq, wanted = [], 10, {}
    for run in sizes:
        payloads = [rng.randbytes(size) for size in run]
        blocks.append(stored_block(seq, payloads, compressed=rng.random() < 0.5))
        wanted.update(zip(range(seq, seq + len(run)), payloads, strict=True))
        seq += len(run)
    frames = seal_within(
        header(seq - 10, encoding=encoding), blocks, CODEC, start_seq=1, max_bytes=max_bytes, target_bytes=target_bytes
    )
    at, found, declared = 1, {}, 0
    for frame in frames:
        assert frame.start_seq in (at, frame.first_seq)
        if frame.payload is None:
            assert (frame.reason, frame.count) == (TOO_LARGE, 1)
            at = frame.next_seq
            continue
        decoded = decode_frame(frame.payload, 1 << 20, CODEC)
        assert (decoded.header.first_seq, decoded.header.count) == (frame.first_seq, frame.count)
        declared += len(decoded.header.gaps)
        found.update({record.seq: record.payload for block in decoded.blocks for record in block})
        if frame.count:
            assert max_bytes is None or len(frame.payload) <= max_bytes
        if frame.count > 1:
            assert target_bytes is None or len(frame.payload) <= target_bytes
        at = frame.next_seq
    given_up = {frame.first_seq for frame in frames if frame.payload is None}
    assert declared == 1
    assert at == seq
    assert {seq: wanted[seq] for seq in wanted if seq not in given_up} == found
    assert sum(frame.stored_bytes for frame in frames) == sum(len(block.body) for block in blocks)


def test_a_corrupt_block_is_given_up_and_its_neighbours_go() -> None:
    blocks = [stored_block(10 + 2 * n, [b"a", b"b"], compressed=True) for n in range(4)]
    blocks[2] = dataclasses.replace(blocks[2], body=b"garbage")
    frames = seal_within(header(8), blocks, CODEC, start_seq=1, max_bytes=None, target_bytes=None)
    told = [(frame.first_seq, frame.count, frame.reason) for frame in frames]
    assert told == [(10, 4, None), (14, 2, CORRUPT), (16, 2, None)]


def test_the_gaps_before_a_corrupt_block_are_declared_all_the_same() -> None:
    broken = dataclasses.replace(stored_block(10, [b"a"], compressed=True), body=b"garbage")
    more = stored_block(11, [b"a"])
    gaps_frame, given_up, last = seal_within(
        header(2), [broken, more], CODEC, start_seq=1, max_bytes=None, target_bytes=None
    )
    assert isinstance(gaps_frame, Sealed)
    assert gaps_frame.payload is not None
    assert decode_frame(gaps_frame.payload, 100, CODEC).header.gaps == GAPS
    assert (gaps_frame.start_seq, gaps_frame.next_seq) == (1, 10)
    assert (given_up.payload, given_up.reason) == (None, CORRUPT)
    assert last.first_seq == 11


def test_a_block_that_lies_about_its_count_is_given_up_when_it_must_be_split() -> None:
    block = dataclasses.replace(stored_block(10, [b"a" * 99, b"b" * 99]), count=3)
    frames = seal_within(header(3, gaps=()), [block], CODEC, start_seq=10, max_bytes=None, target_bytes=50)
    assert [(frame.count, frame.reason) for frame in frames] == [(3, CORRUPT)]


def test_a_receiver_cannot_be_told_to_take_less_than_a_gateway_puts_into_a_frame() -> None:
    assert FRAME_BYTES == MAX_RAW_BYTES


@pytest.mark.parametrize("limit", [None, 10])
def test_a_frame_of_gaps_alone_goes_as_it_is(limit: int | None) -> None:
    (frame,) = seal_within(header(0), [], CODEC, start_seq=1, max_bytes=limit, target_bytes=limit)
    assert (frame.start_seq, frame.next_seq, frame.count) == (1, 10, 0)


@pytest.mark.parametrize(
    ("blocks", "each", "encoding"), [(5, 8, Encoding.BLOCKS), (1, 40, Encoding.BLOCKS), (1, 12, Encoding.JSON)]
)
def test_payloads_that_compress_a_thousandfold_make_no_frame_that_a_receiver_would_turn_away(
    blocks: int, each: int, encoding: Encoding
) -> None:
    payload = bytes(MIB // 2)
    run = [stored_block(10 + n * each, [payload] * each, compressed=True) for n in range(blocks)]
    frames = seal_within(
        header(blocks * each, encoding=encoding), run, CODEC, start_seq=1, max_bytes=None, target_bytes=None
    )
    decoded = [decode_frame(frame.payload or b"", MAX_RAW_BYTES, CODEC) for frame in frames]
    seqs = [record.seq for frame in decoded for block in frame.blocks for record in block]
    assert seqs == list(range(10, 10 + blocks * each))
    assert [len(frame.header.gaps) for frame in decoded] == [1] + [0] * (len(decoded) - 1)
