"""From an open block to the bytes that are stored: encoded once, compressed once, summed once.

Compression is done here, at the commit, and not only at the uplink: it takes a few per cent of a core (it runs without
the interpreter lock) and saves the flash most of what it would have to write; under load the uplink sends the
stored bytes as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import google_crc32c
import zstandard

from bridge.block_builder import BlockBuilder
from bridge.ports import StoredBlock

COMPRESS_FROM_BYTES: Final = 512
"""Below this a block is kept as it is: alone it would hardly shrink, and its frame compresses it with others."""
LEVEL: Final = 1
"""On telemetry level 1 shrinks as well as 3 and takes half the time; on noise, less than half."""


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block ready for its row."""

    stream: int
    block: StoredBlock
    crc: int


class Sealer:
    """Seals blocks; one for each thread, because zstd's compressor objects are not to be shared."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)

    def seal(self, stream: int, builder: BlockBuilder, first_seq: int) -> SealedBlock:
        """The stored form of an open block whose first record gets `first_seq`."""
        return self.seal_bytes(
            stream,
            builder.encode(),
            first_seq=first_seq,
            count=builder.count,
            received_at_us=builder.received_at_us,
            plain_size_bytes=builder.plain_size_bytes,
        )

    def seal_bytes(
        self, stream: int, raw: bytes, *, first_seq: int, count: int, received_at_us: int, plain_size_bytes: int
    ) -> SealedBlock:
        """The same for a block that is encoded already."""
        body = raw
        if len(raw) >= COMPRESS_FROM_BYTES:
            smaller = self._zstd.compress(raw)
            if len(smaller) < len(raw):
                body = smaller
        block = StoredBlock(
            first_seq=first_seq,
            count=count,
            received_at_us=received_at_us,
            raw_size_bytes=len(raw),
            plain_size_bytes=plain_size_bytes,
            compressed=body is not raw,
            body=body,
        )
        return SealedBlock(stream, block, google_crc32c.value(body))
