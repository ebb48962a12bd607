"""The frame: what crosses the WAN, as one MQTT payload. docs/frame-format.md says the same for a stranger.

Limits: a header of 256 KiB and 1000 gaps; sequence numbers below 2**63; a raw body within what the reader allows.

Layout (integers big-endian):

    0   3   magic: 46 47 9D ("FG" and a byte that never begins a character of UTF-8, so a frame is never text)
    3   1   version: 1
    4   4   CRC-32C of every byte from offset 8 to the end
    8   4   length of the header
    12  4   length of the body
    16  …   header: a MessagePack map
    …   …   body: compressed as the header says

Header keys: `gw` gateway, `st` stream, `ep` epoch, `seq` sequence number of the first record, `n` records, `enc`
encoding, `cmp` compression, `raw` length of the inflated body, `at` microseconds since 1970 when it was sealed; and
only where there are any: `gap` [[first, count, reason]…], `dict` the compression dictionary's id. Unknown keys are
skipped.

Invariants: the whole payload is exactly one frame. Gaps are ascending, do not overlap, and end at or before `seq`. With
`n` 0 there is at least one gap and no body: the frame declares how a stream ends for now. Records have the sequence
numbers seq … seq + n - 1 without a hole.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import google_crc32c
import msgpack

from bridge.block import MAX_TIME_US, Block, decode_blocks
from bridge.compression import Codec
from bridge.errors import (
    BadMagic,
    BlockError,
    ChecksumMismatch,
    FrameError,
    FrameMalformed,
    FrameProbe,
    FrameTruncated,
    UnknownVersion,
)
from bridge.json_lines import decode_lines, encode_lines
from bridge.ports import Gap, StoredBlock
from config.settings import Compression, Encoding

MAGIC: Final = b"FG\x9d"
VERSION: Final = 1
PROBE: Final = MAGIC + b"\x00"
"""What is published to find out whether frames may be: a reader counts it, and sets nothing aside."""
HEAD_SIZE_BYTES: Final = 16
MAX_HEADER_BYTES: Final = 256 * 1024
MAX_GAPS: Final = 1000
MAX_SEQ: Final = 2**63 - 1

_LENGTHS: Final = struct.Struct(">II")
_CRC: Final = struct.Struct(">I")
_EPOCH_PATTERN: Final = re.compile(r"[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What a frame says about itself. Raises ValueError when made with something that no frame may say."""

    gateway: str
    stream: str
    epoch: str
    first_seq: int
    count: int
    gaps: tuple[Gap, ...] = field(default=())
    encoding: Encoding = Encoding.BLOCKS
    compression: Compression = Compression.ZSTD
    raw_size_bytes: int = 0
    """Filled in by `seal`."""
    sent_at_us: int = 0

    def __post_init__(self) -> None:
        if not self.gateway or not self.stream:
            raise ValueError("a frame names its gateway and its stream")
        if not _EPOCH_PATTERN.match(self.epoch):
            raise ValueError(f"the epoch {self.epoch!r} is not 16 hexadecimal digits")
        if not 0 <= self.first_seq <= MAX_SEQ or not 0 <= self.count <= MAX_SEQ - self.first_seq:
            raise ValueError(f"sequence numbers {self.first_seq} plus {self.count} are out of range")
        if self.raw_size_bytes < 0 or not 0 <= self.sent_at_us < MAX_TIME_US:
            raise ValueError("a size or time is out of range")
        if not self.count and not self.gaps:
            raise ValueError("the frame has neither records nor gaps")
        if len(self.gaps) > MAX_GAPS:
            raise ValueError(f"{len(self.gaps)} gaps are more than {MAX_GAPS}")
        at = 0
        for gap in self.gaps:
            if gap.first_seq < at or gap.count < 1 or not gap.reason:
                raise ValueError(f"the gap of {gap.count} at {gap.first_seq} is out of order or empty")
            at = gap.first_seq + gap.count
        if at > self.first_seq:
            raise ValueError(f"a gap reaches past the first record {self.first_seq}")

    @property
    def start_seq(self) -> int:
        """The first sequence number that this frame speaks of, as a gap or as a record."""
        return self.gaps[0].first_seq if self.gaps else self.first_seq

    @property
    def next_seq(self) -> int:
        """The sequence number after the last that this frame speaks of."""
        return self.first_seq + self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A decoded frame: every record of it has been checked."""

    header: FrameHeader
    blocks: tuple[Block, ...]


def seal(header: FrameHeader, blocks: Sequence[StoredBlock], codec: Codec) -> bytes:
    """The frame's bytes; the blocks are contiguous and begin at `header.first_seq`.

    One block that is stored as the frame wants it goes in untouched. Raises BlockError when a stored block is not what
    it says, ValueError when the blocks are not the header's.
    """
    if sum(block.count for block in blocks) != header.count or (blocks and blocks[0].first_seq != header.first_seq):
        raise ValueError("the blocks are not the records that the header declares")
    compression = header.compression
    if not blocks:
        raw_size, compression, body = 0, Compression.NONE, b""
    elif (
        len(blocks) == 1
        and blocks[0].compressed
        and header.encoding is Encoding.BLOCKS
        and compression is Compression.ZSTD
    ):
        raw_size, body = blocks[0].raw_size_bytes, blocks[0].body
    else:
        raw = b"".join([raw_block(block, codec) for block in blocks])
        if header.encoding is Encoding.JSON:
            raw = b"".join(
                [
                    encode_lines(block, gateway=header.gateway, stream=header.stream, epoch=header.epoch)
                    for block in decode_blocks(raw, header.first_seq)
                ]
            )
        raw_size, body = len(raw), codec.compress(raw, compression)
    return _assemble(replace(header, raw_size_bytes=raw_size, compression=compression), body)


def raw_block(block: StoredBlock, codec: Codec) -> bytes:
    """The MessagePack bytes of a stored block. Raises BlockError when the stored bytes are not what they say."""
    if not block.compressed:
        return block.body
    size = block.raw_size_bytes
    try:
        return codec.inflate(block.body, Compression.ZSTD, raw_size_bytes=size, max_bytes=size)
    except FrameError as error:
        raise BlockError(f"The stored block at {block.first_seq} does not inflate: {error}") from error


def _assemble(header: FrameHeader, body: bytes) -> bytes:
    fields: dict[str, Any] = {
        "gw": header.gateway,
        "st": header.stream,
        "ep": header.epoch,
        "seq": header.first_seq,
        "n": header.count,
        "enc": header.encoding.value,
        "cmp": header.compression.value,
        "raw": header.raw_size_bytes,
        "at": header.sent_at_us,
    }
    if header.gaps:
        fields["gap"] = [[gap.first_seq, gap.count, gap.reason] for gap in header.gaps]
    packed: bytes = msgpack.packb(fields)
    if len(packed) > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {len(packed)} bytes is more than {MAX_HEADER_BYTES}")
    rest = b"".join((_LENGTHS.pack(len(packed), len(body)), packed, body))
    return b"".join((MAGIC, bytes((VERSION,)), _CRC.pack(google_crc32c.value(rest)), rest))


def decode_frame(data: bytes, max_raw_bytes: int, codec: Codec) -> Frame:
    """The frame in an MQTT payload, with all its records decoded and checked.

    `max_raw_bytes` bounds what the body may inflate to. Raises FrameError, and nothing else, for whatever bytes.
    """
    header, body = decode_header(data)
    raw = codec.inflate(body, header.compression, raw_size_bytes=header.raw_size_bytes, max_bytes=max_raw_bytes)
    if not header.count:
        if raw or body:
            raise FrameMalformed("The frame has no records and yet a body.")
        return Frame(header=header, blocks=())
    blocks: tuple[Block, ...]
    try:
        if header.encoding is Encoding.JSON:
            blocks = (decode_lines(raw, header.first_seq, header.count),)
        else:
            blocks = tuple(decode_blocks(raw, header.first_seq, header.count))
    except BlockError as error:
        raise FrameMalformed(f"The frame's body is not its records: {error}") from error
    found = sum(map(len, blocks))
    if found != header.count:
        raise FrameMalformed(f"The frame declares {header.count} records and holds {found}.")
    return Frame(header=header, blocks=blocks)


def decode_header(data: bytes) -> tuple[FrameHeader, bytes]:
    """The header, and the body as it came, of a frame whose checksum is right. Raises FrameError."""
    magic = data[: len(MAGIC)]
    if not magic or not MAGIC.startswith(magic):
        raise BadMagic("These bytes are not a Fieldgate frame: they do not begin with 46 47 9D.")
    if data == PROBE:
        raise FrameProbe("This is no frame: somebody asks whether one may be published here.")
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise UnknownVersion(f"The frame has version {data[len(MAGIC)]}; this receiver reads version {VERSION}.")
    if len(data) < HEAD_SIZE_BYTES:
        raise FrameTruncated(f"The frame ends after {len(data)} bytes, within its fixed head.")
    (checksum,) = _CRC.unpack_from(data, 4)
    header_size, body_size = _LENGTHS.unpack_from(data, 8)
    size = HEAD_SIZE_BYTES + header_size + body_size
    if len(data) < size:
        raise FrameTruncated(f"The frame ends after {len(data)} bytes of {size}.")
    if len(data) > size:
        raise FrameMalformed(f"{len(data) - size} bytes follow the frame's end.")
    if google_crc32c.value(data[8:]) != checksum:
        raise ChecksumMismatch("The frame's checksum does not match: its bytes changed on the way.")
    if header_size > MAX_HEADER_BYTES:
        raise FrameMalformed(f"The frame's header has {header_size} bytes; {MAX_HEADER_BYTES} are allowed.")
    split = HEAD_SIZE_BYTES + header_size
    return _parse(data[HEAD_SIZE_BYTES:split]), data[split:]


def _parse(packed: bytes) -> FrameHeader:
    try:
        fields = msgpack.unpackb(packed, strict_map_key=True)
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise FrameMalformed(f"The frame's header is not MessagePack: {error}") from error
    if type(fields) is not dict:
        raise FrameMalformed("The frame's header is not a map.")
    encodings = {item.value: item for item in Encoding}
    compressions = {item.value: item for item in Compression}
    encoding = _typed(fields, "enc", str)
    compression = _typed(fields, "cmp", str)
    if encoding not in encodings or compression not in compressions or "dict" in fields:
        raise UnknownVersion(
            f"The frame has encoding {encoding!r}, compression {compression!r} and dictionary {fields.get('dict')!r}; "
            "this receiver does not read that. A newer one may."
        )
    try:
        return FrameHeader(
            gateway=_typed(fields, "gw", str),
            stream=_typed(fields, "st", str),
            epoch=_typed(fields, "ep", str),
            first_seq=_typed(fields, "seq", int),
            count=_typed(fields, "n", int),
            gaps=tuple(_gap(item) for item in _typed(fields, "gap", list)) if "gap" in fields else (),
            encoding=encodings[encoding],
            compression=compressions[compression],
            raw_size_bytes=_typed(fields, "raw", int),
            sent_at_us=_typed(fields, "at", int),
        )
    except ValueError as error:
        raise FrameMalformed(f"The frame's header contradicts itself: {error}.") from error


def _typed(fields: dict[str, Any], key: str, kind: type) -> Any:
    value = fields.get(key)
    if type(value) is not kind:
        raise FrameMalformed(f"The frame's header has {value!r} for {key!r}.")
    return value


def _gap(item: Any) -> Gap:
    if type(item) is list and len(item) == 3 and list(map(type, item)) == [int, int, str]:
        return Gap(first_seq=item[0], count=item[1], reason=item[2])
    raise FrameMalformed(f"The frame's header has {item!r} for a gap.")
