"""Records and the blocks that hold them.

A block is the records of one stream that were committed together, kept as columns in one MessagePack array, so that any
language reads it (docs/frame-format.md):

    [received_at_us, topics[], clients[], topic_index[], client_index[], delta_us[], flags(bin), payloads[bin],
     properties?]

`received_at_us` is when the first record came, microseconds since 1970 UTC; `delta_us[i]` is added to it for record i.
`topic_index[i]` and `client_index[i]` point into `topics` and `clients`. A record's flags: bit 0 retain, bits 1-2 QoS.
`properties`, where any record has MQTT 5 properties, is [sets[], index[]]: `sets` are maps by the names of
`Properties`, `index[i]` is 0 for none or the set's position plus one. A record's sequence number is the block's first
plus i.

Invariants: every column has one entry a record; a block has at least one record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from operator import itemgetter
from typing import Any, Final

import msgpack

from bridge.columns import ColumnReader
from bridge.errors import BlockError

FLAG_RETAIN: Final = 0x01
FLAG_QOS_SHIFT: Final = 1
FLAGS_MASK: Final = 0x07
"""These three bits stand where a PUBLISH's first byte has them too, so a mask makes the one from the other."""
MAX_TIME_US: Final = 253_402_300_800_000_000
"""The first microsecond of the year 10000, which no date library takes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Properties:
    """The MQTT 5 properties of a PUBLISH that travel with it (§3.3.2.3). Compared by identity: they are shared."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    """Seconds, as the publisher wrote them; the time spent since is told by received_at."""
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_property: tuple[tuple[str, str], ...] = ()

    @property
    def size_bytes(self) -> int:
        """What they take in a block, roughly, names and all; a block's bound counts it."""
        texts = [
            self.content_type or "",
            self.response_topic or "",
            *(text for pair in self.user_property for text in pair),
        ]
        return 64 + 16 * len(self.user_property) + sum(map(len, texts)) + len(self.correlation_data or b"")

    def to_map(self) -> dict[str, Any]:
        """The properties that are set, by name, as the formats write them."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in (None, ())}

    @classmethod
    def from_map(cls, value: dict[str, Any]) -> Properties:
        """The inverse of `to_map`; unknown names are left out, so that newer writers can be read.

        Raises TypeError or ValueError when a value is not of its property's type.
        """
        known = {name: value[name] for name in _PROPERTY_TYPES if name in value}
        if "user_property" in known:
            known["user_property"] = tuple((key, item) for key, item in known["user_property"])
            if {type(text) for pair in known["user_property"] for text in pair} - {str}:
                raise TypeError("a user property is not a pair of strings")
        for name, item in known.items():
            if type(item) is not _PROPERTY_TYPES[name] or (type(item) is int and not 0 <= item < 2**32):
                raise TypeError(f"{item!r} is no {name}")
        return cls(**known)


_PROPERTY_TYPES: Final[dict[str, type]] = {
    "payload_format_indicator": int,
    "message_expiry_interval": int,
    "content_type": str,
    "response_topic": str,
    "correlation_data": bytes,
    "user_property": tuple,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One device publish."""

    seq: int
    received_at_us: int
    client: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None = None


class _Index(dict[Any, int]):
    """Gives every key met the next number: the position it will have in the block's table."""

    def __missing__(self, key: Any) -> int:
        position = self[key] = len(self)
        return position


class BlockBuilder:
    """The open block of a stream: columns that grow until they are sealed.

    `extend` runs once a batch of publishes, not once a record: every line in it is one call into C over the whole
    batch. Guarded by tests/bench (durable ingest).
    """

    __slots__ = (
        "_client_index",
        "_clients",
        "_delta_us",
        "_flags",
        "_payloads",
        "_property_index",
        "_property_sets",
        "_received_at_us",
        "_topic_index",
        "_topics",
        "count",
        "plain_size_bytes",
        "size_bytes",
    )

    def __init__(self, received_at_us: int) -> None:
        self._received_at_us = received_at_us
        self._topics = _Index()
        self._clients = _Index()
        self._topic_index: list[int] = []
        self._client_index: list[int] = []
        self._delta_us: list[int] = []
        self._flags = bytearray()
        self._payloads: list[bytes] = []
        self._property_sets: dict[Properties, int] | None = None
        self._property_index: list[int] = []
        self.count = 0
        self.size_bytes = 0
        self.plain_size_bytes = 0

    @property
    def received_at_us(self) -> int:
        """When the block's first record came."""
        return self._received_at_us

    def extend(
        self,
        *,
        client: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        plain_size_bytes: int,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        """Append one client's publishes, oldest first; columns of one length. Topics are UTF-8, checked before."""
        n = len(payloads)
        known, clients = len(self._topics), len(self._clients)
        if n == 1:  # many connections with a window of one: the calls over columns would cost more than the record
            self._topic_index.append(self._topics[topics[0]])
            self._client_index.append(self._clients[client])
            self._delta_us.append(now_us - self._received_at_us)
            self._payloads.append(payloads[0])
            self.size_bytes += len(payloads[0]) + 8
        else:
            self._topic_index += map(self._topics.__getitem__, topics)
            self._client_index += [self._clients[client]] * n
            self._delta_us += [now_us - self._received_at_us] * n
            self._payloads += payloads
            self.size_bytes += sum(map(len, payloads)) + 8 * n
        self._flags += flags
        if properties is not None or self._property_sets is not None:
            self._extend_properties(n, properties)
        if len(self._topics) > known:
            self.size_bytes += sum(map(len, islice(reversed(self._topics), len(self._topics) - known)))
        if len(self._clients) > clients:
            self.size_bytes += len(client)
        self.plain_size_bytes += plain_size_bytes
        self.count += n

    def _extend_properties(self, n: int, properties: Sequence[Properties | None] | None) -> None:
        if self._property_sets is None:
            self._property_sets = {}
            self._property_index = [0] * self.count
        if properties is None:
            self._property_index += [0] * n
            return
        sets = self._property_sets
        for item in properties:
            if item is None:
                self._property_index.append(0)
                continue
            position = sets.get(item)
            if position is None:
                position = sets[item] = len(sets) + 1
                self.size_bytes += item.size_bytes
            self._property_index.append(position)

    def encode(self) -> bytes:
        """The block's bytes."""
        block: list[Any] = [
            self._received_at_us,
            [topic.decode() for topic in self._topics],
            list(self._clients),
            self._topic_index,
            self._client_index,
            self._delta_us,
            bytes(self._flags),
            self._payloads,
        ]
        if self._property_sets is not None:
            block.append([[item.to_map() for item in self._property_sets], self._property_index])
        packed: bytes = msgpack.packb(block)
        return packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A decoded block: its columns, checked to fit together."""

    first_seq: int
    received_at_us: int
    topics: list[str]
    clients: list[str]
    topic_index: list[int]
    client_index: list[int]
    delta_us: list[int]
    flags: bytes
    payloads: list[bytes]
    property_sets: list[Properties]
    property_index: list[int] | None

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def next_seq(self) -> int:
        """The sequence number after the block's last."""
        return self.first_seq + len(self.payloads)

    def __iter__(self) -> Iterator[Record]:
        return self.records(0, len(self.payloads))

    def records(self, start: int, stop: int) -> Iterator[Record]:
        """The records [start, stop), counted from 0; the others cost nothing."""
        index = self.property_index
        for i in range(start, stop):
            flags = self.flags[i]
            which = index[i] if index is not None else 0
            yield Record(
                seq=self.first_seq + i,
                received_at_us=self.received_at_us + self.delta_us[i],
                client=self.clients[self.client_index[i]],
                topic=self.topics[self.topic_index[i]],
                payload=self.payloads[i],
                qos=flags >> FLAG_QOS_SHIFT,
                retain=bool(flags & FLAG_RETAIN),
                properties=self.property_sets[which - 1] if which else None,
            )

    def part(self, start: int, stop: int) -> bytes:
        """The bytes of a block with only the records [start, stop) of this one: how a frame too large is split."""
        builder = BlockBuilder(self.received_at_us)
        for record in self.records(start, stop):
            builder.extend(
                client=record.client,
                now_us=record.received_at_us,
                topics=[record.topic.encode()],
                payloads=[record.payload],
                flags=bytes([record.qos << FLAG_QOS_SHIFT | record.retain]),
                plain_size_bytes=0,
                properties=[record.properties] if self.property_index is not None else None,
            )
        return builder.encode()


def decode_blocks(data: bytes, first_seq: int, max_records: int | None = None) -> Iterator[Block]:
    """Blocks laid end to end, numbered from `first_seq`. Raises BlockError when the bytes are anything else.

    With `max_records`, as a frame declares them, no block of more is built: bytes that anybody may have sent.
    """
    reader = ColumnReader(data, max_records)
    seq = first_seq
    consumed = 0
    while consumed < len(data):
        try:
            columns = reader.read()
        except msgpack.OutOfData:
            raise BlockError(f"The block at byte {consumed} is cut short.") from None
        except (msgpack.UnpackException, ValueError, TypeError, RecursionError, MemoryError) as error:
            raise BlockError(f"The block at byte {consumed} is not MessagePack of a block: {error}") from error
        block = _checked(columns, seq, consumed)
        yield block
        seq = block.next_seq
        consumed = reader.at


def _checked(columns: Any, first_seq: int, at: int) -> Block:
    """A Block from decoded columns; every index is known to be in range afterwards."""
    try:
        received_at_us, topics, clients, topic_index, client_index, delta_us, flags, payloads = columns[:8]
        properties = columns[8] if len(columns) > 8 else None
        n = len(payloads)
        lengths_agree = n == len(topic_index) == len(client_index) == len(delta_us) == len(flags) > 0
        in_range = (
            _all_int(topic_index)
            and _all_int(client_index)
            and _all_int(delta_us)
            and min(topic_index) >= 0
            and max(topic_index) < len(topics)
            and min(client_index) >= 0
            and max(client_index) < len(clients)
            and max(flags) <= FLAGS_MASK - 1
            and received_at_us + min(delta_us) >= 0
            and received_at_us + max(delta_us) < MAX_TIME_US
        )
        kinds = (
            {type(c) for c in (topics, clients, topic_index, client_index, delta_us, payloads)} == {list}
            and type(received_at_us) is int
            and type(flags) is bytes
            and set(map(type, payloads)) == {bytes}
            and set(map(type, topics)) | set(map(type, clients)) == {str}
        )
        sets: list[Properties] = []
        index: list[int] | None = None
        if properties is not None:
            sets = [Properties.from_map(item) for item in properties[0]]
            index = properties[1]
            kinds = kinds and type(index) is list
            in_range = in_range and _all_int(index) and len(index) == n and min(index) >= 0 and max(index) <= len(sets)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise BlockError(f"The block at byte {at} does not have a block's columns: {error}") from error
    if not (lengths_agree and in_range and kinds):
        raise BlockError(f"The block at byte {at} has columns that do not fit together.")
    return Block(
        first_seq=first_seq,
        received_at_us=received_at_us,
        topics=topics,
        clients=clients,
        topic_index=topic_index,
        client_index=client_index,
        delta_us=delta_us,
        flags=flags,
        payloads=payloads,
        property_sets=sets,
        property_index=index,
    )


def _all_int(column: list[Any]) -> bool:
    return set(map(type, column)) == {int}


def rows(block: Block) -> Iterator[tuple[int, str, str, int, bytes]]:
    """(received_at_us, client, topic, flags, payload) of each record: the dense way through a block for sinks."""
    base = block.received_at_us
    return zip(
        [base + delta for delta in block.delta_us],
        _pick(block.clients, block.client_index),
        _pick(block.topics, block.topic_index),
        block.flags,
        block.payloads,
        strict=True,
    )


def _pick(table: list[str], index: list[int]) -> Sequence[str]:
    if len(index) == 1:
        return (table[index[0]],)
    picked: tuple[str, ...] = itemgetter(*index)(table)
    return picked
