"""MQTT 5 §1.5 and §2: data types and the fixed header."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.mqtt5_peer import Answer, Peer, block, connect, field, packet, prop, publish, subscribe, unsubscribe

NOT_UTF8 = [b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xff"]
MALFORMED, PROTOCOL_ERROR = 0x81, 0x82


@pytest.mark.mqtt5("1.5.4-1", "3.8.3-1", "3.10.3-1", "4.7.3-3")
@pytest.mark.parametrize("raw", NOT_UTF8)
@pytest.mark.parametrize("place", ["topic", "filter", "filter to leave"])
def test_a_topic_that_is_not_utf8_closes_the_connection(peer: Peer, name: str, place: str, raw: bytes) -> None:
    peer.connect(name)
    wrong = {"topic": publish(raw), "filter": subscribe([(raw, 0)]), "filter to leave": unsubscribe([raw])}
    peer.send(wrong[place])
    assert peer.refused() in {MALFORMED, 0x8F, 0x90}


@pytest.mark.mqtt5("1.5.4-1", "3.3.2-1", "3.3.2-13", "3.3.2-19", "1.5.7-1", "4.13.1-1")
@pytest.mark.parametrize("raw", NOT_UTF8)
@pytest.mark.parametrize("identifier", [0x03, 0x08, 0x26])
def test_a_property_that_is_not_utf8_closes_the_connection(peer: Peer, name: str, identifier: int, raw: bytes) -> None:
    peer.connect(name)
    peer.send(publish(name, properties=prop(identifier, (b"k", raw) if identifier == 0x26 else raw)))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("1.5.7-1")
@pytest.mark.parametrize("pair", [(b"\xff", b"v"), (b"k", b"\xff"), (b"k\x00", b"v"), (b"k", b"\x00")])
@pytest.mark.parametrize("first", [0x10, 0x82, 0xA2, 0xE0, 0x30])
def test_both_strings_of_a_user_property_are_checked(
    peer: Peer, name: str, first: int, pair: tuple[bytes, bytes]
) -> None:
    pairs = prop(0x26, pair)
    if first == 0x10:
        peer.send(connect(name, pairs))
    else:
        peer.connect(name)
        wrong = {
            0x82: subscribe([("a", 0)], pairs),
            0xA2: unsubscribe(["a"], pairs),
            0xE0: packet(0xE0, b"\x00", block(pairs)),
            0x30: publish("a", properties=pairs),
        }
        peer.send(wrong[first])
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("1.5.4-2", "4.7.3-2")
@pytest.mark.parametrize("place", ["topic", "filter", "filter to leave", "client id", "will topic"])
def test_a_null_character_closes_the_connection(peer: Peer, name: str, place: str) -> None:
    raw = b"a\x00b"
    if place == "client id":
        peer.send(connect(raw))
    elif place == "will topic":
        peer.send(connect(name, will=block() + field(raw) + field(b"")))
    else:
        peer.connect(name)
        wrong = {"topic": publish(raw), "filter": subscribe([(raw, 0)]), "filter to leave": unsubscribe([raw])}
        peer.send(wrong[place])
    assert peer.refused() in {MALFORMED, 0x8F, 0x90}


@pytest.mark.mqtt5("1.5.4-3")
def test_a_byte_order_mark_stays_where_it_is(peer: Peer, name: str) -> None:
    mark = b"\xef\xbb\xbf"
    topic = mark + name.encode() + mark
    peer.connect(name)
    peer.subscribe(topic)
    peer.send(publish(topic, properties=prop(0x03, mark + b"x") + prop(0x26, (mark, mark))))
    got = peer.message()
    assert got.topic == topic
    assert got.get(0x03) == mark + b"x"
    assert got.all(0x26) == [(mark, mark)]
    peer.publish(name)  # without the mark it is another topic
    peer.ping()


@pytest.mark.mqtt5("1.5.5-1", "4.13.1-1")
@pytest.mark.parametrize(
    "raw",
    [
        b"\xc0\x80\x00",  # the remaining length
        b"\x30\x05\x00\x01a\x80\x00",  # the property length
        b"\x82\x0a\x00\x01\x03\x0b\x81\x00\x00\x01a\x00",  # a subscription identifier
        b"\xc0\x80\x80\x80\x80\x00",  # of five bytes
    ],
)
def test_a_variable_byte_integer_in_more_bytes_than_it_needs_closes_the_connection(
    peer: Peer, name: str, raw: bytes
) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("1.5.5-1")
@pytest.mark.parametrize("size", [0, 1, 100, 119, 120, 121, 122, 123, 124, 16_370, 16_375, 16_380])
def test_the_server_writes_lengths_in_the_fewest_bytes(peer: Peer, name: str, size: int) -> None:
    peer.connect(name)
    peer.subscribe(name)
    peer.publish(name, b"x" * size)
    assert peer.message().payload == b"x" * size  # `receive` reads what was written; the sizes surround every boundary


@pytest.mark.mqtt5("2.1.3-1", "3.6.1-1", "3.8.1-1", "3.10.1-1", "3.14.1-1", "3.15.1-1", "3.3.1-4")
@pytest.mark.parametrize(
    "first",
    [n for n in range(0x40, 0x100) if n not in {0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0}]
    + [0x36, 0x37, 0x3E],
)
def test_flags_that_are_reserved_close_the_connection(peer: Peer, name: str, first: int) -> None:
    peer.connect(name)
    peer.send(packet(first, b"\x00\x01\x00\x00\x01a\x00"))
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR}


@pytest.mark.mqtt5("2.1.3-1")
@pytest.mark.parametrize("flags", range(1, 16))
def test_flags_of_connect_are_reserved(peer: Peer, name: str, flags: int) -> None:
    raw = connect(name)
    peer.send(bytes((raw[0] | flags,)) + raw[1:])
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("2.2.1-2", "4.3.1-1")
def test_a_publish_with_qos_0_has_no_packet_identifier(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.subscribe(name, 2)
    peer.send(packet(0x30, field(name), b"\x00", b"\x00\x07x"))  # what stands there belongs to the payload
    got = peer.message()
    assert (got.first, got.payload) == (0x30, b"\x00\x07x")


@pytest.mark.mqtt5("2.2.1-3")
@pytest.mark.parametrize("kind", ["PUBLISH 1", "PUBLISH 2", "SUBSCRIBE", "UNSUBSCRIBE"])
def test_a_packet_identifier_of_zero_closes_the_connection(peer: Peer, name: str, kind: str) -> None:
    peer.connect(name)
    wrong = {
        "PUBLISH 1": publish(name, qos=1, packet_id=0),
        "PUBLISH 2": publish(name, qos=2, packet_id=0),
        "SUBSCRIBE": subscribe([(name, 0)], packet_id=0),
        "UNSUBSCRIBE": unsubscribe([name], packet_id=0),
    }
    peer.send(wrong[kind])
    assert peer.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("2.2.1-4", "4.3.2-1", "4.3.3-1", "4.3.2-2", "4.3.3-2", "3.3.1-3")
def test_messages_in_flight_have_packet_identifiers_of_their_own(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x21, 50))
    other.connect(name + "p")
    peer.subscribe(name, 2)
    for i in range(20):
        other.publish(name, b"", qos=1 + i % 2, packet_id=1 + i, dup=i % 3 == 0)
    got = [peer.message() for _ in range(20)]
    assert len({message.packet_id for message in got}) == 20
    assert 0 not in {message.packet_id for message in got}
    assert not any(message.dup for message in got)  # whatever DUP the publisher had set


@pytest.mark.mqtt5("2.2.1-5", "2.2.1-6", "3.3.4-1", "3.8.4-2", "3.10.4-5")
def test_an_answer_has_the_packet_identifier_of_what_it_answers(peer: Peer, name: str) -> None:
    peer.connect(name)
    for number in (1, 2, 255, 256, 65535):
        peer.send(publish(name, qos=1, packet_id=number))
        assert Answer.parse(*peer.receive()).packet_id == number
        peer.send(publish(name, qos=2, packet_id=number))
        got = Answer.parse(*peer.receive())
        assert (got.first, got.packet_id) == (0x50, number)
        peer.send(packet(0x62, number.to_bytes(2, "big")))
        got = Answer.parse(*peer.receive())
        assert (got.first, got.packet_id) == (0x70, number)
        peer.send(subscribe([(name + "/x", 0)], packet_id=number))
        got = Answer.parse(*peer.receive())
        assert (got.first, got.packet_id) == (0x90, number)
        peer.send(unsubscribe([name + "/x"], packet_id=number))
        got = Answer.parse(*peer.receive())
        assert (got.first, got.packet_id) == (0xB0, number)


@pytest.mark.mqtt5("2.2.2-1")
def test_no_properties_are_a_length_of_zero(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.send(subscribe([(name, 0)]))
    assert peer.receive() == (0x90, b"\x03\x84\x00\x00")
    peer.publish(name, b"x")
    assert peer.receive() == (0x30, field(name) + b"\x00x")
    peer.send(unsubscribe([name]))
    assert peer.receive() == (0xB0, b"\x03\x85\x00\x00")


@pytest.mark.mqtt5("2.2.2-1")
@pytest.mark.parametrize("raw", [packet(0x82, b"\x00\x01"), packet(0xA2, b"\x00\x01"), packet(0x30, b"\x00\x01a")])
def test_a_packet_without_a_property_length_closes_the_connection(peer: Peer, name: str, raw: bytes) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("4.2-1")
def test_packets_may_be_cut_anywhere(peer: Peer, name: str) -> None:
    for byte in connect(name) + subscribe([(name, 0)]) + publish(name, b"hello"):
        peer.send(bytes((byte,)))
    assert peer.receive()[0] == 0x20
    assert peer.receive()[0] == 0x90
    assert peer.message().payload == b"hello"


@pytest.mark.mqtt5("4.2-1")
def test_many_packets_may_come_in_one_piece_and_are_answered_in_their_order(peer: Peer, name: str) -> None:
    peer.send(connect(name), *(publish(name, b"", qos=1, packet_id=n) + b"\xc0\x00" for n in range(1, 9)))
    got = peer.receive()
    assert got[0] == 0x20
    firsts = [peer.receive() for _ in range(16)]
    assert [Answer.parse(*each).packet_id for each in firsts if each[0] == 0x40] == list(range(1, 9))
    assert sum(each[0] == 0xD0 for each in firsts) == 8
