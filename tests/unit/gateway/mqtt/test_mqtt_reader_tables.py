"""Bytes and what the reader makes of them, packet by packet and version by version."""

from __future__ import annotations

import pytest

from gateway.mqtt import errors
from gateway.mqtt.packets import (
    Auth,
    Connect,
    Disconnect,
    PingReq,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
)
from gateway.mqtt.reader import Reader
from tests.support.mqtt_bytes import connect, connected, field, packet, publish

MQTT4 = b"\x00\x04MQTT\x04"
MQTT5 = b"\x00\x04MQTT\x05"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            b"\x10\x12\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x04abcd",
            Connect(version=Version.V31, client_id="abcd", clean_start=True, keep_alive_s=60),
        ),
        (
            b"\x14\x12\x00\x06MQIsdp\x03\x01\x00\x3c\x00\x04abcd",
            Connect(version=Version.V31, client_id="abcd", clean_start=False, keep_alive_s=60),
        ),
        (
            b"\x10\x0c" + MQTT4 + b"\x02\x00\x0a\x00\x00",
            Connect(version=Version.V311, client_id="", clean_start=True, keep_alive_s=10),
        ),
        (
            b"\x10\x15" + MQTT4 + b"\xc2\x00\x0a\x00\x01p\x00\x01u\x00\x03\x00\x01\x02",
            Connect(
                version=Version.V311,
                client_id="p",
                clean_start=True,
                keep_alive_s=10,
                username="u",
                password=b"\x00\x01\x02",
            ),
        ),
        (
            b"\x10\x0d" + MQTT5 + b"\x00\x00\x0a\x00\x00\x00",
            Connect(version=Version.V5, client_id="", clean_start=False, keep_alive_s=10),
        ),
        (
            b"\x10\x11" + MQTT5 + b"\x42\x00\x0a\x00\x00\x01p\x00\x01w",
            Connect(version=Version.V5, client_id="p", clean_start=True, keep_alive_s=10, password=b"w"),
        ),
        (
            packet(
                0x10,
                MQTT5 + b"\x02\x00\x0a",
                b"\x23\x11\x00\x00\x00\x3c\x21\x00\x14\x27\x00\x00\x10\x00\x22\x00\x05\x19\x01\x17\x00",
                b"\x26\x00\x01k\x00\x01v\x15\x00\x01m\x16\x00\x01d",
                b"\x00\x01p",
            ),
            Connect(
                version=Version.V5,
                client_id="p",
                clean_start=True,
                keep_alive_s=10,
                session_expiry_interval_s=60,
                receive_maximum=20,
                maximum_packet_size_bytes=4096,
                topic_alias_maximum=5,
                request_response_information=True,
                request_problem_information=False,
                authentication_method="m",
                authentication_data=b"d",
                user_property=(("k", "v"),),
            ),
        ),
    ],
    ids=["3.1", "3.1 with unused flags", "3.1.1 no id", "3.1.1 login", "5.0 no id", "5.0 password alone", "5.0 all"],
)
def test_a_connect_of_each_version_is_read_whole(raw: bytes, expected: Connect) -> None:
    reader = Reader(max_packet_size_bytes=2**20)
    assert reader.feed(raw) == [expected]
    assert reader.error is None
    assert reader.version is expected.version
    assert reader.connected


def test_a_will_is_read_with_its_properties() -> None:
    reader = Reader(max_packet_size_bytes=2**20)
    will = b"\x0e\x18\x00\x00\x00\x05\x01\x01\x03\x00\x04json" + field("dev/status") + field(b"\xff\x00")
    (found,) = reader.feed(packet(0x10, MQTT5 + b"\x36\x00\x0a\x00\x00\x01p", will))
    assert isinstance(found, Connect)
    assert found.will is not None
    assert (found.will.topic, found.will.payload, found.will.qos, found.will.retain) == (
        "dev/status",
        b"\xff\x00",
        2,
        True,
    )
    assert found.will.delay_interval_s == 5
    assert found.will.properties is not None
    assert found.will.properties.to_map() == {"payload_format_indicator": 1, "content_type": "json"}


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"\x10\x00", errors.MalformedPacket),
        (packet(0x10, field("MQTU"), b"\x04\x02\x00\x0a\x00\x01p"), errors.MalformedPacket),
        (packet(0x10, field("MQTT"), b"\x06\x02\x00\x0a\x00\x01p"), errors.UnsupportedVersion),
        (packet(0x10, field("MQTT"), b"\x03\x02\x00\x0a\x00\x01p"), errors.UnsupportedVersion),
        (packet(0x10, field("MQIsdp"), b"\x04\x02\x00\x0a\x00\x01p"), errors.UnsupportedVersion),
        (packet(0x11, MQTT4, b"\x02\x00\x0a\x00\x01p"), errors.MalformedPacket),
        (packet(0x10, MQTT4, b"\x03\x00\x0a\x00\x01p"), errors.MalformedPacket),  # [MQTT-3.1.2-3]
        (packet(0x10, MQTT4, b"\x12\x00\x0a\x00\x01p"), errors.MalformedPacket),  # will QoS, no will
        (packet(0x10, MQTT4, b"\x22\x00\x0a\x00\x01p"), errors.MalformedPacket),  # will retain, no will
        (packet(0x10, MQTT4, b"\x1e\x00\x0a\x00\x01p\x00\x01t\x00\x01m"), errors.MalformedPacket),  # will QoS 3
        (packet(0x10, MQTT4, b"\x06\x00\x0a\x00\x01p\x00\x01t"), errors.MalformedPacket),
        (packet(0x10, field("MQIsdp"), b"\x03\x1a\x00\x0a\x00\x01p"), errors.MalformedPacket),  # will QoS 3, no will
        (packet(0x10, MQTT4, b"\x06\x00\x0a\x00\x01p\x00\x01#\x00\x01m"), errors.TopicNameInvalid),
        (packet(0x10, MQTT4, b"\x42\x00\x0a\x00\x01p\x00\x01w"), errors.MalformedPacket),  # 3.1.1 [MQTT-3.1.2-22]
        (packet(0x10, MQTT4, b"\x00\x00\x0a\x00\x00"), errors.ClientIdentifierNotValid),
        (packet(0x10, field("MQIsdp"), b"\x03\x02\x00\x0a\x00\x00"), errors.ClientIdentifierNotValid),
        (packet(0x10, MQTT4, b"\x02\x00\x0a\x00\x03a\x00b"), errors.MalformedPacket),
        (packet(0x10, MQTT4, b"\x02\x00\x0a\x00\x03\xed\xa0\x80"), errors.MalformedPacket),
        (packet(0x10, MQTT4, b"\x02\x00\x0a\x00\x01p\x00"), errors.MalformedPacket),
        (packet(0x10, MQTT5, b"\x02\x00\x0a\x03\x21\x00\x00\x00\x01p"), errors.ProtocolError),
        (packet(0x10, MQTT5, b"\x02\x00\x0a\x06\x21\x00\x01\x21\x00\x01\x00\x01p"), errors.ProtocolError),
        (packet(0x10, MQTT5, b"\x02\x00\x0a\x02\x17\x02\x00\x01p"), errors.ProtocolError),
        (packet(0x10, MQTT5, b"\x02\x00\x0a\x04\x16\x00\x01d\x00\x01p"), errors.ProtocolError),
        (packet(0x10, MQTT5, b"\x02\x00\x0a\x03\x23\x00\x01\x00\x01p"), errors.MalformedPacket),
        (packet(0x10, MQTT5, b"\x02\x00\x0a\x7f\x00\x01p"), errors.MalformedPacket),
        (b"\xc0\x00", errors.ProtocolError),  # [MQTT-3.1.0-1]
        (b"\x30\x03\x00\x01a", errors.ProtocolError),
        (b"\xf0\x00", errors.ProtocolError),
        (b"GET / HTTP/1.1\r\n\r\n", errors.MalformedPacket),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", errors.ProtocolViolation),  # a TLS client hello
    ],
)
def test_a_wrong_first_packet_is_refused(raw: bytes, error: type[errors.ProtocolViolation]) -> None:
    reader = Reader(max_packet_size_bytes=2**20)
    assert reader.feed(raw) == []
    assert isinstance(reader.error, error), reader.error
    assert not reader.connected


def test_the_version_is_known_although_the_rest_of_connect_is_wrong() -> None:
    reader = Reader(max_packet_size_bytes=2**20)
    reader.feed(packet(0x10, MQTT5, b"\x03\x00\x0a\x00\x00\x01p"))
    assert isinstance(reader.error, errors.MalformedPacket)
    assert reader.version is Version.V5


@pytest.mark.parametrize(("level", "answer_as"), [(2, Version.V311), (6, Version.V5), (0x84, Version.V311)])
def test_a_protocol_level_of_another_time_says_how_to_answer(level: int, answer_as: Version) -> None:
    reader = Reader(max_packet_size_bytes=2**20)
    reader.feed(packet(0x10, field("MQTT"), bytes((level, 2)), b"\x00\x0a\x00\x01p"))
    assert isinstance(reader.error, errors.UnsupportedVersion)
    assert (reader.error.level, reader.error.answer_as) == (level, answer_as)


ACCEPTED = [
    (4, b"\x40\x02\x00\x07", PubAck(packet_id=7)),
    (5, b"\x40\x02\x00\x07", PubAck(packet_id=7)),
    (5, b"\x40\x03\x00\x07\x10", PubAck(packet_id=7, reason_code=0x10)),
    (5, b"\x40\x04\x00\x07\x80\x00", PubAck(packet_id=7, reason_code=0x80)),
    (5, b"\x40\x08\x00\x07\x00\x04\x1f\x00\x01p", PubAck(packet_id=7)),
    (4, b"\x50\x02\x00\x07", PubRec(packet_id=7)),
    (5, b"\x50\x03\x00\x07\x97", PubRec(packet_id=7, reason_code=0x97)),
    (4, b"\x70\x02\x00\x07", PubComp(packet_id=7)),
    (5, b"\x70\x03\x00\x07\x92", PubComp(packet_id=7, reason_code=0x92)),
    (4, b"\x62\x02\x00\x07", PubRel(packet_ids=[b"\x00\x07"])),
    (3, b"\x6a\x02\x00\x07", PubRel(packet_ids=[b"\x00\x07"])),
    (3, b"\x60\x02\x00\x07", PubRel(packet_ids=[b"\x00\x07"])),
    (3, b"\x42\x02\x00\x07", PubAck(packet_id=7)),
    (3, b"\xcf\x00", PingReq()),
    (5, b"\x62\x03\x00\x07\x92", PubRel(packet_ids=[b"\x00\x07"])),
    (5, b"\x62\x0b\x00\x07\x00\x07\x26\x00\x01p\x00\x01q", PubRel(packet_ids=[b"\x00\x07"])),
    (4, b"\x62\x02\x00\x07\x62\x02\x01\x00", PubRel(packet_ids=[b"\x00\x07", b"\x01\x00"])),
    (5, b"\x62\x03\x00\x07\x00\x62\x02\x01\x00", PubRel(packet_ids=[b"\x00\x07", b"\x01\x00"])),
    (4, b"\xc0\x00", PingReq()),
    (5, b"\xc0\x00", PingReq()),
    (4, b"\xe0\x00", Disconnect()),
    (5, b"\xe0\x00", Disconnect()),
    (5, b"\xe0\x01\x04", Disconnect(reason_code=4)),
    (5, b"\xe0\x07\x00\x05\x11\x00\x00\x00\x09", Disconnect(session_expiry_interval_s=9)),
    (
        5,
        b"\xf0\x0a\x18\x08\x15\x00\x01m\x16\x00\x01d",
        Auth(reason_code=0x18, authentication_method="m", authentication_data=b"d"),
    ),
    (
        4,
        b"\x82\x08\x00\x0a\x00\x03a/#\x01",
        Subscribe(packet_id=10, subscriptions=(Subscription(topic_filter="a/#", qos=1),)),
    ),
    (
        3,
        b"\x8a\x08\x00\x0a\x00\x03a/#\x01",
        Subscribe(packet_id=10, subscriptions=(Subscription(topic_filter="a/#", qos=1),)),
    ),
    (
        5,
        b"\x82\x14\x00\x0a\x09\x0b\x05\x26\x00\x01k\x00\x01v\x00\x01+\x2e\x00\x01b\x11",
        Subscribe(
            packet_id=10,
            subscriptions=(
                Subscription(topic_filter="+", qos=2, no_local=True, retain_as_published=True, retain_handling=2),
                Subscription(topic_filter="b", qos=1, retain_handling=1),
            ),
            subscription_identifier=5,
            user_property=(("k", "v"),),
        ),
    ),
    (4, b"\xa2\x08\x00\x0a\x00\x01a\x00\x01b", Unsubscribe(packet_id=10, topic_filters=("a", "b"))),
    (5, b"\xa2\x06\x00\x0a\x00\x00\x01a", Unsubscribe(packet_id=10, topic_filters=("a",))),
]


@pytest.mark.parametrize(("level", "raw", "expected"), ACCEPTED)
def test_a_packet_after_connect_is_read(level: int, raw: bytes, expected: object) -> None:
    reader = connected(level)
    assert reader.feed(raw) == [expected]
    assert reader.error is None
    assert reader.pending_bytes == 0


REFUSED = [
    # The fixed header: types, flags [MQTT-2.1.3-1], remaining length
    (4, b"\x00\x00", errors.MalformedPacket),
    (4, b"\x20\x02\x00\x00", errors.ProtocolError),
    (5, b"\x90\x04\x00\x01\x00\x00", errors.ProtocolError),
    (4, b"\xb0\x02\x00\x01", errors.ProtocolError),
    (5, b"\xd0\x00", errors.ProtocolError),
    (4, b"\xf0\x00", errors.ProtocolError),
    (4, b"\x41\x02\x00\x01", errors.MalformedPacket),
    (4, b"\x60\x02\x00\x01", errors.MalformedPacket),
    (4, b"\x6a\x02\x00\x01", errors.MalformedPacket),
    (4, b"\x80\x06\x00\x01\x00\x01a\x00", errors.MalformedPacket),
    (4, b"\xa0\x05\x00\x01\x00\x01a", errors.MalformedPacket),
    (4, b"\xc1\x00", errors.MalformedPacket),
    (4, b"\xe2\x00", errors.MalformedPacket),
    (5, b"\xf2\x00", errors.MalformedPacket),
    (4, b"\xc0\xff\xff\xff\xff\x01", errors.MalformedPacket),
    (5, b"\xc0\x80\x00", errors.MalformedPacket),  # [MQTT-1.5.5-1]
    (4, b"\xc0\x01\x00", errors.MalformedPacket),
    (4, connect(4), errors.ProtocolError),  # [MQTT-3.1.0-2]
    (5, connect(5), errors.ProtocolError),
    # PUBLISH
    (4, b"\x36\x07\x00\x01a\x00\x01xx", errors.MalformedPacket),  # QoS 3
    (4, b"\x38\x04\x00\x01ax", errors.MalformedPacket),  # DUP with QoS 0
    (4, publish(packet_id=0), errors.ProtocolError),
    (5, publish(packet_id=0, level=5), errors.ProtocolError),
    (4, b"\x30\x03\x00\x09a", errors.MalformedPacket),
    (4, b"\x30\x00", errors.MalformedPacket),
    (4, b"\x30\x01\x00", errors.MalformedPacket),
    (4, b"\x32\x04\x00\x01a\x00", errors.MalformedPacket),
    (4, publish(""), errors.TopicNameInvalid),
    (5, publish("", level=5), errors.ProtocolError),
    (5, b"\x30\x03\x00\x01a", errors.MalformedPacket),  # no property length
    (5, b"\x30\x05\x00\x01a\x02\x01", errors.MalformedPacket),  # properties past the end
    (5, b"\x30\x05\x00\x01a\x80\x80", errors.MalformedPacket),
    (5, publish(level=5, properties=b"\x0b\x05"), errors.ProtocolError),  # [MQTT-3.3.4-6]
    (5, publish(level=5, properties=b"\x01\x02"), errors.ProtocolError),
    (5, publish(level=5, properties=b"\x01\x00\x01\x00"), errors.ProtocolError),
    (5, publish(level=5, properties=b"\x08\x00\x03a/#"), errors.ProtocolError),  # [MQTT-3.3.2-14]
    (5, publish(level=5, properties=b"\x08\x00\x00"), errors.ProtocolError),
    (5, publish(level=5, properties=b"\x08\x00\x02a\x07"), errors.MalformedPacket),
    (5, publish(level=5, properties=b"\x21\x00\x01"), errors.MalformedPacket),
    (5, publish(level=5, properties=b"\x00"), errors.MalformedPacket),
    (5, publish(level=5, properties=b"\x26\x00\x01k"), errors.MalformedPacket),
    (5, publish(level=5, properties=b"\x23\x00\x00"), errors.TopicAliasInvalid),
    (5, publish(level=5, properties=b"\x23\x00\x01"), errors.TopicAliasInvalid),  # none was announced
    # Acknowledgements
    (4, b"\x40\x00", errors.MalformedPacket),
    (4, b"\x40\x02\x00\x00", errors.ProtocolError),
    (4, b"\x40\x03\x00\x01\x00", errors.MalformedPacket),
    (5, b"\x40\x03\x00\x01\x92", errors.ProtocolError),
    (5, b"\x40\x04\x00\x01\x00\x01", errors.MalformedPacket),
    (5, b"\x40\x05\x00\x01\x00\x00\x00", errors.MalformedPacket),
    (4, b"\x62\x00", errors.MalformedPacket),
    (4, b"\x62\x02\x00\x00", errors.ProtocolError),
    (4, b"\x62\x03\x00\x01\x00", errors.MalformedPacket),
    (5, b"\x62\x03\x00\x01\xff", errors.ProtocolError),
    # SUBSCRIBE and UNSUBSCRIBE
    (4, b"\x82\x02\x00\x01", errors.ProtocolError),  # [MQTT-3.8.3-2]
    (4, b"\x82\x06\x00\x00\x00\x01a\x00", errors.ProtocolError),
    (4, b"\x82\x05\x00\x01\x00\x01a", errors.MalformedPacket),
    (4, b"\x82\x06\x00\x01\x00\x01a\x04", errors.MalformedPacket),
    (4, b"\x82\x06\x00\x01\x00\x01a\x03", errors.ProtocolError),
    (4, b"\x82\x07\x00\x01\x00\x02a#\x00", errors.TopicFilterInvalid),
    (4, b"\x82\x05\x00\x01\x00\x00\x00", errors.TopicFilterInvalid),
    (5, b"\x82\x07\x00\x01\x00\x00\x01a\x40", errors.MalformedPacket),
    (5, b"\x82\x07\x00\x01\x00\x00\x01a\x30", errors.ProtocolError),
    (5, b"\x82\x10\x00\x01\x00\x00\x0a$share/s/a\x04", errors.ProtocolError),  # [MQTT-3.8.3-4]
    (5, b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00", errors.ProtocolError),
    (5, b"\x82\x0b\x00\x01\x04\x0b\x01\x0b\x02\x00\x01a\x00", errors.ProtocolError),
    (4, b"\xa2\x02\x00\x01", errors.ProtocolError),  # [MQTT-3.10.3-2]
    (4, b"\xa2\x05\x00\x01\x00\x01\x00", errors.TopicFilterInvalid),
    # DISCONNECT and AUTH
    (4, b"\xe0\x01\x00", errors.MalformedPacket),
    (5, b"\xe0\x01\x8d", errors.ProtocolError),  # servers only
    (5, b"\xe0\x06\x00\x04\x1c\x00\x01s", errors.MalformedPacket),
    (5, b"\xf0\x00", errors.ProtocolError),
    (5, b"\xf0\x01\x00", errors.ProtocolError),
    (5, b"\xf0\x02\x18\x00", errors.ProtocolError),
]


@pytest.mark.parametrize(("level", "raw", "error"), REFUSED)
def test_a_packet_that_breaks_the_rules_is_refused(
    level: int, raw: bytes, error: type[errors.ProtocolViolation]
) -> None:
    reader = connected(level)
    assert reader.feed(raw) == []
    assert type(reader.error) is error, reader.error


@pytest.mark.parametrize(("level", "raw", "error"), REFUSED)
def test_what_came_before_a_wrong_packet_is_not_lost(
    level: int, raw: bytes, error: type[errors.ProtocolViolation]
) -> None:
    reader = connected(level)
    good = publish("a", b"1", level=level, packet_id=5)
    (batch,) = reader.feed(good + good + raw)
    assert batch.payloads == [b"1", b"1"]  # type: ignore[union-attr]
    assert batch.size_bytes == 2 * len(good)  # type: ignore[union-attr]
    assert type(reader.error) is error
    assert reader.feed(good) == []


def test_every_error_has_a_sentence_a_reason_and_a_code() -> None:
    for level, raw, _ in REFUSED:
        reader = connected(level)
        reader.feed(raw)
        assert reader.error is not None
        assert str(reader.error).endswith(".")
        assert reader.error.reason_code >= 0x80
        assert reader.error.code


def test_a_publish_of_31_with_qos_0_may_have_dup() -> None:
    reader = connected(3)
    plain, dup = b"\x30\x04\x00\x01ax", b"\x38\x04\x00\x01ay"
    payloads = [payload for batch in reader.feed(dup + plain + dup + dup) for payload in batch.payloads]  # type: ignore[union-attr]
    assert payloads == [b"y", b"x", b"y", b"y"]
    assert reader.feed(dup[:3]) == []
    assert [batch.payloads for batch in reader.feed(dup[3:])] == [[b"y"]]  # type: ignore[union-attr]
    assert reader.error is None


def test_a_padded_remaining_length_is_taken_before_mqtt_5() -> None:
    reader = connected(4)
    assert reader.feed(b"\x40\x82\x00\x00\x07\xc0\x80\x80\x00") == [PubAck(packet_id=7), PingReq()]
    assert reader.feed(b"\x32\x86\x00\x00\x01a\x00\x01x")[0].payloads == [b"x"]  # type: ignore[union-attr]
    assert reader.error is None
