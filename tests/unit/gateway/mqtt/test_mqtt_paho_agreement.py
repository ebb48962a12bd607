"""What paho-mqtt and amqtt write, the reader reads; what the writer writes, paho-mqtt reads and amqtt writes too."""

from __future__ import annotations

import pytest
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.record import Properties
from gateway.mqtt import writer
from gateway.mqtt.packets import Connect, Disconnect, PublishBatch, Subscribe, Unsubscribe, Version, Will
from gateway.mqtt.properties import P
from gateway.mqtt.reader import Reader
from tests.support.examples import examples
from tests.support.mqtt_bytes import connected
from tests.support.paho_codec import PahoCodec, properties

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
LEVELS = [3, 4, 5]
letters = st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="+#/")
names = st.text(letters, min_size=1, max_size=30)
topics = st.lists(names, min_size=1, max_size=4).map("/".join)
payloads = st.binary(max_size=300)
pairs = st.lists(st.tuples(names, names), max_size=3).map(tuple)
property_sets = st.builds(
    Properties,
    payload_format_indicator=st.sampled_from([None, 0, 1]),
    message_expiry_interval=st.none() | st.integers(0, 2**32 - 1),
    content_type=st.none() | names,
    response_topic=st.none() | topics,
    correlation_data=st.none() | st.binary(max_size=50),
    user_property=pairs,
)


def as_paho(packet: str, item: Properties | None) -> object:
    """The same properties as paho's."""
    values = {} if item is None else item.to_map()
    user_property = values.pop("user_property", ())
    made = properties(packet, **{name.title().replace("_", ""): value for name, value in values.items()})
    for pair in user_property:
        made.UserProperty = pair  # which adds one
    return made


def from_paho(item: object) -> dict[str, object]:
    """paho's properties by our names."""
    known = {
        "PayloadFormatIndicator": "payload_format_indicator",
        "MessageExpiryInterval": "message_expiry_interval",
        "ContentType": "content_type",
        "ResponseTopic": "response_topic",
        "CorrelationData": "correlation_data",
    }
    found = {ours: getattr(item, theirs) for theirs, ours in known.items() if hasattr(item, theirs)}
    if hasattr(item, "UserProperty"):
        found["user_property"] = tuple(item.UserProperty)
    return found


@pytest.mark.parametrize("level", LEVELS)
@settings(RELAXED, max_examples=examples(30))
@given(
    client_id=names,
    clean=st.booleans(),
    keep_alive_s=st.integers(0, 65535),
    login=st.none() | st.tuples(names, st.none() | names),
    will=st.none() | st.tuples(topics, payloads, st.integers(0, 2), st.booleans(), property_sets),
)
def test_a_connect_by_paho_is_read_as_it_was_meant(
    level: int,
    client_id: str,
    clean: bool,
    keep_alive_s: int,
    login: tuple[str, str | None] | None,
    will: tuple[str, bytes, int, bool, Properties] | None,
) -> None:
    codec = PahoCodec(level, client_id, clean=clean)
    codec._clean_start = clean
    if login is not None:
        codec.username_pw_set(*login)
    if will is not None:
        codec.will_set(*will[:4], properties=as_paho("WILLMESSAGE", will[4]) if level == 5 else None)
    given_properties = properties("CONNECT", ReceiveMaximum=7, SessionExpiryInterval=9) if level == 5 else None
    reader = Reader(max_packet_size_bytes=2**20)
    (found,) = reader.feed(codec.connect_packet(keep_alive_s, given_properties))
    assert isinstance(found, Connect)
    assert (found.version, found.client_id, found.clean_start) == (level, client_id, clean)
    assert found.keep_alive_s == keep_alive_s
    assert (found.receive_maximum, found.session_expiry_interval_s) == ((7, 9) if level == 5 else (65535, None))
    username, password = login or (None, None)
    assert (found.username, found.password) == (username, None if password is None else password.encode())
    if will is None:
        assert found.will is None
        return
    assert isinstance(found.will, Will)
    assert (found.will.topic, found.will.payload, found.will.qos, found.will.retain) == will[:4]
    sent = will[4].to_map() if level == 5 else {}
    assert (found.will.properties.to_map() if found.will.properties else {}) == sent


@pytest.mark.parametrize("level", LEVELS)
@settings(RELAXED, max_examples=examples(30))
@given(
    st.lists(
        st.tuples(topics, payloads, st.integers(0, 2), st.booleans(), st.integers(1, 65535), st.none() | property_sets),
        min_size=1,
        max_size=6,
    )
)
def test_publishes_by_paho_are_read_as_they_were_meant(
    level: int, messages: list[tuple[str, bytes, int, bool, int, Properties | None]]
) -> None:
    codec = PahoCodec(level)
    data = b"".join(
        codec.publish_packet(
            topic, payload, qos, retain, False, number, as_paho("PUBLISH", item) if level == 5 and item else None
        )
        for topic, payload, qos, retain, number, item in messages
    )
    reader = connected(level)
    found = []
    for batch in reader.feed(data):
        assert isinstance(batch, PublishBatch)
        for row in range(len(batch)):
            item = batch.properties[row] if batch.properties else None
            number = int.from_bytes(batch.packet_ids[row], "big") if batch.qos else 0
            retain = bool(batch.first_bytes[row] & 1)
            found.append(
                (batch.topics[row].decode(), batch.payloads[row], batch.qos, retain, number, item and item.to_map())
            )
    assert reader.error is None
    assert found == [
        (topic, payload, qos, retain, number if qos else 0, (item.to_map() or None) if item and level == 5 else None)
        for topic, payload, qos, retain, number, item in messages
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_subscribe_unsubscribe_and_disconnect_by_paho_are_read_as_they_were_meant(level: int) -> None:
    codec, reader = PahoCodec(level), connected(level)
    if level == 5:
        options = SubscribeOptions(qos=2, noLocal=True, retainAsPublished=True, retainHandling=1)
        mid, data = codec.subscribe_packet([("a/+", options)], properties("SUBSCRIBE", SubscriptionIdentifier=300))
    else:
        mid, data = codec.subscribe_packet([("a/+", 2)])
    (found,) = reader.feed(data)
    assert isinstance(found, Subscribe)
    (entry,) = found.subscriptions
    assert (found.packet_id, entry.topic_filter, entry.qos) == (mid, "a/+", 2)
    assert (entry.no_local, entry.retain_as_published, entry.retain_handling, found.subscription_identifier) == (
        (True, True, 1, 300) if level == 5 else (False, False, 0, None)
    )
    mid, data = codec.unsubscribe_packet(["a/+", "b/#"])
    assert reader.feed(data) == [Unsubscribe(packet_id=mid, topic_filters=("a/+", "b/#"))]
    assert reader.feed(codec.disconnect_packet()) == [Disconnect()]
    if level == 5:
        data = codec.disconnect_packet(4, properties("DISCONNECT", SessionExpiryInterval=5))
        assert reader.feed(data) == [Disconnect(reason_code=4, session_expiry_interval_s=5)]


@pytest.mark.parametrize("level", LEVELS)
@settings(RELAXED, max_examples=examples(30))
@given(topics, payloads, st.integers(0, 2), st.booleans(), st.integers(1, 65535), st.none() | property_sets)
def test_a_publish_written_here_is_read_by_paho_as_it_was_meant(
    level: int, topic: str, payload: bytes, qos: int, retain: bool, number: int, item: Properties | None
) -> None:
    codec = PahoCodec(level)
    made = writer.publish(
        topic,
        payload,
        version=Version(level),
        qos=qos,
        retain=retain,
        packet_id=number,
        properties=item,
        subscription_identifiers=(1, 300),
    )
    seen = codec.decode(made)
    if qos == 2:  # paho hands it on when the PUBREL comes
        seen = codec.decode(writer.pubrel(number, version=Version(level)))
    ((_, message),) = seen
    assert (message.topic, message.payload, message.qos, message.retain) == (topic, payload, qos, retain)
    if level == 5:
        assert from_paho(message.properties) == (item.to_map() if item else {})
        assert message.properties.SubscriptionIdentifier == [1, 300]


@pytest.mark.parametrize("level", LEVELS)
def test_answers_written_here_are_read_by_paho_as_they_were_meant(level: int) -> None:
    codec, version = PahoCodec(level), Version(level)
    announced = {P.RECEIVE_MAXIMUM: 9, P.TOPIC_ALIAS_MAXIMUM: 3, P.ASSIGNED_CLIENT_IDENTIFIER: "made-up"}
    ((_, present, code, props),) = codec.decode(
        writer.connack(version=version, session_present=level != 3, properties=announced)
    )
    assert (present, code) == (level != 3, 0)
    if level == 5:
        assert (props.ReceiveMaximum, props.TopicAliasMaximum, props.AssignedClientIdentifier) == (9, 3, "made-up")
        assert codec.decode(writer.suback(7, [0x01, 0x87], version=version, reason_string="x")) == [
            ("suback", 7, [1, 0x87])
        ]
        assert codec.decode(writer.unsuback(8, [0, 0x11], version=version)) == [("unsuback", 8, [0, 0x11])]
        ((_, code, props),) = codec.decode(writer.disconnect(0x8B, reason_string="stopping"))
        assert (code, props.ReasonString) == (0x8B, "stopping")
    else:
        assert codec.decode(writer.suback(7, [0x01, 0x87], version=version)) == [("suback", 7, [1, 0x80])]
        assert codec.decode(writer.unsuback(8, version=version))[0][:2] == ("unsuback", 8)


@settings(RELAXED, max_examples=examples(25))
@given(topics, payloads, st.integers(0, 2), st.booleans(), st.integers(1, 65535))
def test_the_writer_and_amqtt_write_the_same_publish(
    topic: str, payload: bytes, qos: int, retain: bool, number: int
) -> None:
    theirs = PublishPacket.build(topic, payload, number if qos else None, False, qos, retain).to_bytes()
    ours = writer.publish(topic, payload, version=Version.V311, qos=qos, retain=retain, packet_id=number)
    assert ours == theirs
    (batch,) = connected(4).feed(theirs)
    assert isinstance(batch, PublishBatch)
    assert (batch.topics, batch.payloads) == ([topic.encode()], [payload])


def test_the_writer_and_amqtt_write_the_same_answers() -> None:
    assert writer.connack(version=Version.V311, session_present=True) == ConnackPacket.build(1, 0).to_bytes()
    assert writer.pubacks([b"\x01\x02"], version=Version.V311) == PubackPacket.build(258).to_bytes()
    assert writer.suback(9, [0, 1, 2, 0x80], version=Version.V311) == SubackPacket.build(9, [0, 1, 2, 0x80]).to_bytes()


def test_subscribe_and_unsubscribe_by_amqtt_are_read_as_they_were_meant() -> None:
    (found,) = connected(4).feed(SubscribePacket.build([("a/#", 1), ("b", 0)], 5).to_bytes())
    assert isinstance(found, Subscribe)
    assert [(entry.topic_filter, entry.qos) for entry in found.subscriptions] == [("a/#", 1), ("b", 0)]
    assert connected(4).feed(UnsubscribePacket.build(["a/#"], 6).to_bytes()) == [
        Unsubscribe(packet_id=6, topic_filters=("a/#",))
    ]
