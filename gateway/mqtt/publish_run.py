"""Runs of PUBLISH into columns: the hot path of the whole gateway.

Why it is dense, and how: packets that begin alike are cut at the same places by one call into C (`publish_layout`); a
packet for which there is no layout takes the plain way, which also says what is wrong with it. The loops hold what they
use in local variables, and do what they can where something changes and not for every packet: first bytes and
properties become columns in runs of equal ones. What remains for a packet is a slice, a comparison, that one call and
three appends: about twice as fast as cutting by hand. Guarded by tests/bench/bench_reader.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.record import Properties
from config.settings import Limits
from gateway.mqtt.cursor import DEFAULT_LIMITS, Cursor
from gateway.mqtt.errors import (
    MalformedPacket,
    PacketTooLarge,
    ProtocolError,
    ProtocolViolation,
    TopicAliasInvalid,
    TopicNameInvalid,
)
from gateway.mqtt.header import read_header
from gateway.mqtt.packets import PublishBatch, Version
from gateway.mqtt.publish_layout import WITH_PROPERTIES, WITHOUT_PROPERTIES, Cut
from gateway.mqtt.publish_properties import PublishPropertyCache, shared_cache

_KIND_MASK: Final = 0xF6
"""Packet type and QoS: what all packets of a run share."""

_NO_PACKET_ID: Final = b"\0\0"


class _Plain(NamedTuple):
    topic: bytes
    packet_id: bytes
    payload: bytes
    properties: Properties | None
    next_pos: int


class PublishRuns:
    """Reads runs of PUBLISH for one connection; holds its topic aliases (§3.3.2.3.4).

    `topic_alias_maximum` is what the server announced, 0 for none. Memory: at most that many topics.
    """

    __slots__ = ("_aliases", "_cache", "_max_packet_size_bytes", "_topic_alias_maximum", "_version")

    def __init__(
        self,
        version: Version,
        *,
        max_packet_size_bytes: int,
        topic_alias_maximum: int = 0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._version = version
        self._max_packet_size_bytes = max_packet_size_bytes
        self._topic_alias_maximum = topic_alias_maximum
        self._cache: PublishPropertyCache = shared_cache(limits)
        self._aliases: dict[int, bytes] = {}

    def read(self, buffer: bytes, pos: int) -> tuple[PublishBatch | None, int, ProtocolViolation | None]:
        """The run that begins at `pos`: (batch, where it ends, what was wrong there).

        The packet at `pos` is a PUBLISH and complete. The run ends before a packet of another kind or QoS, an
        incomplete one, or a wrong one; the batch has what came before, None when that is nothing.
        """
        batch = PublishBatch(
            qos=buffer[pos] >> 1 & 3,
            topics=[],
            payloads=[],
            packet_ids=[],
            first_bytes=bytearray(),
            properties=None,
            size_bytes=0,
        )
        read = self._read_v5 if self._version is Version.V5 else self._read_v3
        end, error = read(buffer, pos, batch)
        batch.size_bytes = end - pos
        if batch.qos == 0:
            batch.packet_ids = []
        elif _NO_PACKET_ID in batch.packet_ids:
            end = self._cut(batch, batch.packet_ids.index(_NO_PACKET_ID), buffer, pos)
            error = ProtocolError("The packet identifier of a PUBLISH with QoS 1 or 2 is 0.")  # [MQTT-2.2.1-2]
        return (batch if batch.payloads else None), end, error

    def _read_v3(self, buffer: bytes, pos: int, batch: PublishBatch) -> tuple[int, ProtocolViolation | None]:
        topics, packet_ids, payloads, first_bytes = batch.topics, batch.packet_ids, batch.payloads, batch.first_bytes
        add_topic, add_packet_id, add_payload = topics.append, packet_ids.append, payloads.append
        layouts = WITHOUT_PROPERTIES
        limit = self._max_packet_size_bytes
        end = len(buffer)
        first = buffer[pos]
        kind = first & _KIND_MASK
        last: bytes | None = None
        size = 0
        cut: Cut
        try:
            while True:
                head = buffer[pos : pos + 5]
                if head != last:
                    if not head or head[0] & _KIND_MASK != kind:
                        break
                    if head[0] != first:
                        first_bytes += bytes((first,)) * (len(payloads) - len(first_bytes))
                        first = head[0]
                    layout = layouts.get(head) or layouts.make(head)
                    if layout is None:
                        plain = self._plain(buffer, pos)
                        if plain is None:
                            break
                        add_topic(plain.topic)
                        add_packet_id(plain.packet_id)
                        add_payload(plain.payload)
                        pos = plain.next_pos
                        last = None
                        continue
                    cut, size, _ = layout
                    if size > limit:
                        raise self._too_large(size)
                    last = head
                next_pos = pos + size
                if next_pos > end:
                    break
                topic, packet_id, payload = cut(buffer, pos)
                add_topic(topic)
                add_packet_id(packet_id)
                add_payload(payload)
                pos = next_pos
        except ProtocolViolation as violation:
            return self._end(pos, violation, batch, first)
        return self._end(pos, None, batch, first)

    def _read_v5(  # noqa: C901, PLR0912, PLR0915 (one dense loop, see above)
        self, buffer: bytes, pos: int, batch: PublishBatch
    ) -> tuple[int, ProtocolViolation | None]:
        topics, packet_ids, payloads, first_bytes = batch.topics, batch.packet_ids, batch.payloads, batch.first_bytes
        add_topic, add_packet_id, add_payload = topics.append, packet_ids.append, payloads.append
        layouts = WITH_PROPERTIES
        cache = self._cache
        column: list[Properties | None] = []
        held: Properties | None = None
        has_properties = False
        limit = self._max_packet_size_bytes
        end = len(buffer)
        first = buffer[pos]
        kind = first & _KIND_MASK
        last: bytes | None = None
        last_raw: bytes | None = b""
        size = length = alias = 0
        identifiers: tuple[int, ...] = ()
        properties: Properties | None = None
        violation: ProtocolViolation | None = None
        cut: Cut
        try:
            while True:
                head = buffer[pos : pos + 5]
                if head != last:
                    if not head or head[0] & _KIND_MASK != kind:
                        break
                    if head[0] != first:
                        first_bytes += bytes((first,)) * (len(payloads) - len(first_bytes))
                        first = head[0]
                    layout = layouts.get(head) or layouts.make(head)
                    last = None
                    if layout is not None:
                        cut, size, length = layout
                        if size > limit:
                            raise self._too_large(size)
                        last = head
                if layout is not None:
                    next_pos = pos + size
                    if next_pos > end:
                        break
                    topic, packet_id, found, raw, payload = cut(buffer, pos)
                    if found != length:
                        layout = layouts.make(head, found)
                        last = None
                        if layout is not None:
                            cut, size, length = layout
                            topic, packet_id, found, raw, payload = cut(buffer, pos)
                            last = head
                if layout is None:
                    plain = self._plain(buffer, pos)
                    if plain is None:
                        break
                    topic, packet_id, payload, properties, next_pos = plain
                    last_raw = None
                else:
                    if raw != last_raw:
                        alias, identifiers, properties = cache[raw]
                        last_raw = raw
                    if alias or not topic or identifiers:
                        topic = self._resolve(topic, alias, identifiers)
                if properties is not held:
                    column += [held] * (len(payloads) - len(column))
                    held = properties
                    has_properties = True
                add_topic(topic)
                add_packet_id(packet_id)
                add_payload(payload)
                pos = next_pos
        except ProtocolViolation as error:
            violation = error
        if has_properties:
            batch.properties = column + [held] * (len(payloads) - len(column))
        return self._end(pos, violation, batch, first)

    @staticmethod
    def _end(
        pos: int, violation: ProtocolViolation | None, batch: PublishBatch, first: int
    ) -> tuple[int, ProtocolViolation | None]:
        """Complete the column of first bytes, which grows only where they change."""
        batch.first_bytes += bytes((first,)) * (len(batch.payloads) - len(batch.first_bytes))
        return pos, violation

    def _too_large(self, size: int) -> PacketTooLarge:
        return PacketTooLarge(
            f"A PUBLISH of {size} bytes is over the Maximum Packet Size of {self._max_packet_size_bytes}."
        )

    def _plain(self, buffer: bytes, pos: int) -> _Plain | None:
        """One PUBLISH without a layout: None when it is not all there; raises what is wrong with it."""
        first = buffer[pos]
        if first & 0x0E == 0x08 and self._version is not Version.V31:
            raise MalformedPacket("A PUBLISH with QoS 0 has DUP set.")  # [MQTT-3.3.1-2]
        header = read_header(buffer, pos, self._version)
        if header is None:
            return None
        body, next_pos = header
        if next_pos - pos > self._max_packet_size_bytes:
            raise self._too_large(next_pos - pos)
        if next_pos > len(buffer):
            return None
        cursor = Cursor(buffer, packet="PUBLISH", pos=body, end=next_pos)
        topic = cursor.binary("topic name")
        packet_id = cursor.take(2, "packet identifier") if first & 0x06 else b""
        properties = None
        if self._version is Version.V5:
            raw = cursor.take(cursor.varint("property length"), "properties")
            alias, identifiers, properties = self._cache[raw]
            topic = self._resolve(topic, alias, identifiers)
        elif not topic:
            raise TopicNameInvalid("The topic name of a PUBLISH is empty.")  # [MQTT-4.7.3-1]
        return _Plain(topic, packet_id, buffer[cursor.pos : next_pos], properties, next_pos)

    def _resolve(self, topic: bytes, alias: int, identifiers: tuple[int, ...]) -> bytes:
        """The topic after its alias was set or looked up (§3.3.2.3.4)."""
        if identifiers:
            raise ProtocolError("A PUBLISH from a client has a Subscription Identifier.")  # [MQTT-3.3.4-6]
        if not alias:
            if not topic:
                raise ProtocolError("A PUBLISH has neither a topic name nor a topic alias.")  # §3.3.2.1
            return topic
        if alias > self._topic_alias_maximum:
            raise TopicAliasInvalid(  # [MQTT-3.3.2-9]
                f"The topic alias {alias} is over the Topic Alias Maximum of {self._topic_alias_maximum}."
            )
        if topic:
            self._aliases[alias] = topic
            return topic
        known = self._aliases.get(alias)
        if known is None:
            raise ProtocolError(f"The topic alias {alias} was not set on this connection.")  # §3.3.4
        return known

    def _cut(self, batch: PublishBatch, count: int, buffer: bytes, pos: int) -> int:
        """Keep the first `count` packets of the batch; returns where they end in the buffer."""
        for column in (batch.topics, batch.payloads, batch.packet_ids, batch.properties or []):
            del column[count:]
        del batch.first_bytes[count:]
        if batch.properties is not None and not any(batch.properties):
            batch.properties = None
        start = pos
        for _ in range(count):
            _, pos = read_header(buffer, pos, self._version) or (0, pos)
        batch.size_bytes = pos - start
        return pos
