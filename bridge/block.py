"""Blocks: the records of one stream that were committed together.

A block is kept as columns in one MessagePack array, so that any language reads it (docs/frame-format.md):

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
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import msgpack

from bridge.block_builder import BlockBuilder
from bridge.columns import ColumnReader
from bridge.errors import BlockError
from bridge.record import FLAG_QOS_SHIFT, FLAG_RETAIN, FLAGS_MASK, Properties, Record

MAX_TIME_US: Final = 253_402_300_800_000_000
"""The first microsecond of the year 10000, which no date library takes."""


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
