"""Blocks: the columns of records."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.block import MAX_TIME_US, Block, decode_blocks, rows
from bridge.block_builder import BlockBuilder
from bridge.errors import BlockError
from bridge.record import Properties
from tests.support.examples import examples

START_US = 1_700_000_000_000_000
SETS = (
    Properties(content_type="text/plain"),
    Properties(user_property=(("a", "b"),), correlation_data=b"\x00", message_expiry_interval=9),
)
batches = st.lists(
    st.tuples(
        st.sampled_from(("press-1", "press-2", "")),
        st.integers(-5, 5_000_000),
        st.lists(
            st.tuples(
                st.sampled_from((b"a", b"a/b", "ä".encode())),
                st.binary(max_size=9),
                st.sampled_from((0, 1, 2, 3, 4, 5)),
            ),
            min_size=1,
            max_size=5,
        ),
        st.none() | st.lists(st.sampled_from((None, *SETS)), min_size=5, max_size=5),
    ),
    min_size=1,
    max_size=5,
)


def build(items: list[Any]) -> BlockBuilder:
    builder = BlockBuilder(START_US)
    for client, later_us, publishes, properties in items:
        builder.extend(
            client=client,
            now_us=START_US + later_us,
            topics=[topic for topic, _, _ in publishes],
            payloads=[payload for _, payload, _ in publishes],
            flags=bytes(flags for _, _, flags in publishes),
            plain_size_bytes=0,
            properties=None if properties is None else properties[: len(publishes)],
        )
    return builder


def told(block: Block) -> list[tuple[Any, ...]]:
    return [
        (
            record.seq,
            record.received_at_us,
            record.client,
            record.topic,
            record.payload,
            record.qos,
            record.retain,
            record.properties.to_map() if record.properties else None,
        )
        for record in block
    ]


@settings(max_examples=examples(40), deadline=None)
@given(batches, st.integers(0, 2**40))
def test_a_block_tells_every_record_that_was_put_in(items: list[Any], first_seq: int) -> None:
    builder = build(items)
    (block,) = decode_blocks(builder.encode(), first_seq)
    wanted: list[tuple[Any, ...]] = []
    for client, later_us, publishes, properties in items:
        for at, (topic, payload, flags) in enumerate(publishes):
            which = properties[at] if properties else None
            seq, qos, retain = first_seq + len(wanted), flags >> 1, bool(flags & 1)
            wanted.append(
                (
                    seq,
                    START_US + later_us,
                    client,
                    topic.decode(),
                    payload,
                    qos,
                    retain,
                    which.to_map() if which else None,
                )
            )
    assert told(block) == wanted
    assert builder.count == len(block) == block.next_seq - first_seq
    dense = [(time_us, client, topic, flags, payload) for time_us, client, topic, flags, payload in rows(block)]
    assert dense == [(t, c, topic, qos << 1 | retain, payload) for _, t, c, topic, payload, qos, retain, _ in wanted]


@settings(max_examples=examples(40), deadline=None)
@given(batches, st.data())
def test_a_part_of_a_block_tells_the_same_records(items: list[Any], data: st.DataObject) -> None:
    (block,) = decode_blocks(build(items).encode(), 1)
    start = data.draw(st.integers(0, len(block) - 1))
    stop = data.draw(st.integers(start + 1, len(block)))
    (part,) = decode_blocks(block.part(start, stop), 1 + start)
    assert told(part) == told(block)[start:stop]


@settings(max_examples=examples(40), deadline=None)
@given(batches, batches)
def test_blocks_end_to_end_are_numbered_on(first: list[Any], second: list[Any]) -> None:
    blocks = list(decode_blocks(build(first).encode() + build(second).encode(), 7))
    assert [record.seq for block in blocks for record in block] == list(range(7, 7 + sum(map(len, blocks))))


@settings(max_examples=examples(40), deadline=None)
@given(batches)
def test_a_block_cut_anywhere_is_refused(items: list[Any]) -> None:
    data = build(items).encode()
    for length in range(1, len(data), 7):
        with pytest.raises(BlockError):
            list(decode_blocks(data[:length], 1))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_random_bytes_raise_nothing_but_a_block_error(data: bytes) -> None:
    with pytest.raises(BlockError):
        list(decode_blocks(data, 1))


GOOD: list[Any] = [START_US, ["t"], ["c"], [0], [0], [0], b"\x02", [b"x"]]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (0, "now"),
        (0, 1.5),
        (0, True),
        (0, -1),
        (0, MAX_TIME_US),
        (1, []),
        (1, [b"t"]),
        (1, {0: "t"}),
        (2, [None]),
        (3, [1]),
        (3, [-1]),
        (3, ["0"]),
        (3, [0, 0]),
        (4, [1]),
        (5, [1.0]),
        (5, [-START_US - 1]),
        (6, b""),
        (6, b"\x08"),
        (6, b"\x06\x06"),
        (6, "\x02"),
        (7, []),
        (7, ["text"]),
    ],
)
def test_a_column_that_does_not_fit_is_refused(column: int, value: Any) -> None:
    assert len(list(decode_blocks(msgpack.packb(GOOD), 1))) == 1
    data = msgpack.packb([*GOOD[:column], value, *GOOD[column + 1 :]])
    with pytest.raises(BlockError):
        list(decode_blocks(data, 1))


@pytest.mark.parametrize(
    "properties",
    [
        [[], [1]],
        [[{}], [2]],
        [[{}], [-1]],
        [[{}], [0, 0]],
        [[{}], {0: 0}],
        [[{"content_type": 5}], [1]],
        [[{"user_property": [["a"]]}], [1]],
        [[{"user_property": [["a", 5]]}], [1]],
        [[{"message_expiry_interval": -1}], [1]],
        [[5], [1]],
        5,
    ],
)
def test_properties_that_are_none_are_refused(properties: Any) -> None:
    with pytest.raises(BlockError):
        list(decode_blocks(msgpack.packb([*GOOD, properties]), 1))


def test_a_property_that_is_not_known_is_skipped() -> None:
    (block,) = decode_blocks(msgpack.packb([*GOOD, [[{"new": 1, "content_type": "x"}], [1]]]), 1)
    assert told(block)[0][-1] == {"content_type": "x"}


def test_an_array_that_declares_billions_is_refused_without_room_for_them() -> None:
    with pytest.raises(BlockError):
        list(decode_blocks(b"\xdd\xff\xff\xff\xff" * 100, 1))


def test_the_size_of_an_open_block_counts_all_of_its_properties() -> None:
    builder = BlockBuilder(1)
    for _ in range(20):
        builder.extend(
            client="c",
            now_us=1,
            topics=[b"t"],
            payloads=[b""],
            flags=b"\0",
            plain_size_bytes=1,
            properties=[
                Properties(
                    correlation_data=bytes(1000),
                    content_type="x" * 1000,
                    response_topic="x" * 1000,
                    user_property=(("x" * 1000, "x" * 1000),),
                )
            ],
        )
    assert 0.9 < builder.size_bytes / len(builder.encode()) < 1.2
