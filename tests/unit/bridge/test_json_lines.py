"""Records as lines of JSON."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.block import MAX_TIME_US, decode_blocks
from bridge.block_builder import BlockBuilder
from bridge.errors import BlockError
from bridge.json_lines import decode_lines, encode_lines, parse_rfc3339, rfc3339
from bridge.record import Properties

LINE = {
    "gateway": "edge",
    "stream": "s",
    "epoch": "e",
    "seq": 1,
    "received_at": "2025-06-15T15:06:40.000001Z",
    "client": "c",
    "topic": "t",
    "qos": 1,
    "retain": False,
    "payload": "21",
}


def test_a_line_has_the_fields_of_the_format_in_their_order() -> None:
    builder = BlockBuilder(1_750_000_000_000_001)
    builder.extend(
        client="c",
        now_us=1_750_000_000_000_001,
        topics=[b"t", b"t"],
        payloads=["grün\n".encode(), b"\xff"],
        flags=bytes([2, 5]),
        plain_size_bytes=0,
        properties=[None, Properties(correlation_data=b"\x01\x02", user_property=(("k", "v"),))],
    )
    (block,) = decode_blocks(builder.encode(), 9)
    first, second = encode_lines(block, gateway="edge", stream="s", epoch="e").decode().splitlines()
    assert first == (
        '{"gateway":"edge","stream":"s","epoch":"e","seq":9,"received_at":"2025-06-15T15:06:40.000001Z",'
        '"client":"c","topic":"t","qos":1,"retain":false,"payload":"grün\\n"}'
    )
    assert json.loads(second) | {"payload_base64": "/w=="} == json.loads(second)
    assert json.loads(second)["properties"] == {"correlation_data_base64": "AQI=", "user_property": [["k", "v"]]}


@settings(deadline=None)
@given(st.integers(0, MAX_TIME_US - 1))
def test_a_time_goes_round_to_the_microsecond(time_us: int) -> None:
    assert parse_rfc3339(rfc3339(time_us)) == time_us
    assert rfc3339(time_us)[:19] == datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime(
        "%Y-%m-%dT%H:%M:%S"
    ).rjust(19, "0")


def test_a_time_with_another_offset_is_the_same_moment() -> None:
    assert parse_rfc3339("2025-06-15T17:06:40.5+02:00") == parse_rfc3339("2025-06-15T15:06:40.500000Z")


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 2},
        {"seq": "1"},
        {"received_at": "yesterday"},
        {"received_at": "2025-06-15T15:06:40"},
        {"received_at": "1969-06-15T15:06:40Z"},
        {"received_at": 5},
        {"client": None},
        {"topic": 1},
        {"qos": 3},
        {"qos": True},
        {"retain": 1},
        {"payload": 21},
        {"payload": None, "payload_base64": "/w=="},
        {"properties": 1},
        {"properties": {"content_type": 1}},
        {"properties": {"correlation_data_base64": "!"}},
    ],
)
def test_a_line_that_is_no_record_is_refused(change: dict[str, object]) -> None:
    assert len(decode_lines(json.dumps(LINE).encode() + b"\n", 1)) == 1
    with pytest.raises(BlockError, match="Line 1"):
        decode_lines(json.dumps(LINE | change).encode() + b"\n", 1)


@pytest.mark.parametrize("data", [b"", b"{}", b"\n", b"[]\n", b"5\n", b"{}\n", b"\xff\n"])
def test_what_is_no_line_is_refused(data: bytes) -> None:
    with pytest.raises(BlockError):
        decode_lines(data, 1)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_raise_nothing_but_a_block_error(data: bytes) -> None:
    with pytest.raises(BlockError):
        decode_lines(data, 1)


def peak_bytes(data: bytes) -> int:
    """What refusing the lines takes in memory at the most, besides the lines."""
    tracemalloc.start()
    try:
        with pytest.raises(BlockError):
            decode_lines(data, 1, 1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("empty", [[], {}])
def test_a_line_of_empty_arrays_or_objects_is_refused_before_they_are_built(empty: object) -> None:
    line = json.dumps(LINE | {"properties": [empty] * 300_000}).encode() + b"\n"
    assert peak_bytes(line) < 4 * len(line)


def test_more_lines_than_declared_are_refused_before_any_is_read() -> None:
    assert peak_bytes(b"{}\n" * 300_000) < 100_000


def test_a_line_with_many_brackets_in_its_payload_or_many_user_properties_is_read() -> None:
    payload = json.dumps([[], {}, '"\\'] * 20_000)
    pairs = [["", ""]] * 20_000
    line = json.dumps(LINE | {"payload": payload, "properties": {"user_property": pairs}}, separators=(",", ":"))
    block = decode_lines(line.encode() + b"\n", 1, 1)
    assert block.payloads == [payload.encode()]
    assert len(block.property_sets[0].user_property) == 20_000
