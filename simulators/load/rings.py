"""What one connection sends, encoded before the clock starts, and what it expects back, as rings of bytes.

A connection's messages are numbered from 0 for as long as it lives; message i has packet identifier 1 + i % count, and
its bytes stand at (i % count) * size. `count` is at least two windows, so an identifier is free when it comes round.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from simulators.load.packets import PUBREL, encode_publish
from simulators.load.payloads import telemetry

_DISTINCT_MESSAGES: Final = 20_000
_DISTINCT_BYTES: Final = 8 * 1024 * 1024
MAX_COUNT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """`count` PUBLISH packets of one size, end to end."""

    data: bytes
    count: int
    size_bytes: int

    def __post_init__(self) -> None:
        if self.count < 1 or len(self.data) != self.count * self.size_bytes:
            raise ValueError(
                f"{len(self.data)} bytes are not {self.count} packets of {self.size_bytes} bytes: the packets of a "
                "connection must all have one size, so give each the same topic and a payload of one size."
            )


def ring_count(*, connections: int, window: int, payload_bytes: int) -> int:
    """How many messages each connection's ring holds.

    All rings together hold about 20 000 distinct messages (fewer when they would take over 8 MiB), so that nothing
    repeats within the reach of a compressor's frame; no ring is less than two windows.
    """
    distinct = min(_DISTINCT_MESSAGES, _DISTINCT_BYTES // max(1, payload_bytes))
    count = max(2 * window, distinct // connections, 2)
    if count > MAX_COUNT:
        raise ValueError(
            f"A window of {window} is too wide: MQTT has 65 535 packet identifiers, so ask for 32 767 or less."
        )
    return count


def encode_ring(
    *,
    device: int,
    count: int,
    payload_bytes: int,
    qos: int,
    version: int,
    user_property: bool,
    topic: str,
    seed: int,
    retain: bool = False,
) -> Ring:
    """The ring of one device. Its topic is `topic`, with {device} and {n} filled in; its user property, its line."""
    name = f"dev-{device:04d}"
    extra = ("line", f"line-{device % 8}") if user_property else None
    packets = [
        encode_publish(
            topic.format(device=name, n=f"{i:06d}"),
            payload,
            qos=qos,
            packet_id=1 + i,
            version=version,
            user_property=extra,
            retain=retain,
        )
        for i, payload in enumerate(telemetry(device=device, count=count, size_bytes=payload_bytes, seed=seed))
    ]
    return Ring(data=b"".join(packets), count=count, size_bytes=len(packets[0]))


@lru_cache(maxsize=64)
def acknowledgement_ring(kind: int, count: int, suffix: bytes) -> bytes:
    """Two turns of acknowledgements with the identifiers 1 to `count`, so that every window of one turn is contiguous.

    `suffix` is what follows the identifier: nothing in MQTT 3.1.1, a reason code and properties at times in MQTT 5.
    """
    head = bytes((kind, 2 + len(suffix)))
    return b"".join([head + struct.pack("!H", i) + suffix for i in range(1, count + 1)]) * 2


def release_ring(count: int) -> bytes:
    """Two turns of PUBREL."""
    return acknowledgement_ring(PUBREL, count, b"")
