"""A run of publishes for its subscribers: as bytes, and as messages for those who need these.

The hot path of fan-out: the packets are made once for each version that is spoken, in columns, and with QoS 0 every
subscriber is given the same bytes; with QoS 1 and 2 only packet ids are put in between. What comes before a payload
depends on its topic and length alone, so a run of one topic and one length is two calls into C. Guarded by tests/bench
(fan-out).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from gateway.broker.flight import Parcel
from gateway.broker.message import Message
from gateway.mqtt.packets import Version
from gateway.mqtt.strings import encode_varint

_OVERHEAD_BYTES: Final = 8
"""What a PUBLISH with QoS 0 has beside topic and payload, at most: first byte, length, topic's length, properties."""

MAX_NUMBERED: Final = 4
"""How many ways to number a run are remembered: one or two, where subscribers came together."""


class Run:
    """Topics and payloads of a run without properties and RETAIN, one entry each a publish; `origin`: whose it is.

    Message objects are made only when somebody needs them.
    """

    __slots__ = (
        "_access",
        "_messages",
        "_numbered",
        "_parcels",
        "_payloads",
        "_pieces",
        "_qos",
        "_topics",
        "_username",
        "origin",
    )

    def __init__(
        self,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        *,
        qos: int = 0,
        origin: str = "",
        username: str | None = None,
        access: str = "",
    ) -> None:
        self._topics = topics
        self._payloads = payloads
        self._qos = qos
        self.origin = origin
        self._username = username
        self._access = access
        self._messages: list[Message] | None = None
        self._parcels: dict[bool, Parcel] = {}
        self._pieces: dict[tuple[bool, int], tuple[list[bytes], Sequence[bytes]]] = {}
        self._numbered: dict[tuple[bool, int, range], bytes] = {}

    def __len__(self) -> int:
        return len(self._payloads)

    def messages(self) -> list[Message]:
        """The publishes as objects, shared by all who get them."""
        if self._messages is None:
            names = {topic: topic.decode() for topic in set(self._topics)}
            self._messages = [
                Message(
                    topic=names[topic],
                    payload=payload,
                    qos=self._qos,
                    retain=False,
                    origin=self.origin,
                    origin_username=self._username,
                    origin_access=self._access,
                )
                for topic, payload in zip(self._topics, self._payloads, strict=True)
            ]
        return self._messages

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

    def numbered(self, version: Version, qos: int, packet_ids: Sequence[int]) -> bytes:
        """The first of the packets with QoS 1 or 2, with these packet ids.

        Subscribers who came together and get the same have the same ids: those of a `range` are made once for them.
        """
        if type(packet_ids) is not range:
            return self._number(version, qos, packet_ids)
        key = (version is Version.V5, qos, packet_ids)
        data = self._numbered.get(key)
        if data is None:
            if len(self._numbered) >= MAX_NUMBERED:  # they are not in step: it would only take memory
                self._numbered.clear()
            data = self._numbered[key] = self._number(version, qos, packet_ids)
        return data

    def _number(self, version: Version, qos: int, packet_ids: Sequence[int]) -> bytes:
        count = len(packet_ids)
        before, behind = self._pieces_for(version, qos)
        parts: list[bytes] = [b""] * (3 * count)
        parts[0::3] = before[:count]
        parts[1::3] = [packet_id.to_bytes(2, "big") for packet_id in packet_ids]
        parts[2::3] = behind[:count]
        return b"".join(parts)

    def _pieces_for(self, version: Version, qos: int) -> tuple[list[bytes], Sequence[bytes]]:
        """What stands before the packet id of each packet, and what stands behind it."""
        has_properties = version is Version.V5
        pieces = self._pieces.get((has_properties, qos))
        if pieces is None:
            keys = list(zip(self._topics, map(len, self._payloads), strict=True))
            heads = {key: _head(*key, has_properties, qos) for key in set(keys)}
            before = list(map(heads.__getitem__, keys))
            behind = [b"\0" + payload for payload in self._payloads] if has_properties else self._payloads
            pieces = self._pieces[has_properties, qos] = (before, behind)
        return pieces

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


def _head(topic: bytes, payload_bytes: int, has_properties: bool, qos: int = 0) -> bytes:
    """A PUBLISH up to its payload (§3.3), or up to its packet id, if it has one; the properties are none."""
    remaining = 2 + len(topic) + (2 if qos else 0) + has_properties + payload_bytes
    head = b"".join((bytes((0x30 | qos << 1,)), encode_varint(remaining), len(topic).to_bytes(2, "big"), topic))
    return head + b"\0" if has_properties and not qos else head
