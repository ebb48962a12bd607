"""What is built of a block's bytes, and what is refused before it is."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import msgpack
import pytest

from bridge.block import decode_blocks
from bridge.errors import BlockError
from bridge.record import Properties

GOOD: list[Any] = [1_750_000_000_000_000, ["t"], ["c"], [0], [0], [0], b"\x02", [b"x"]]
MANY = 300_000


def many(item: bytes) -> bytes:
    """An array of that many of the item."""
    return b"\xdd" + struct.pack(">I", MANY) + item * MANY


def block(column: int, value: bytes) -> bytes:
    """The good block with the bytes in place of one of its columns, or as its ninth."""
    parts = [msgpack.packb(part) for part in GOOD]
    parts[column : column + 1] = [value]
    return bytes([0x90 + len(parts)]) + b"".join(parts)


def peak_bytes(data: bytes, max_records: int) -> int:
    """What refusing the block takes in memory at the most."""
    tracemalloc.start()
    try:
        with pytest.raises(BlockError):
            list(decode_blocks(data, 1, max_records))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("column", range(9))
@pytest.mark.parametrize("item", [b"\x90", b"\x80", b"\x91\x90", b"\xc7\x00\x05", b"\xd4\x05\x00"])
@pytest.mark.parametrize("max_records", [1, MANY])
def test_a_column_of_containers_is_refused_before_they_are_built(column: int, item: bytes, max_records: int) -> None:
    data = block(column, many(item))
    if column == 8 and max_records == MANY:
        return  # as many sets as there are records may be honest
    assert peak_bytes(data, max_records) < 12 * len(data)  # the bytes, twice, and eight for an entry's place


@pytest.mark.parametrize("column", [1, 2, 3, 4, 5, 7])
def test_a_column_longer_than_the_declared_records_is_refused_before_it_is_built(column: int) -> None:
    data = block(column, many(b"\x00"))
    assert peak_bytes(data, 1000) < 4 * len(data)


@pytest.mark.parametrize(("declared", "bound"), [(MANY, 8 * MANY), (16_384, 72 << 20)])
def test_arrays_in_arrays_that_declare_more_than_there_is_get_little_room(declared: int, bound: int) -> None:
    nested = (b"\xdd" + struct.pack(">I", declared)) * 500
    assert peak_bytes(block(3, nested + bytes(MANY)), declared) < bound


def test_one_record_may_have_many_user_properties_and_a_newer_writer_more_columns() -> None:
    pairs = [["", ""]] * 5000
    data = msgpack.packb([*GOOD, [[{"user_property": pairs}], [1]], {"new": [[]]}])
    (found,) = decode_blocks(data, 1, 1)
    (sets,) = found.property_sets
    assert isinstance(sets, Properties)
    assert len(sets.user_property) == 5000
    assert found.next_seq == 2
