"""Frames as a gateway would send them, for the receiver's tests and benches."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.block_builder import BlockBuilder
from bridge.compression import Codec
from bridge.frame import FrameHeader, seal
from bridge.ports import Gap, StoredBlock
from bridge.record import Properties
from config.settings import Compression

EPOCH = "00000000000000aa"
RECEIVED_AT_US = 1_760_000_000_123_456


def stored_block(
    first_seq: int,
    payloads: Sequence[bytes],
    properties: Sequence[Properties | None] | None = None,
    qos: int = 1,
) -> StoredBlock:
    """One block: record i is from device-(i mod 5), every third retained."""
    builder = BlockBuilder(RECEIVED_AT_US)
    for i, payload in enumerate(payloads):
        builder.extend(
            client=f"device-{i % 5}",
            now_us=RECEIVED_AT_US + i,
            topics=[b"site/a/device-%d" % (i % 5)],
            payloads=[payload],
            flags=bytes([qos << 1 | (i % 3 == 0)]),
            plain_size_bytes=0,
            properties=None if properties is None else [properties[i]],
        )
    body = builder.encode()
    return StoredBlock(
        first_seq=first_seq,
        count=len(payloads),
        received_at_us=RECEIVED_AT_US,
        raw_size_bytes=len(body),
        plain_size_bytes=0,
        compressed=False,
        body=body,
    )


def frame(
    first_seq: int,
    payloads: Sequence[bytes] | int,
    *,
    gateway: str = "edge-01",
    stream: str = "telemetry",
    epoch: str = EPOCH,
    gaps: Sequence[Gap] = (),
    properties: Sequence[Properties | None] | None = None,
    qos: int = 1,
) -> bytes:
    """A sealed frame; a number stands for so many payloads `p<seq>`."""
    if isinstance(payloads, int):
        payloads = [b"p%d" % seq for seq in range(first_seq, first_seq + payloads)]
    header = FrameHeader(
        gateway=gateway,
        stream=stream,
        epoch=epoch,
        first_seq=first_seq,
        count=len(payloads),
        gaps=tuple(gaps),
        compression=Compression.ZSTD,
        sent_at_us=RECEIVED_AT_US,
    )
    blocks = [stored_block(first_seq, payloads, properties, qos)] if payloads else []
    return seal(header, blocks, Codec())
