"""Bytes that have brought brokers down, each class of which has had its CVE: refused, quickly, and at no cost.

The reader's answer is one of the declared errors, as soon as the fault can be seen, and what it keeps in memory is what
came and not what was promised.
"""

from __future__ import annotations

import tracemalloc

import pytest

from gateway.mqtt import errors
from gateway.mqtt.reader import Reader
from gateway.mqtt.topics import check_topic_name
from tests.support.mqtt_bytes import connect, connected, field, packet, publish, varint

NUL = b"a\x00b"
NOT_UTF8 = {
    "lone continuation": b"\x80",
    "cut sequence": b"\xe2\x82",
    "over-long slash": b"\xc0\xaf",
    "over-long NUL": b"\xc0\x80",
    "surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "Latin-1": b"caf\xe9",
}
SLASHES = b"/" * 65_000


def kept_bytes(reader: Reader, data: bytes) -> int:
    """What more memory the reader has after `data` than before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        reader.feed(data)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("level", [None, 3, 4, 5])
@pytest.mark.parametrize("first", [0x10, 0x30, 0x32, 0x34, 0x40, 0x82, 0xA2])
@pytest.mark.parametrize("length", [b"\xff\xff\xff\x7f", b"\x80\x80\x80\x01", b"\xff\xff\x7f"])
def test_a_declared_length_alone_takes_no_memory(level: int | None, first: int, length: bytes) -> None:
    reader = Reader(max_packet_size_bytes=2**20) if level is None else connected(level)
    assert kept_bytes(reader, bytes((first,)) + length) < 4096
    assert reader.error is not None


def test_a_length_that_is_allowed_takes_no_memory_before_its_bytes_come() -> None:
    reader = connected(4, max_packet_size_bytes=2**28)
    assert kept_bytes(reader, b"\x30" + varint(2**27) + b"\x00\x01a") < 4096
    assert reader.error is None
    assert reader.pending_bytes < 10


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff",  # a topic of 65535 bytes that is not there
        b"\x00\x01a\x00\x01\xff\xff\xff\x7f",  # properties of 256 MB
        b"\x00\x01a\x00\x01\x06\x26\xff\xffk\xff\xff",  # a user property longer than the packet
    ],
)
def test_lengths_within_a_packet_are_held_against_the_packet(level: int, body: bytes) -> None:
    reader = connected(level)
    reader.feed(packet(0x32, body) if level == 5 else packet(0x32, body[:2]))
    assert isinstance(reader.error, errors.MalformedPacket)


@pytest.mark.parametrize(
    ("level", "first"), [(None, 0x10), *((level, first) for level in (3, 4, 5) for first in (0x30, 0x82, 0xC0, 0xE0))]
)
def test_a_remaining_length_of_five_bytes_is_refused_at_its_fifth(level: int | None, first: int) -> None:
    for last in (0x00, 0x01, 0x7F, 0x80, 0xFF):
        reader = Reader(max_packet_size_bytes=2**20) if level is None else connected(level)
        reader.feed(bytes((first, 0x80, 0x80, 0x80, 0x80)))
        reader.feed(bytes((last,)) * 2)
        assert isinstance(reader.error, errors.MalformedPacket)


@pytest.mark.parametrize(
    "block", [b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x7f", b"\x05\x0b\x80\x80\x80\x80\x01", b"\x02\x80\x81"]
)
def test_a_variable_byte_integer_of_five_bytes_in_the_properties_is_refused(block: bytes) -> None:
    for raw in (
        packet(0x82, b"\x00\x01", block, field("a"), b"\x00"),
        packet(0x30, field("a"), block),
        packet(0xE0, b"\x00", block),
    ):
        reader = connected(5)
        assert reader.feed(raw) == []
        assert isinstance(reader.error, errors.MalformedPacket), raw


@pytest.mark.parametrize("raw", [NUL, *NOT_UTF8.values()], ids=["NUL", *NOT_UTF8])
@pytest.mark.parametrize("level", [3, 4, 5])
def test_text_that_is_not_utf8_or_holds_nul_is_refused_wherever_it_stands(level: int, raw: bytes) -> None:
    block = b"\x00" if level == 5 else b""
    head = field("MQIsdp" if level == 3 else "MQTT") + bytes((level,))
    for place, data in {
        "client id": packet(0x10, head, b"\x02\x00\x3c", block, field(raw)),
        "will topic": packet(0x10, head, b"\x06\x00\x3c", block, field("id"), block, field(raw), field("x")),
        "user name": packet(0x10, head, b"\x82\x00\x3c", block, field("id"), field(raw)),
        "filter": packet(0x82, b"\x00\x01", block, field(raw), b"\x00"),
        "filter to leave": packet(0xA2, b"\x00\x01", block, field(raw)),
    }.items():
        reader = Reader(max_packet_size_bytes=2**20) if data[0] == 0x10 else connected(level)
        assert reader.feed(data) == [], place
        assert isinstance(reader.error, errors.MalformedPacket | errors.TopicNameInvalid | errors.TopicFilterInvalid)
    with pytest.raises(errors.TopicNameInvalid):  # of a PUBLISH: checked where a topic is first seen
        check_topic_name(raw)


@pytest.mark.parametrize("raw", [NUL, *NOT_UTF8.values()], ids=["NUL", *NOT_UTF8])
@pytest.mark.parametrize("identifier", [0x03, 0x08, 0x26])
def test_text_in_the_properties_of_a_publish_is_refused_likewise(identifier: int, raw: bytes) -> None:
    for value in [field(raw)] if identifier != 0x26 else [field(raw) + field("v"), field("k") + field(raw)]:
        reader = connected(5)
        assert reader.feed(publish(level=5, properties=bytes((identifier,)) + value)) == []
        assert isinstance(reader.error, errors.MalformedPacket)


@pytest.mark.parametrize("level", [3, 4, 5])
def test_65000_slashes_are_no_topic_filter_and_no_will_topic_and_no_topic(level: int) -> None:
    block = b"\x00" if level == 5 else b""
    head = field("MQIsdp" if level == 3 else "MQTT") + bytes((level,))
    for data in (
        packet(0x82, b"\x00\x01", block, field(SLASHES), b"\x00"),
        packet(0x82, b"\x00\x01", block, field(b"$share/g/" + SLASHES), b"\x00"),
        packet(0xA2, b"\x00\x01", block, field(SLASHES)),
        packet(0x10, head, b"\x06\x00\x3c", block, field("id"), block, field(SLASHES), field("x")),
    ):
        reader = Reader(max_packet_size_bytes=2**20) if data[0] == 0x10 else connected(level)
        reader.feed(data)
        assert isinstance(reader.error, errors.TopicFilterInvalid | errors.TopicNameInvalid | errors.PacketTooLarge)
    with pytest.raises(errors.TopicNameInvalid):
        check_topic_name(SLASHES)


@pytest.mark.parametrize("level", [3, 4, 5])
def test_an_empty_topic_is_refused_but_for_an_alias(level: int) -> None:
    reader = connected(level)
    reader.feed(publish("", level=level))
    assert isinstance(reader.error, errors.TopicNameInvalid if level < 5 else errors.ProtocolError)
    for first in (0x82, 0xA2):
        reader = connected(level)
        reader.feed(packet(first, b"\x00\x01", b"\x00" if level == 5 else b"", field(""), b"\x00" * (first == 0x82)))
        assert isinstance(reader.error, errors.TopicFilterInvalid)


@pytest.mark.parametrize("level", [None, 3, 4, 5])
@pytest.mark.parametrize("first", [0x00, 0x0F, 0x20, 0x90, 0xB0, 0xD0])
def test_what_only_a_server_sends_and_what_nobody_sends_is_refused_at_its_first_byte(
    level: int | None, first: int
) -> None:
    reader = Reader(max_packet_size_bytes=2**20) if level is None else connected(level)
    reader.feed(bytes((first,)))
    assert isinstance(reader.error, errors.MalformedPacket | errors.ProtocolError)


@pytest.mark.parametrize("first", [n for n in range(256) if n >> 4 != 1])
def test_nothing_comes_before_connect(first: int) -> None:
    reader = Reader(max_packet_size_bytes=2**20)
    assert reader.feed(bytes((first, 2, 0, 1))) == []
    assert reader.error is not None


@pytest.mark.parametrize("level", [3, 4, 5])
def test_a_second_connect_is_refused(level: int) -> None:
    reader = Reader(max_packet_size_bytes=2**20)
    assert len(reader.feed(connect(level) + connect(level))) == 1
    assert isinstance(reader.error, errors.ProtocolError)


@pytest.mark.parametrize("level", [3, 4, 5])
def test_every_byte_pair_after_connect_is_a_packet_or_a_declared_error(level: int) -> None:
    for first in range(256):
        for second in (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF):
            reader = connected(level)
            reader.feed(bytes((first, second)) + b"\x00" * 6)
            assert reader.error is None or isinstance(reader.error, errors.ProtocolViolation)


def test_a_packet_with_two_faults_is_refused_for_the_same_one_however_it_is_cut() -> None:
    data = publish("a", qos=0, level=5) + b"\x38\xff\x40"  # DUP with QoS 0, and too large
    for size in (1, 2, 100):
        reader = connected(5, max_packet_size_bytes=4096)
        for at in range(0, len(data), size):
            reader.feed(data[at : at + size])
        assert isinstance(reader.error, errors.MalformedPacket)
