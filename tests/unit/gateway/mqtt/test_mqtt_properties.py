"""The property table against MQTT 5 §2.2.2.2, the data types, and the reason codes of the older versions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from gateway.mqtt.cursor import Cursor
from gateway.mqtt.errors import MalformedPacket, ProtocolError
from gateway.mqtt.packets import Version
from gateway.mqtt.properties import P, Place, Property, encode_pairs, read_pairs, read_properties
from gateway.mqtt.publish_properties import PublishPropertyCache, encode_publish_properties
from gateway.mqtt.reader import Reader
from gateway.mqtt.reason_codes import ConnackReturnCode, ReasonCode, connack_return_code, suback_return_code
from gateway.mqtt.strings import MAX_VARINT, decode_identifier, decode_text, encode_varint
from tests.support.mqtt_bytes import connected, field, packet, publish, varint

ONLY_A_SERVER = {"DISCONNECT": {0x1C}, "PUBLISH": set(), "CONNECT": set()}
"""Properties that the table of the specification allows in a packet, but that its text gives to servers."""


@pytest.mark.parametrize("place", list(Place))
def test_the_allowed_properties_are_those_of_the_specification_as_paho_has_them(place: Place) -> None:
    number = getattr(PacketTypes, {"Will": "WILLMESSAGE"}.get(place.packet, place.packet))
    table = PahoProperties(number).properties
    theirs = {identifier for identifier, (_, packets) in table.items() if number in packets}
    assert {int(item) for item in place.allowed} == theirs - ONLY_A_SERVER.get(place.packet, set())


VALUES = {
    P.PAYLOAD_FORMAT_INDICATOR: 1,
    P.MESSAGE_EXPIRY_INTERVAL: 2**32 - 1,
    P.SUBSCRIPTION_IDENTIFIER: 5,
    P.SESSION_EXPIRY_INTERVAL: 7,
    P.REQUEST_PROBLEM_INFORMATION: 0,
    P.REQUEST_RESPONSE_INFORMATION: 1,
    P.WILL_DELAY_INTERVAL: 0,
    P.RECEIVE_MAXIMUM: 1,
    P.TOPIC_ALIAS_MAXIMUM: 65535,
    P.TOPIC_ALIAS: 3,
    P.MAXIMUM_PACKET_SIZE: 9,
    P.CORRELATION_DATA: b"\xff\x00",
    P.AUTHENTICATION_DATA: b"",
    P.USER_PROPERTY: (("k", "v"), ("k", ""), ("", "\n")),
}


def value_of(item: Property, place: Place) -> object:
    value = VALUES.get(item, "text")
    return (5, 300) if item is P.SUBSCRIPTION_IDENTIFIER and place is Place.PUBLISH else value


@pytest.mark.parametrize("place", list(Place))
def test_every_allowed_property_comes_back_as_it_was_written(place: Place) -> None:
    values = {item: value_of(item, place) for item in place.allowed}
    written = {
        item: (value,) if item is P.SUBSCRIPTION_IDENTIFIER and place is not Place.PUBLISH else value
        for item, value in values.items()
    }
    pairs = encode_pairs(written)
    cursor = Cursor(varint(len(pairs)) + pairs + b"rest", packet=place.packet)
    assert read_properties(cursor, place) == values
    assert cursor.left == 4


@pytest.mark.parametrize("place", list(Place))
def test_a_property_is_refused_where_it_is_not_allowed_where_it_repeats_and_where_it_ends_early(place: Place) -> None:
    for item in Property:
        value = value_of(item, place)
        repeated = item in {P.USER_PROPERTY, P.SUBSCRIPTION_IDENTIFIER}
        encoded_value = (value if isinstance(value, tuple) else (value,)) if repeated else value
        if item in {P.SERVER_KEEP_ALIVE, P.MAXIMUM_QOS, P.RETAIN_AVAILABLE} or item >= 0x28:
            encoded_value = 1
        pairs = encode_pairs({item: encoded_value})
        if item not in place.allowed:
            with pytest.raises(MalformedPacket):
                read_pairs(Cursor(pairs, packet="x"), place)
            continue
        for stop in range(1, len(pairs) if not isinstance(encoded_value, tuple) else 2):
            with pytest.raises(MalformedPacket):
                read_pairs(Cursor(pairs[:stop], packet="x"), place)
        if item is P.USER_PROPERTY or (item is P.SUBSCRIPTION_IDENTIFIER and place is Place.PUBLISH):
            assert len(read_pairs(Cursor(pairs * 2, packet="x"), place)[item]) == 2 * len(encoded_value)
        else:
            with pytest.raises(ProtocolError):
                read_pairs(Cursor(pairs * 2, packet="x"), place)


def test_the_cache_gives_the_same_for_the_same_bytes_and_keeps_nothing_wrong() -> None:
    cache = PublishPropertyCache()
    block = b"\x23\x00\x07\x03\x00\x01t"
    assert cache[block] is cache[block]
    assert (cache[block].topic_alias, cache[block].subscription_identifiers) == (7, ())
    with pytest.raises(MalformedPacket):
        cache[b"\x00"]
    assert list(cache) == [block]
    assert encode_publish_properties(cache[block].properties, topic_alias=7) == b"\x03\x00\x01t\x23\x00\x07"


def test_text_may_have_line_breaks_but_what_names_something_may_not() -> None:
    assert decode_text(b"two\nlines", "value") == "two\nlines"
    with pytest.raises(MalformedPacket, match=r"client identifier contains the character U\+000A"):
        decode_identifier(b"two\nlines", "client identifier")
    batch = connected(5).feed(publish(level=5, properties=b"\x26" + field("note") + field("two\nlines")))[0]
    assert batch.properties[0].user_property == (("note", "two\nlines"),)  # type: ignore[union-attr, index]


@settings(deadline=None)
@given(st.integers(0, MAX_VARINT))
def test_a_variable_byte_integer_comes_back_as_it_was_written(value: int) -> None:
    raw = encode_varint(value)
    assert raw == varint(value)
    cursor = Cursor(raw, packet="x")
    assert (cursor.varint("length"), cursor.left) == (value, 0)


@pytest.mark.parametrize(
    "raw", [b"", b"\x80", b"\x80\x00", b"\xff\xff\xff\xff\x01", b"\x81\x80\x00", b"\xff\xff\xff\x80"]
)
def test_a_variable_byte_integer_that_is_not_one_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedPacket):
        Cursor(raw, packet="x").varint("length")


@pytest.mark.parametrize("value", [-1, MAX_VARINT + 1])
def test_a_variable_byte_integer_has_at_most_four_bytes(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode_varint(value)


def test_every_reason_code_has_an_answer_for_the_older_versions() -> None:
    assert connack_return_code(ReasonCode.SUCCESS) is ConnackReturnCode.ACCEPTED
    assert connack_return_code(ReasonCode.BAD_USER_NAME_OR_PASSWORD) is ConnackReturnCode.BAD_USER_NAME_OR_PASSWORD
    assert connack_return_code(ReasonCode.MALFORMED_PACKET) is None
    for code in ReasonCode:
        answer = connack_return_code(code)
        assert (answer == 0) is (code == 0)
        assert suback_return_code(code) == (min(128, code))


@pytest.mark.parametrize("level", [0x83, 0x84])
def test_the_private_bridge_levels_of_mosquitto_are_refused_so_that_it_tries_the_plain_one(level: int) -> None:
    name = "MQIsdp" if level == 0x83 else "MQTT"
    reader = Reader(max_packet_size_bytes=4096)
    reader.feed(packet(0x10, field(name), bytes((level, 2)), b"\x00\x0a\x00\x01p"))
    assert reader.error is not None
    assert reader.error.reason_code is ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
    assert reader.error.answer_as is Version.V311  # type: ignore[attr-defined]
