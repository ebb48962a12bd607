"""A record out of the spool, and how a stored body becomes records again."""

from __future__ import annotations

import zstandard

from bridge.block import Block, decode_blocks
from bridge.errors import BlockError
from bridge.record import Record
from gateway.spool.open_commit import MAX_BLOCK_BYTES

StoredRecord = Record
"""`seq` is the record's number in its stream; in a dead letter, the number that it had."""

_MAX_RAW_BYTES = 2 * MAX_BLOCK_BYTES + 300 * 1024 * 1024
"""A block ends at MAX_BLOCK_BYTES, or holds one publish, which MQTT bounds at 256 MiB."""


def size_bytes(record: StoredRecord) -> int:
    """What it takes in memory, roughly. A device may say more in names and properties than in a payload."""
    properties = 0 if record.properties is None else record.properties.size_bytes
    return len(record.payload) + len(record.topic) + len(record.client) + properties


def inflated(body: bytes, *, is_compressed: bool) -> bytes:
    """The bytes of the block in a stored body. Raises BlockError."""
    if not is_compressed:
        return body
    try:
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=_MAX_RAW_BYTES)
    except zstandard.ZstdError as error:
        raise BlockError(f"The block can't be inflated: {error}") from error


def block_in(raw: bytes, *, first_seq: int) -> Block:
    """The one block in these bytes. Raises BlockError when they are anything else."""
    blocks = list(decode_blocks(raw, first_seq))
    if len(blocks) != 1:
        raise BlockError(f"There are {len(blocks)} blocks where one should be.")
    return blocks[0]
