"""From a run of stored blocks to the frames that carry it: one, or as many as the broker's size makes necessary.

A run too large is halved between blocks until one block is left, then that block is halved between its records, then a
single record that is still too large for the broker is given up with its reason. Besides the size on the wire the size
once inflated is bounded: payloads that compress a thousandfold would else make frames that the receiver's own bound
(receiver.max_frame_size) turns away, and what it turns away nobody sends again.

Pure, so that it may run in any thread with a codec of that thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge.block import Block, decode_blocks
from bridge.compression import Codec
from bridge.errors import BlockError
from bridge.frame import FrameHeader, decode_header, raw_block, seal
from bridge.ports import StoredBlock
from config.settings import MIB

MAX_RAW_BYTES = 16 * MIB
"""No frame inflates to more than this, but one of a single record."""

TOO_LARGE = "too_large"
CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A frame ready to go, or (without `payload`) records that cannot go and why.

    [start_seq, next_seq) is what its acknowledgement acknowledges; `stored_bytes` is its share of the stored blocks.
    """

    start_seq: int
    first_seq: int
    count: int
    payload: bytes | None
    reason: str | None = None
    plain_size_bytes: int
    stored_bytes: int
    split_block: tuple[int, int] | None = None
    """The block of which it is a part, when it is not made of whole blocks."""

    @property
    def next_seq(self) -> int:
        """The sequence number after its last."""
        return self.first_seq + self.count


def seal_within(
    header: FrameHeader,
    blocks: Sequence[StoredBlock],
    codec: Codec,
    *,
    start_seq: int,
    max_bytes: int | None,
    target_bytes: int | None,
    is_suspect: bool = False,
) -> list[Sealed]:
    """The frames that carry the header's gaps and the blocks, in order.

    No frame is above `max_bytes`; none is above `target_bytes` or MAX_RAW_BYTES but one of a single record. `start_seq`
    is the sequence number from which the first frame speaks. With `is_suspect` a stored block is inflated before it
    goes in untouched.
    """
    if len(blocks) > 1 and sum(block.raw_size_bytes for block in blocks) > MAX_RAW_BYTES:
        return _halves(
            header,
            blocks,
            codec,
            start_seq=start_seq,
            max_bytes=max_bytes,
            target_bytes=target_bytes,
            is_suspect=is_suspect,
        )
    try:
        if is_suspect and len(blocks) == 1:
            raw_block(blocks[0], codec)
        payload = seal(header, blocks, codec)
        stored = sum(len(block.body) for block in blocks)
        if _fits(payload, max_bytes, target_bytes) or (not blocks and max_bytes is None):
            return [_whole(header, blocks, payload, start_seq)]
        if len(blocks) > 1:
            return _halves(header, blocks, codec, start_seq=start_seq, max_bytes=max_bytes, target_bytes=target_bytes)
        if not blocks:
            # A frame of gaps alone cannot be made smaller by leaving records out; the broker has the last word.
            return [_whole(header, blocks, payload, start_seq)]
        block = _only_block(raw_block(blocks[0], codec), header)
    except BlockError:
        if len(blocks) > 1:
            return _halves(
                header,
                blocks,
                codec,
                start_seq=start_seq,
                max_bytes=max_bytes,
                target_bytes=target_bytes,
                is_suspect=True,
            )
        if not blocks:
            raise
        corrupt = Sealed(
            start_seq=header.first_seq,
            first_seq=header.first_seq,
            count=header.count,
            payload=None,
            reason=CORRUPT,
            plain_size_bytes=0,
            stored_bytes=len(blocks[0].body),
        )
        return [*_without_records(header, codec, start_seq), corrupt]
    parts = _Parts(header, blocks[0], block, codec, stored, max_bytes, target_bytes)
    return parts.seal(0, len(block), start_seq, payload)


def _only_block(raw: bytes, header: FrameHeader) -> Block:
    decoded = list(decode_blocks(raw, header.first_seq))
    if len(decoded) != 1 or len(decoded[0]) != header.count:
        raise BlockError(f"The stored block at {header.first_seq} is not one block of {header.count} records.")
    return decoded[0]


def _least(*limits: int | None) -> float:
    return min((limit for limit in limits if limit is not None), default=float("inf"))


def _fits(payload: bytes, max_bytes: int | None, target_bytes: int | None) -> bool:
    """Whether a frame of several records may go like this. JSON may be many times its block: only the frame knows."""
    if len(payload) > _least(max_bytes, target_bytes):
        return False
    header, _ = decode_header(payload)
    return header.raw_size_bytes <= MAX_RAW_BYTES


def _whole(header: FrameHeader, blocks: Sequence[StoredBlock], payload: bytes, start_seq: int) -> Sealed:
    return Sealed(
        start_seq=start_seq,
        first_seq=header.first_seq,
        count=header.count,
        payload=payload,
        plain_size_bytes=sum(block.plain_size_bytes for block in blocks),
        stored_bytes=sum(len(block.body) for block in blocks),
    )


def _halves(
    header: FrameHeader,
    blocks: Sequence[StoredBlock],
    codec: Codec,
    *,
    start_seq: int,
    max_bytes: int | None,
    target_bytes: int | None,
    is_suspect: bool = False,
) -> list[Sealed]:
    middle = len(blocks) // 2
    frames: list[Sealed] = []
    for part, part_header, start in (
        (blocks[:middle], header, start_seq),
        (blocks[middle:], replace(header, gaps=()), blocks[middle].first_seq),
    ):
        count = sum(block.count for block in part)
        frames += seal_within(
            replace(part_header, first_seq=part[0].first_seq, count=count),
            part,
            codec,
            start_seq=start,
            max_bytes=max_bytes,
            target_bytes=target_bytes,
            is_suspect=is_suspect,
        )
    return frames


def _without_records(header: FrameHeader, codec: Codec, start_seq: int) -> list[Sealed]:
    """The header's gaps in a frame of their own, when the records behind them cannot go with them."""
    if not header.gaps:
        return []
    alone = replace(header, count=0)
    return [_whole(alone, (), seal(alone, (), codec), start_seq)]


@dataclass(frozen=True, slots=True)
class _Parts:
    """One block, decoded, being cut into frames."""

    header: FrameHeader
    stored: StoredBlock
    block: Block
    codec: Codec
    stored_bytes: int
    max_bytes: int | None
    target_bytes: int | None

    def seal(self, begin: int, end: int, start_seq: int, payload: bytes | None = None) -> list[Sealed]:
        """The frames of the records [begin, end) of the block; `payload` if they are sealed already."""
        if payload is None:
            payload = self._payload(begin, end)
        if not _fits(payload, self.max_bytes, self.target_bytes):
            if end - begin > 1:
                middle = (begin + end) // 2
                return self.seal(begin, middle, start_seq) + self.seal(middle, end, self.block.first_seq + middle)
            if len(payload) > _least(self.max_bytes):
                return self._given_up(begin, end, start_seq)
        whole = end - begin == len(self.block)
        return [
            Sealed(
                start_seq=start_seq,
                first_seq=self.block.first_seq + begin,
                count=end - begin,
                payload=payload,
                plain_size_bytes=self._share(self.stored.plain_size_bytes, begin, end),
                stored_bytes=self._share(self.stored_bytes, begin, end),
                split_block=None if whole else (self.block.first_seq, self.block.next_seq),
            )
        ]

    def _given_up(self, begin: int, end: int, start_seq: int) -> list[Sealed]:
        gaps = _without_records(self.header, self.codec, start_seq) if begin == 0 else []
        given_up = Sealed(
            start_seq=self.block.first_seq + begin,
            first_seq=self.block.first_seq + begin,
            count=1,
            payload=None,
            reason=TOO_LARGE,
            plain_size_bytes=0,
            stored_bytes=self._share(self.stored_bytes, begin, end),
            split_block=(self.block.first_seq, self.block.next_seq) if len(self.block) > 1 else None,
        )
        return [*gaps, given_up]

    def _payload(self, begin: int, end: int) -> bytes:
        body = self.block.part(begin, end)
        first_seq = self.block.first_seq + begin
        part = StoredBlock(
            first_seq=first_seq,
            count=end - begin,
            received_at_us=self.stored.received_at_us,
            raw_size_bytes=len(body),
            plain_size_bytes=0,
            compressed=False,
            body=body,
        )
        gaps = self.header.gaps if begin == 0 else ()
        return seal(replace(self.header, first_seq=first_seq, count=end - begin, gaps=gaps), [part], self.codec)

    def _share(self, total: int, begin: int, end: int) -> int:
        n = len(self.block)
        return total * end // n - total * begin // n
