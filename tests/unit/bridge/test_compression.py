"""Compressing and inflating, and the bounds of it."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.compression import ZSTD_SMALL_BYTES, Codec
from bridge.errors import FrameError, FrameMalformed, InflateBound
from config.settings import Compression

CODEC = Codec()
CAP = 1 << 20
ALL = list(Compression)
REAL = [Compression.GZIP, Compression.ZSTD]


def inflate(data: bytes, compression: Compression, raw: int, cap: int = CAP) -> bytes:
    return CODEC.inflate(data, compression, raw_size_bytes=raw, max_bytes=cap)


@settings(deadline=None)
@given(st.binary(max_size=2000), st.sampled_from(ALL))
def test_what_is_compressed_inflates_to_itself(data: bytes, compression: Compression) -> None:
    assert inflate(CODEC.compress(data, compression), compression, len(data)) == data


@settings(deadline=None)
@given(st.binary(max_size=2000), st.sampled_from(ALL))
def test_the_same_bytes_compress_to_the_same_bytes(data: bytes, compression: Compression) -> None:
    assert CODEC.compress(data, compression) == Codec().compress(data, compression)


@pytest.mark.parametrize(
    ("size", "level"),
    [(100, 9), (ZSTD_SMALL_BYTES - 1, 9), (ZSTD_SMALL_BYTES, 1), (4 * ZSTD_SMALL_BYTES, 1)],
)
def test_small_bodies_are_compressed_well_and_large_ones_fast(size: int, level: int) -> None:
    lines = b"".join(b'{"device": "climate-%04d", "celsius": %d.5, "n": %d}' % (n % 20, n % 7, n) for n in range(6000))
    expected = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)
    assert CODEC.compress(lines[:size], Compression.ZSTD) == expected.compress(lines[:size])


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(ALL), st.integers(0, 400))
def test_random_bytes_raise_nothing_but_a_frame_error(data: bytes, compression: Compression, raw: int) -> None:
    try:
        found = inflate(data, compression, raw)
    except FrameError:
        return
    assert len(found) == raw


@pytest.mark.parametrize("compression", REAL)
def test_a_body_cut_at_any_byte_is_refused(compression: Compression) -> None:
    packed = CODEC.compress(bytes(range(200)), compression)
    for length in range(len(packed)):
        with pytest.raises(FrameError):
            inflate(packed[:length], compression, 200)


@pytest.mark.parametrize("compression", REAL)
@pytest.mark.parametrize("extra", [b"\x00", b"more"])
def test_bytes_after_the_end_are_refused(compression: Compression, extra: bytes) -> None:
    packed = CODEC.compress(b"data", compression)
    for tail in (extra, packed):
        with pytest.raises(FrameError):
            inflate(packed + tail, compression, 4)


@pytest.mark.parametrize("compression", ALL)
def test_another_length_than_declared_is_refused(compression: Compression) -> None:
    packed = CODEC.compress(bytes(100), compression)
    with pytest.raises(FrameMalformed):
        inflate(packed, compression, 101)
    with pytest.raises(InflateBound if compression in REAL else FrameMalformed):
        inflate(packed, compression, 99)


@pytest.mark.parametrize("compression", ALL)
def test_a_declared_length_above_the_cap_is_refused_unseen(compression: Compression) -> None:
    with pytest.raises(InflateBound, match="takes 10 at most"):
        inflate(b"not even looked at", compression, 11, cap=10)


@pytest.mark.parametrize("compression", REAL)
def test_a_bomb_is_refused_without_being_inflated(compression: Compression) -> None:
    size = 64 * 1024 * 1024
    bomb = CODEC.compress(bytes(size), compression)
    assert len(bomb) < size // 500
    tracemalloc.start()
    try:
        with pytest.raises(InflateBound):
            inflate(bomb, compression, 1000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_zstd_frame_must_carry_its_content_size() -> None:
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(b"data")
    with pytest.raises(FrameMalformed, match="without its content size"):
        inflate(packed, Compression.ZSTD, 4)


def test_anybodys_gzip_is_read() -> None:
    assert inflate(gzip.compress(b"data"), Compression.GZIP, 4) == b"data"
    with pytest.raises(FrameMalformed):
        inflate(zlib.compress(b"data"), Compression.GZIP, 4)
