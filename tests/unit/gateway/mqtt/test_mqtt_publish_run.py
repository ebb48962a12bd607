"""Runs of PUBLISH become batches: what breaks a run, and what its columns hold."""

from __future__ import annotations

import pytest

from gateway.mqtt import errors
from gateway.mqtt.packets import PingReq, PubAck, PubAcks, PublishBatch, PubRel
from tests.support.mqtt_bytes import connected, publish

UNIT = b"\x26\x00\x04unit\x00\x01C"
JSON = b"\x03\x00\x04json"


def alias(number: int) -> bytes:
    return b"\x23" + number.to_bytes(2, "big")


def one_batch(packets: list[object]) -> PublishBatch:
    (batch,) = packets
    assert isinstance(batch, PublishBatch)
    return batch


def test_a_run_becomes_one_batch_of_columns() -> None:
    reader = connected()
    data = [publish("a", b"1", packet_id=1), publish("a", b"22", packet_id=2), publish("bb", b"", packet_id=258)]
    batch = one_batch(reader.feed(b"".join(data)))
    assert batch.qos == 1
    assert batch.topics == [b"a", b"a", b"bb"]
    assert batch.payloads == [b"1", b"22", b""]
    assert batch.packet_ids == [b"\x00\x01", b"\x00\x02", b"\x01\x02"]
    assert batch.first_bytes == b"222"
    assert batch.properties is None
    assert batch.size_bytes == sum(map(len, data))
    assert not batch.any_retain


def test_dup_and_retain_stay_with_their_packet() -> None:
    reader = connected()
    flags = [0, 0, 1, 8, 9, 0]
    batch = one_batch(reader.feed(b"".join(publish(flags=flag) for flag in flags)))
    assert list(batch.first_bytes) == [0x32 | flag for flag in flags]
    assert batch.any_retain


@pytest.mark.parametrize("level", [4, 5])
def test_retain_stays_with_its_packet_around_one_that_has_no_layout(level: int) -> None:
    data = [publish(flags=1, level=level), publish(payload=b"x" * 20_000, level=level), publish(flags=1, level=level)]
    batch = one_batch(connected(level).feed(b"".join(data)))
    assert batch.first_bytes == b"323"


def test_qos_0_has_no_packet_ids() -> None:
    batch = one_batch(connected().feed(publish(qos=0) * 3))
    assert (batch.qos, len(batch), batch.packet_ids) == (0, 3, [])


@pytest.mark.parametrize("level", [4, 5])
def test_a_run_ends_where_the_qos_changes_or_another_packet_comes(level: int) -> None:
    reader = connected(level)
    found = reader.feed(
        publish(level=level) * 2
        + publish(qos=2, level=level)
        + b"\x62\x02\x00\x01" * 2
        + publish(qos=2, level=level)
        + publish(qos=0, level=level)
        + b"\xc0\x00"
        + publish(level=level)
    )
    kinds = [(type(item), getattr(item, "qos", None)) for item in found]
    assert kinds == [
        (PublishBatch, 1),
        (PublishBatch, 2),
        (PubRel, None),
        (PublishBatch, 2),
        (PublishBatch, 0),
        (PingReq, None),
        (PublishBatch, 1),
    ]
    assert [len(item) for item in found if isinstance(item, PublishBatch)] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize("payload_bytes", [0, 1, 2, 100, 121, 122, 123, 124, 16_370, 16_378, 16_384, 70_000])
@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("qos", [0, 1])
def test_every_length_of_the_remaining_length_is_read(payload_bytes: int, level: int, qos: int) -> None:
    reader = connected(level)
    data = publish("t", b"x" * payload_bytes, level=level, qos=qos)
    batch = one_batch(reader.feed(data * 3))
    assert [len(item) for item in batch.payloads] == [payload_bytes] * 3
    assert batch.topics == [b"t"] * 3
    assert batch.size_bytes == 3 * len(data)


@pytest.mark.parametrize("level", [4, 5])
def test_a_packet_id_of_0_ends_the_batch_before_it(level: int) -> None:
    reader = connected(level)
    properties = UNIT if level == 5 else b""
    good = publish("a", b"1", level=level)
    bad = publish("a", b"2", level=level, packet_id=0, properties=properties)
    batch = one_batch(reader.feed(good + good + bad + good))
    assert batch.payloads == [b"1", b"1"]
    assert len(batch.topics) == len(batch.packet_ids) == len(batch.first_bytes) == 2
    assert batch.size_bytes == 2 * len(good)
    assert batch.properties is None
    assert isinstance(reader.error, errors.ProtocolError)


def test_the_same_properties_are_the_identical_object_even_on_other_connections() -> None:
    first = one_batch(connected(5).feed(publish(level=5, properties=UNIT) + publish("z", level=5, properties=UNIT)))
    second = one_batch(connected(5).feed(publish(level=5, properties=UNIT)))
    assert first.properties is not None
    assert second.properties is not None
    assert first.properties[0] is first.properties[1] is second.properties[0]
    assert first.properties[0].user_property == (("unit", "C"),)


def test_properties_stand_in_the_row_of_their_packet() -> None:
    blocks = [b"", UNIT, UNIT, b"", JSON, JSON + UNIT, UNIT * 30, b"", UNIT]
    batch = one_batch(connected(5).feed(b"".join(publish(level=5, properties=block) for block in blocks)))
    assert batch.properties is not None
    assert [item and (item.content_type, len(item.user_property)) for item in batch.properties] == [
        None,
        (None, 1),
        (None, 1),
        None,
        ("json", 0),
        ("json", 1),
        (None, 30),
        None,
        (None, 1),
    ]
    assert batch.payloads == [b"x"] * len(blocks)


def test_all_properties_that_travel_are_read() -> None:
    block = (
        b"\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x04json\x08\x00\x05reply\x09\x00\x02\xff\x00"
        b"\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w"
    )
    batch = one_batch(connected(5).feed(publish(level=5, properties=block)))
    assert batch.properties is not None
    assert batch.properties[0] is not None
    assert batch.properties[0].to_map() == {
        "payload_format_indicator": 1,
        "message_expiry_interval": 60,
        "content_type": "json",
        "response_topic": "reply",
        "correlation_data": b"\xff\x00",
        "user_property": (("k", "v"), ("k", "w")),
    }


def test_a_topic_alias_stands_for_its_topic_until_it_is_set_anew() -> None:
    reader = connected(5, topic_alias_maximum=2)
    data = [
        publish("first", level=5, properties=alias(1)),
        publish("", level=5, properties=alias(1)),
        publish("second", level=5, properties=alias(2)),
        publish("", level=5, properties=alias(1) + UNIT),
        publish("third", level=5, properties=alias(1)),
        publish("", level=5, properties=alias(1)),
        publish("plain", level=5),
        publish("", level=5, properties=alias(2)),
    ]
    batch = one_batch(reader.feed(b"".join(data)))
    names = [b"first", b"first", b"second", b"first", b"third", b"third", b"plain", b"second"]
    assert batch.topics == names
    assert reader.error is None


def test_topic_aliases_are_of_one_connection() -> None:
    one, other = connected(5, topic_alias_maximum=2), connected(5, topic_alias_maximum=2)
    one.feed(publish("first", level=5, properties=alias(1)))
    assert other.feed(publish("", level=5, properties=alias(1))) == []
    assert isinstance(other.error, errors.ProtocolError)


@pytest.mark.parametrize(("number", "maximum"), [(0, 5), (3, 2), (1, 0), (65535, 65534)])
def test_a_topic_alias_outside_the_announced_range_is_refused(number: int, maximum: int) -> None:
    reader = connected(5, topic_alias_maximum=maximum)
    batch = one_batch(reader.feed(publish(level=5) + publish(level=5, properties=alias(number))))
    assert len(batch) == 1
    assert isinstance(reader.error, errors.TopicAliasInvalid)


def test_a_wrong_property_after_good_ones_leaves_the_columns_whole() -> None:
    reader = connected(5)
    batch = one_batch(
        reader.feed(publish(level=5) + publish(level=5, properties=UNIT) + publish(level=5, properties=b"\x00"))
    )
    assert len(batch) == len(batch.first_bytes) == len(batch.properties or []) == 2
    assert isinstance(reader.error, errors.MalformedPacket)


def test_a_block_of_one_zero_byte_is_refused_after_a_long_block_too() -> None:
    reader = connected(5)
    batch = one_batch(reader.feed(publish(level=5, properties=UNIT * 30) + publish(level=5, properties=b"\x00")))
    assert len(batch) == 1
    assert isinstance(reader.error, errors.MalformedPacket)


def test_a_long_run_of_pubrels_is_one_packet() -> None:
    ids = [number.to_bytes(2, "big") for number in range(1, 500)]
    assert connected().feed(b"".join(b"\x62\x02" + item for item in ids)) == [PubRel(packet_ids=ids)]


def test_a_pubrel_with_the_id_0_loses_none_before_it() -> None:
    reader = connected()
    assert reader.feed(b"\x62\x02\x00\x01\x62\x02\x00\x00") == [PubRel(packet_ids=[b"\x00\x01"])]
    assert isinstance(reader.error, errors.ProtocolError)


def test_a_long_run_of_pubacks_is_one_packet() -> None:
    ids = list(range(1, 65536))
    assert connected().feed(b"".join(b"\x40\x02" + item.to_bytes(2, "big") for item in ids)) == [
        PubAcks(packet_ids=ids)
    ]


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("bad", [b"\x40\x02\x00\x00", b"\x40\x01\x07", b"\x41\x02\x00\x07", b"\x40\x03\x00\x07\x77"])
def test_a_wrong_puback_loses_none_of_the_run_before_it(level: int, bad: bytes) -> None:
    reader = connected(level)
    found = reader.feed(b"\x40\x02\x00\x01\x40\x02\x00\x02" + bad + b"\x40\x02\x00\x03" * 2)
    assert found == [PubAcks(packet_ids=[1, 2])]
    assert reader.error is not None


def test_pubacks_with_more_than_an_id_come_singly_between_the_runs() -> None:
    short = b"\x40\x02\x00\x01\x40\x02\x40\x02"
    reader = connected(5)
    assert reader.feed(short + b"\x40\x03\x00\x07\x10" + short + b"\x40\x02\x00") == [
        PubAcks(packet_ids=[1, 0x4002]),
        PubAck(packet_id=7, reason_code=0x10),
        PubAcks(packet_ids=[1, 0x4002]),
    ]
    assert reader.feed(b"\x09") == [PubAck(packet_id=9)]
