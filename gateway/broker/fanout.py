"""A run of publishes as bytes for those of its subscribers who get it with QoS 0.

The hot path of fan-out: the packets are made once for each version that is spoken, in columns, and every subscriber is
given the same bytes. What comes before a payload depends on its topic and length alone, so a run of one topic and one
length is two calls into C. Guarded by tests/bench (fan-out).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from gateway.broker.flight import Parcel
from gateway.mqtt.packets import Version
from gateway.mqtt.strings import encode_varint

_OVERHEAD_BYTES: Final = 8
"""What a PUBLISH with QoS 0 has beside topic and payload, at most: first byte, length, topic's length, properties."""


class Run:
    """Topics and payloads of a run without properties, one entry each a publish."""

    __slots__ = ("_parcels", "_payloads", "_topics")

    def __init__(self, topics: Sequence[bytes], payloads: Sequence[bytes]) -> None:
        self._topics = topics
        self._payloads = payloads
        self._parcels: dict[bool, Parcel] = {}

    def __len__(self) -> int:
        return len(self._payloads)

    def parcel(self, version: Version) -> Parcel:
        """All of it for subscribers of this version."""
        has_properties = version is Version.V5
        parcel = self._parcels.get(has_properties)
        if parcel is None:
            parcel = self._parcels[has_properties] = self._encode(0, len(self._payloads), has_properties)
        return parcel

    def part(self, version: Version, start: int, stop: int) -> Parcel:
        """The publishes [start, stop) for one subscriber."""
        return self._encode(start, stop, version is Version.V5)

    def _encode(self, start: int, stop: int, has_properties: bool) -> Parcel:
        topics, payloads = self._topics[start:stop], self._payloads[start:stop]
        lengths = list(map(len, payloads))
        distinct = set(topics)
        longest = max(map(len, distinct)) + max(lengths) + _OVERHEAD_BYTES
        if len(distinct) == 1 and len(set(lengths)) == 1:
            head = _head(topics[0], lengths[0], has_properties)
            data = head + head.join(payloads)
        else:
            heads = {key: _head(*key, has_properties) for key in set(zip(topics, lengths, strict=True))}
            before = map(heads.__getitem__, zip(topics, lengths, strict=True))
            data = b"".join(chain.from_iterable(zip(before, payloads, strict=True)))
        return Parcel(data, len(payloads), longest)


def _head(topic: bytes, payload_bytes: int, has_properties: bool) -> bytes:
    """A PUBLISH with QoS 0 up to its payload (§3.3); the properties are none."""
    remaining = 2 + len(topic) + has_properties + payload_bytes
    return b"".join(
        (b"\x30", encode_varint(remaining), len(topic).to_bytes(2, "big"), topic, b"\0" if has_properties else b"")
    )
