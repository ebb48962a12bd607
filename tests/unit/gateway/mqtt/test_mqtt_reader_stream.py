"""The reader as a stream: pieces of any size, any bytes at all, and bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import Limits
from gateway.mqtt import errors
from gateway.mqtt.packets import Connect, PublishBatch
from gateway.mqtt.publish_layout import MAX_LAYOUTS, WITH_PROPERTIES, WITHOUT_PROPERTIES
from gateway.mqtt.publish_properties import MAX_ENTRIES, shared_cache
from gateway.mqtt.reader import Reader
from tests.support.examples import examples
from tests.support.mqtt_bytes import connect, connected, field, packet, publish, rows, varint

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A loaded machine is no reason to fail."""
USER_PROPERTY = b"\x26\x00\x01k\x00\x01v"


@st.composite
def good_packets(draw: st.DrawFn, level: int) -> bytes:
    """One valid packet of a client."""
    kind = draw(st.sampled_from(["publish"] * 6 + ["pubrel", "puback", "pingreq", "subscribe"]))
    number = draw(st.integers(1, 65535))
    if kind == "publish":
        qos = draw(st.integers(0, 2))
        flags = draw(st.sampled_from([0, 1] if qos == 0 else [0, 1, 8, 9]))
        blocks = [b"", b"", USER_PROPERTY, USER_PROPERTY * 2, b"\x01\x01", b"\x23\x00\x02", USER_PROPERTY * 30]
        return publish(
            draw(st.sampled_from(["a", "b/c", "factory/line1/sensor", "x" * 120, "y" * 300])),
            draw(st.sampled_from([b"", b"1", b"x" * 60, b"y" * 200, b"z" * 17_000])),
            level=level,
            qos=qos,
            packet_id=number,
            flags=flags,
            properties=draw(st.sampled_from(blocks)) if level == 5 else b"",
        )
    two = number.to_bytes(2, "big")
    if kind == "pubrel":
        return packet(0x62, two, draw(st.sampled_from([b"", b"\x00", b"\x92\x00"])) if level == 5 else b"")
    if kind == "puback":
        return packet(0x40, two)
    if kind == "pingreq":
        return b"\xc0\x00"
    return packet(0x82, two, b"\x00" if level == 5 else b"", field("a/+/#"), b"\x01")


@st.composite
def conversations(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    """A protocol level, and a CONNECT with what follows it."""
    level = draw(st.sampled_from([3, 4, 5]))
    return level, [connect(level), *draw(st.lists(good_packets(level), max_size=12))]


def read_in_pieces(data: bytes, sizes: list[int]) -> tuple[Reader, list[object]]:
    reader = Reader(max_packet_size_bytes=2**20, topic_alias_maximum=2)
    found: list[object] = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found.extend(rows(reader.feed(data[at : at + size])))
        at += size
        turn += 1
    return reader, found


@settings(RELAXED, max_examples=examples(60))
@given(conversations(), st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_pieces_of_any_size_give_the_same_packets(case: tuple[int, list[bytes]], sizes: list[int]) -> None:
    data = b"".join(case[1])
    whole, expected = read_in_pieces(data, [len(data)])
    assert whole.error is None, whole.error
    pieces, found = read_in_pieces(data, sizes)
    assert pieces.error is None
    assert found == expected
    assert pieces.pending_bytes == 0


@settings(RELAXED, max_examples=examples(40))
@given(conversations())
def test_a_packet_read_alone_is_the_packet_read_in_a_run(case: tuple[int, list[bytes]]) -> None:
    together = read_in_pieces(b"".join(case[1]), [2**30])[1]
    reader = Reader(max_packet_size_bytes=2**20, topic_alias_maximum=2)
    alone = [row for data in case[1] for row in rows(reader.feed(data))]
    assert alone == together


@settings(RELAXED, max_examples=examples(30))
@given(conversations())
def test_the_sizes_of_batches_add_up_to_what_came(case: tuple[int, list[bytes]]) -> None:
    reader = Reader(max_packet_size_bytes=2**20, topic_alias_maximum=2)
    batches = [item for item in reader.feed(b"".join(case[1])) if isinstance(item, PublishBatch)]
    assert sum(batch.size_bytes for batch in batches) == sum(len(data) for data in case[1] if data[0] >> 4 == 3)
    for batch in batches:
        ids = len(batch) if batch.qos else 0
        assert len(batch.topics) == len(batch.first_bytes) == len(batch)
        assert len(batch.packet_ids) == ids
        assert batch.properties is None or len(batch.properties) == len(batch)


def test_byte_by_byte_is_the_same_as_all_at_once() -> None:
    data = connect(5) + b"".join(
        publish(f"t/{i % 3}", b"x" * i, level=5, packet_id=i + 1, properties=USER_PROPERTY * (i % 3)) for i in range(40)
    )
    assert read_in_pieces(data, [1])[1] == read_in_pieces(data, [len(data)])[1]


@settings(RELAXED, max_examples=examples(150))
@given(st.binary(max_size=200), st.sampled_from([None, 3, 4, 5]))
def test_random_bytes_are_packets_or_a_violation_and_nothing_else(data: bytes, level: int | None) -> None:
    reader = Reader(max_packet_size_bytes=4096) if level is None else connected(level, max_packet_size_bytes=4096)
    reader.feed(data)
    assert reader.error is None or isinstance(reader.error, errors.ProtocolViolation)
    assert reader.pending_bytes <= len(data)


@settings(RELAXED, max_examples=examples(150))
@given(conversations(), st.data())
def test_a_changed_byte_is_read_or_refused_and_nothing_else(case: tuple[int, list[bytes]], data: st.DataObject) -> None:
    changed = bytearray(b"".join(case[1]))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, min(len(changed), 400) - 1))] = data.draw(st.integers(0, 255))
    reader, found = read_in_pieces(bytes(changed), [2**30])
    assert reader.error is None or isinstance(reader.error, errors.ProtocolViolation)
    again, found_again = read_in_pieces(bytes(changed), [7])
    assert found_again == found
    assert type(again.error) is type(reader.error)


@pytest.mark.parametrize("level", [3, 4, 5])
def test_a_conversation_cut_at_any_byte_waits_for_more(level: int) -> None:
    properties = USER_PROPERTY if level == 5 else b""
    data = connect(level) + publish(level=level, properties=properties) + packet(0x62, b"\x00\x01") + b"\xc0\x00"
    for stop in range(len(data)):
        reader = Reader(max_packet_size_bytes=4096)
        reader.feed(data[:stop])
        assert reader.error is None
        reader.feed(data[stop:])
        assert reader.error is None
        assert reader.pending_bytes == 0


def test_a_packet_over_the_maximum_is_refused_at_its_header() -> None:
    reader = connected(5, max_packet_size_bytes=1000)
    assert reader.feed(b"\x30" + varint(998)) == []
    assert isinstance(reader.error, errors.PacketTooLarge)
    assert reader.pending_bytes == 0


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("payload_bytes", [900, 20_000])
def test_the_maximum_counts_the_whole_packet_and_keeps_what_came_before(level: int, payload_bytes: int) -> None:
    small, large = publish(level=level), publish(payload=b"x" * payload_bytes, level=level)
    exact = connected(level, max_packet_size_bytes=len(large))
    assert [len(item) for item in exact.feed(small + large)] == [2]  # type: ignore[arg-type]
    assert exact.error is None
    less = connected(level, max_packet_size_bytes=len(large) - 1)
    assert [len(item) for item in less.feed(small + large + small)] == [1]  # type: ignore[arg-type]
    assert isinstance(less.error, errors.PacketTooLarge)


def test_the_first_packet_has_a_limit_of_its_own() -> None:
    reader = Reader(max_packet_size_bytes=2**20, first_packet_limit_bytes=100)
    reader.feed(connect(4, "x" * 100))
    assert isinstance(reader.error, errors.PacketTooLarge)
    reader = Reader(max_packet_size_bytes=2**20, first_packet_limit_bytes=100)
    found = reader.feed(connect(4) + publish(payload=b"x" * 200))
    assert isinstance(found[0], Connect)
    assert len(found) == 2


class CountingReader(Reader):
    """Counts how often it looks at its buffer."""

    looks = 0

    def _read(self, buffer: bytes, packets: list) -> int:  # type: ignore[type-arg]
        self.looks += 1
        return super()._read(buffer, packets)


def test_a_large_packet_in_small_pieces_is_looked_at_twice_and_held_once() -> None:
    reader = CountingReader(max_packet_size_bytes=4 * 2**20)
    reader.feed(connect())
    data = publish(payload=b"x" * (2 * 2**20))
    reader.looks = 0
    tracemalloc.start()
    try:
        found = [item for at in range(0, len(data), 512) for item in reader.feed(data[at : at + 512])]
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [len(item) for item in found] == [1]  # type: ignore[arg-type]
    assert reader.looks == 2
    assert reader.pending_bytes == 0
    assert peak_bytes < 3.5 * len(data)


def test_the_tables_shared_by_all_connections_are_bounded() -> None:
    for level, table in ((4, WITHOUT_PROPERTIES), (5, WITH_PROPERTIES)):
        reader = connected(level)
        for size in range(MAX_LAYOUTS + 50):
            reader.feed(publish("t" * (1 + size % 3), b"x" * size, level=level))
        assert reader.error is None
        assert 0 < len(table) <= MAX_LAYOUTS
    reader = connected(5)
    for number in range(MAX_ENTRIES + 50):
        reader.feed(publish(level=5, properties=b"\x26" + field("n") + field(str(number))))
    assert reader.error is None
    assert 0 < len(shared_cache(Limits())) <= MAX_ENTRIES


def test_many_user_properties_where_they_are_allowed_do_not_cost_quadratic_time_or_stay() -> None:
    many = b"\x26\x00\x00\x00\x00" * 50_000
    limits = Limits(max_user_properties=50_000)
    reader = Reader(max_packet_size_bytes=2**20, limits=limits)
    reader.feed(connect(5))
    (batch,) = reader.feed(publish(level=5, properties=many))
    assert len(batch.properties[0].user_property) == 50_000  # type: ignore[union-attr, index]
    assert len(shared_cache(limits)) == 0


PAIR = b"\x26\x00\x01k\x00\x01v"


def with_pairs(kind: str, count: int) -> bytes:
    block = varint(count * len(PAIR)) + PAIR * count
    many = {
        "PUBLISH": lambda: publish(level=5, properties=PAIR * count),
        "PUBACK": lambda: packet(0x40, b"\x00\x01\x00", block),
        "PUBREC": lambda: packet(0x50, b"\x00\x01\x00", block),
        "PUBREL": lambda: packet(0x62, b"\x00\x01\x00", block),
        "PUBCOMP": lambda: packet(0x70, b"\x00\x01\x00", block),
        "SUBSCRIBE": lambda: packet(0x82, b"\x00\x01", block, field("a"), b"\x00"),
        "UNSUBSCRIBE": lambda: packet(0xA2, b"\x00\x01", block, field("a")),
        "DISCONNECT": lambda: packet(0xE0, b"\x00", block),
        "AUTH": lambda: packet(0xF0, b"\x18", varint(count * len(PAIR) + 4), b"\x15\x00\x01m", PAIR * count),
    }
    return many[kind]()


@pytest.mark.parametrize(
    "kind", ["PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT", "AUTH"]
)
def test_a_packet_has_as_many_user_properties_as_the_limit_says_and_no_more(kind: str) -> None:
    limits = Limits(max_user_properties=3)
    for count, is_refused in ((3, False), (4, True), (5000, True)):
        reader = Reader(max_packet_size_bytes=2**20, limits=limits)
        reader.feed(connect(5))
        found = reader.feed(with_pairs(kind, count))
        assert bool(found) != is_refused
        assert isinstance(reader.error, errors.LimitExceeded) == is_refused, reader.error


@pytest.mark.parametrize("where", ["CONNECT", "will"])
def test_connect_and_its_will_have_no_more_user_properties_than_the_limit_says(where: str) -> None:
    few, many = varint(len(PAIR)) + PAIR, varint(4 * len(PAIR)) + PAIR * 4
    blocks = (many, few) if where == "CONNECT" else (few, many)
    reader = Reader(max_packet_size_bytes=2**20, limits=Limits(max_user_properties=3))
    head = field("MQTT") + b"\x05\x06\x00\x3c"
    assert reader.feed(packet(0x10, head, blocks[0], field("id"), blocks[1], field("will"), field("x"))) == []
    assert isinstance(reader.error, errors.LimitExceeded)
    assert reader.version == 5


def test_what_one_limit_allows_is_not_passed_on_to_a_reader_with_a_lower_one() -> None:
    for maximum, is_refused in ((5, False), (3, True)):
        reader = Reader(max_packet_size_bytes=2**20, limits=Limits(max_user_properties=maximum))
        reader.feed(connect(5))
        reader.feed(publish(level=5, properties=PAIR * 4))
        assert (reader.error is not None) == is_refused


@pytest.mark.parametrize(
    "raw", [packet(0x82, b"\x00\x01", field("a/b/c"), b"\x00"), packet(0xA2, b"\x00\x01", field("a/b/c"))]
)
def test_a_filter_has_no_more_levels_than_the_limit_says(raw: bytes) -> None:
    for levels, is_refused in ((3, False), (2, True)):
        reader = Reader(max_packet_size_bytes=2**20, limits=Limits(max_topic_levels=levels))
        reader.feed(connect(4) + raw)
        assert isinstance(reader.error, errors.TopicFilterInvalid) == is_refused


@pytest.mark.parametrize(
    "data",
    [
        packet(0x82, b"\x00\x01", b"\x00", b"\x00\x01a\x00" * 70_000),
        packet(0xA2, b"\x00\x01", b"\x00", b"\x00\x01a" * 100_000),
    ],
    ids=["SUBSCRIBE", "UNSUBSCRIBE"],
)
def test_a_packet_of_very_many_parts_is_refused_before_they_are_read(data: bytes) -> None:
    reader = connected(5)
    assert reader.feed(data) == []
    assert isinstance(reader.error, errors.PacketTooLarge)


@given(st.lists(good_packets(4), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 400))
@RELAXED
def test_packets_may_be_asked_for_a_few_at_a_time(packets: list[bytes], max_packets: int, step: int) -> None:
    stream = b"".join(packets)
    whole = Reader(max_packet_size_bytes=1 << 20)
    few = Reader(max_packet_size_bytes=1 << 20, max_packets=max_packets)
    expected, found = [], []
    for reader in (whole, few):
        reader.feed(connect(level=4))
    for at in range(0, len(stream), step):
        expected += whole.feed(stream[at : at + step])
        found.append(few.feed(stream[at : at + step]))
        while few.is_behind:
            found.append(few.feed(b""))
    assert all(len(part) <= max_packets for part in found)
    assert rows([packet for part in found for packet in part]) == rows(expected)
    assert few.pending_bytes == whole.pending_bytes == 0
