"""How the body of a frame is made smaller, and how it is made whole again within bounds.

Theory: whoever sends a frame says how long its body will be once inflated, and the reader says how long it may be at
most. Inflating stops at the smaller of the two, so a few kilobytes that would become gigabytes cost a few kilobytes.

    none   the body as it is
    gzip   one gzip member (RFC 1952), nothing after it
    zstd   one Zstandard frame (RFC 8878) that carries its content size, nothing after it
"""

from __future__ import annotations

import zlib
from typing import Final

import zstandard

from bridge.errors import FrameMalformed, InflateBound
from config.settings import Compression

ZSTD_SMALL_BYTES: Final = 64 * 1024
ZSTD_LEVEL_SMALL: Final = 9
"""Below ZSTD_SMALL_BYTES: bodies are small where rates are low, so the processor is idle and the link is what costs. On
telemetry (records of 160 to 200 bytes) 2 to 20 % smaller than level 3, in less than a millisecond."""
ZSTD_LEVEL_LARGE: Final = 1
"""From there on: as small as level 3 on telemetry, or smaller, and faster; level 9 would take eight times as long."""
GZIP_LEVEL: Final = 6
_GZIP_WINDOW_BITS: Final = 16 + zlib.MAX_WBITS


class Codec:
    """Compresses and inflates; keeps its contexts for the next time.

    Not safe to share between threads (zstandard's contexts are not): one a thread.
    """

    __slots__ = ("_zstd_inflate", "_zstd_large", "_zstd_small")

    def __init__(self) -> None:
        self._zstd_small = _zstd(ZSTD_LEVEL_SMALL)
        self._zstd_large = _zstd(ZSTD_LEVEL_LARGE)
        self._zstd_inflate = zstandard.ZstdDecompressor()

    def compress(self, data: bytes, compression: Compression) -> bytes:
        """The same input gives the same output; a gzip member carries no time."""
        if compression is Compression.ZSTD:
            zstd = self._zstd_small if len(data) < ZSTD_SMALL_BYTES else self._zstd_large
            return zstd.compress(data)
        if compression is Compression.GZIP:
            member = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)
            return member.compress(data) + member.flush()
        return data

    def inflate(self, data: bytes, compression: Compression, *, raw_size_bytes: int, max_bytes: int) -> bytes:
        """Exactly `raw_size_bytes` bytes, and never more than `max_bytes`.

        Raises InflateBound when it would be more than declared or allowed, FrameMalformed when it is anything else than
        one whole compressed unit of the declared size.
        """
        if raw_size_bytes > max_bytes:
            raise InflateBound(
                f"The body declares {raw_size_bytes} bytes once inflated; this receiver takes {max_bytes} at most."
            )
        if compression is Compression.ZSTD:
            return self._inflate_zstd(data, raw_size_bytes)
        if compression is Compression.GZIP:
            return _inflate_gzip(data, raw_size_bytes)
        if len(data) != raw_size_bytes:
            raise FrameMalformed(f"The body has {len(data)} bytes where {raw_size_bytes} were declared.")
        return data

    def _inflate_zstd(self, data: bytes, raw_size_bytes: int) -> bytes:
        try:
            # The content size stands in the first bytes: a bomb is told before any of it is inflated.
            content_size = zstandard.frame_content_size(data)
            if content_size < 0:
                raise FrameMalformed("The body is a Zstandard frame without its content size.")
            if content_size > raw_size_bytes:
                raise InflateBound(f"The body inflates to {content_size} bytes; {raw_size_bytes} were declared.")
            raw = self._zstd_inflate.decompress(data, max_output_size=max(raw_size_bytes, 1), allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise FrameMalformed(f"The body is not one whole Zstandard frame: {error}") from error
        if len(raw) != raw_size_bytes:
            raise FrameMalformed(f"The body inflates to {len(raw)} bytes where {raw_size_bytes} were declared.")
        return raw


def _zstd(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)


def _inflate_gzip(data: bytes, raw_size_bytes: int) -> bytes:
    member = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        # One byte more than declared is enough to know that it is too long.
        raw = member.decompress(data, raw_size_bytes + 1)
    except zlib.error as error:
        raise FrameMalformed(f"The body is not a gzip member: {error}") from error
    if len(raw) > raw_size_bytes:
        raise InflateBound(f"The body inflates past the {raw_size_bytes} bytes that were declared.")
    if not member.eof or member.unused_data:
        raise FrameMalformed("The body is not one whole gzip member.")
    if len(raw) != raw_size_bytes:
        raise FrameMalformed(f"The body inflates to {len(raw)} bytes where {raw_size_bytes} were declared.")
    return raw
