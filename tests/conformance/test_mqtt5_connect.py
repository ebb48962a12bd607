"""MQTT 5 §3.1: CONNECT."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.gateway_thread import GatewayThread
from tests.support.mqtt5_peer import (
    Connack,
    Peer,
    block,
    connect,
    field,
    packet,
    prop,
    publish,
    subscribe,
    will_of,
)

MALFORMED, PROTOCOL_ERROR, BAD_VERSION = 0x81, 0x82, 0x84
HEAD = field("MQTT") + b"\x05"


@pytest.mark.mqtt5("3.1.0-1", "3.14.0-1")
@pytest.mark.parametrize(
    "raw",
    [
        publish("a"),
        subscribe([("a", 0)]),
        b"\xc0\x00",
        b"\xe0\x00",
        packet(0xF0, b"\x18\x04\x15\x00\x01m"),
        b"\x40\x02\x00\x01",
    ],
)
def test_another_first_packet_than_connect_closes_without_a_word(peer: Peer, raw: bytes) -> None:
    peer.send(raw)
    assert peer.refused() is None


@pytest.mark.mqtt5("3.1.0-2")
@pytest.mark.parametrize("second", ["the same", "another"])
def test_a_second_connect_is_a_protocol_error(peer: Peer, name: str, second: str) -> None:
    peer.connect(name)
    peer.send(connect(name if second == "the same" else name + "x"))
    assert peer.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("3.1.2-1", "3.1.4-1")
@pytest.mark.parametrize("protocol", [b"MQTX", b"mqtt", b"", b"MQTT5", b"HTTP"])
def test_another_protocol_name_is_refused(peer: Peer, name: str, protocol: bytes) -> None:
    peer.send(packet(0x10, field(protocol), b"\x05\x02\x00\x00\x00", field(name)))
    assert peer.refused() in {None, BAD_VERSION, MALFORMED}


@pytest.mark.mqtt5("3.1.2-2")
@pytest.mark.parametrize("level", [0, 1, 2, 6, 7, 127])
def test_another_protocol_version_is_refused(peer: Peer, name: str, level: int) -> None:
    peer.send(packet(0x10, field("MQTT"), bytes((level, 2)), b"\x00\x00\x00", field(name)))
    assert peer.refused() in {None, 1, BAD_VERSION}


@pytest.mark.mqtt5("3.1.2-3", "3.1.4-1")
def test_the_reserved_connect_flag_is_zero(peer: Peer, name: str) -> None:
    peer.send(connect(name, flags=1))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.1.2-4", "3.1.4-4", "3.2.2-2")
def test_clean_start_begins_a_new_session(open_peer: Callable[[], Peer], name: str) -> None:
    first, other, second = open_peer(), open_peer(), open_peer()
    first.connect(name, prop(0x11, 1000))
    first.subscribe(name, 1)
    first.disconnect()
    other.connect(name + "p")
    other.publish(name, b"queued", qos=1)
    got = second.connect(name, prop(0x11, 1000), clean=True)
    assert (got.flags, got.code) == (0, 0)
    other.publish(name, b"nobody is subscribed", qos=1)
    second.ping()


@pytest.mark.mqtt5("3.1.2-5", "3.1.2-23", "3.2.2-3", "4.5.0-1", "3.1.3-2")
def test_without_clean_start_a_session_goes_on(open_peer: Callable[[], Peer], name: str) -> None:
    first, other, second = open_peer(), open_peer(), open_peer()
    first.connect(name, prop(0x11, 1000))
    first.subscribe(name, 1)
    first.disconnect()
    other.connect(name + "p", prop(0x11, 1000))
    other.publish(name, b"queued", qos=1)
    got = second.connect(name, prop(0x11, 1000), clean=False)
    assert (got.flags, got.code) == (1, 0)
    assert second.acknowledged().payload == b"queued"
    other.publish(name, b"live", qos=1)
    assert second.acknowledged().payload == b"live"


@pytest.mark.mqtt5("3.1.2-6", "3.2.2-3")
def test_without_clean_start_and_without_a_session_one_begins(open_peer: Callable[[], Peer], name: str) -> None:
    got = open_peer().connect(name, prop(0x11, 1000), clean=False)
    assert (got.flags, got.code) == (0, 0)
    got = open_peer().connect(name, clean=False)
    assert (got.flags, got.code) == (1, 0)


@pytest.mark.mqtt5("3.1.2-9", "3.1.3-1", "3.1.4-1")
@pytest.mark.parametrize(
    "fields", [b"", block(), block() + field("t"), field("t") + field("p"), block() + b"\x00\x09t"], ids=repr
)
def test_a_will_flag_without_all_of_a_will_is_malformed(peer: Peer, name: str, fields: bytes) -> None:
    peer.send(packet(0x10, HEAD, b"\x06\x00\x00\x00", field(name), fields))
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR}


@pytest.mark.mqtt5("3.1.2-11", "3.1.2-13", "3.1.4-1")
@pytest.mark.parametrize("flags", [0x08, 0x10, 0x18, 0x20, 0x28])
def test_without_a_will_its_qos_and_retain_are_zero(peer: Peer, name: str, flags: int) -> None:
    peer.send(connect(name, flags=flags))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.1.2-12")
def test_a_will_qos_of_3_is_malformed(peer: Peer, name: str) -> None:
    peer.send(connect(name, will=will_of(name), will_flags=0x18))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.1.2-16", "3.1.2-17", "3.1.2-18", "3.1.2-19", "3.1.3-1")
@pytest.mark.parametrize(
    ("flags", "more", "code"),
    [
        (0x80, field("user"), 0),
        (0xC0, field("user") + field("secret"), 0),
        (0x40, field("secret"), 0),  # MQTT 5 allows it
        (0x00, field("user"), MALFORMED),
        (0x80, b"", MALFORMED),
        (0x80, field("user") + field("secret"), MALFORMED),
        (0x40, b"", MALFORMED),
        (0xC0, field("user"), MALFORMED),
        (0xC0, field("user") + b"\x00\x09x", MALFORMED),
    ],
)
def test_user_name_and_password_are_there_as_the_flags_say(
    peer: Peer, name: str, flags: int, more: bytes, code: int
) -> None:
    peer.send(connect(name, flags=flags, more=more))
    assert Connack.parse(*peer.receive()).code == code


@pytest.mark.mqtt5("3.1.3-12", "3.1.4-1")
@pytest.mark.parametrize("raw", [b"\xff", b"a\x00"])
def test_the_user_name_is_a_utf8_string(peer: Peer, name: str, raw: bytes) -> None:
    peer.send(connect(name, flags=0x80, more=field(raw)))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.1.2-22", "3.2.2-22")
def test_a_silent_client_is_disconnected_after_one_and_a_half_keep_alives(peer: Peer, name: str) -> None:
    began = time.monotonic()
    assert peer.connect(name, keep_alive_s=1).get(0x13) is None
    assert peer.refused() == 0x8D
    assert time.monotonic() - began > 1.4


@pytest.mark.mqtt5("3.1.2-24", "3.1.2-25")
def test_a_message_over_the_clients_maximum_is_dropped_as_if_sent(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x27, 100), prop(0x21, 1))
    peer.subscribe(name, 2)
    other.connect(name + "p")
    for qos in (0, 1, 2):
        other.publish(name, b"x" * 200, qos=qos)
        other.publish(name, b"small", qos=qos)
        got = peer.acknowledged()
        assert (got.payload, got.qos) == (b"small", qos)
    peer.ping()


@pytest.mark.mqtt5("3.1.2-24")
def test_the_whole_packet_counts_against_the_maximum(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x27, 60))
    peer.subscribe(name, 0)
    other.connect(name + "p")
    for size in range(30, 70):
        other.publish(name, b"x" * size)
    other.publish(name, b"last")
    sizes = []
    while (got := peer.message()).payload != b"last":
        sizes.append(len(got.payload))
    assert sizes == list(range(30, 60 - 2 - 2 - len(name) - 1 + 1))


@pytest.mark.mqtt5("3.1.2-24")
def test_a_client_whose_maximum_has_no_room_for_connack_is_closed(peer: Peer, name: str) -> None:
    peer.send(connect(name, prop(0x27, 3)))
    assert peer.refused() is None


@pytest.mark.mqtt5("3.1.2-26", "3.3.2-11")
@pytest.mark.parametrize("maximum", [1, 2, 65535])
def test_no_alias_is_over_the_clients_maximum(open_peer: Callable[[], Peer], name: str, maximum: int) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x22, maximum))
    peer.subscribe(name + "/#")
    other.connect(name + "p")
    known: dict[int, bytes] = {}
    order = [0, 1, 0, 2, 0, 1, 3, 3, 0]
    for i in order:
        other.publish(f"{name}/{i}", str(i).encode())
    for i in order:
        got = peer.message()
        alias = got.get(0x23)
        assert alias is None or 1 <= alias <= maximum
        if got.topic and alias is not None:
            known[alias] = got.topic
        assert (got.topic or known[alias]) == f"{name}/{i}".encode()
        assert got.payload == str(i).encode()
    assert known


@pytest.mark.mqtt5("3.1.2-27")
@pytest.mark.parametrize("announced", [(), (prop(0x22, 0),)])
def test_a_client_that_takes_no_alias_gets_none(peer: Peer, name: str, announced: tuple[bytes, ...]) -> None:
    peer.connect(name, *announced)
    peer.subscribe(name)
    for _ in range(3):
        peer.publish(name)
        got = peer.message()
        assert (got.topic, got.get(0x23)) == (name.encode(), None)


@pytest.mark.mqtt5("3.1.2-28")
@pytest.mark.parametrize("asked", [(), (prop(0x19, 0),)])
def test_response_information_is_not_sent_unasked(peer: Peer, name: str, asked: tuple[bytes, ...]) -> None:
    assert peer.connect(name, *asked).get(0x1A) is None


@pytest.mark.mqtt5("3.1.2-29")
def test_who_wants_no_problem_information_gets_none_on_other_packets(peer: Peer, name: str) -> None:
    peer.connect(name, prop(0x17, 0))
    for got in (
        peer.subscribe("$share/x/a"),
        peer.publish("$SYS/x", qos=1),
        peer.publish("$SYS/x", qos=2),
        peer.publish(name, qos=2),
    ):
        assert got is not None
        assert [number for number, _ in got.properties if number in {0x1F, 0x26}] == []


@pytest.mark.mqtt5("3.1.3-3", "3.1.3-1", "3.1.4-1")
def test_a_connect_without_a_client_identifier_field_is_malformed(peer: Peer) -> None:
    peer.send(packet(0x10, HEAD, b"\x02\x00\x00\x00"))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.1.3-4", "3.1.3-8", "3.1.4-1")
@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\xed\xa0\x80", b"a\x00b"])
def test_the_client_identifier_is_a_utf8_string(peer: Peer, raw: bytes) -> None:
    peer.send(connect(raw))
    assert peer.refused() in {MALFORMED, 0x85}


@pytest.mark.mqtt5("3.1.3-5")
@pytest.mark.parametrize(
    "client_id", ["a", "Z9", "0123456789abcdefghijklm", "ABCDEFGHIJKLMNOPQRSTUVW", "nopqrstuvwxyzXYZ"]
)
def test_the_identifiers_that_every_server_takes_are_taken(peer: Peer, client_id: str) -> None:
    assert peer.connect(client_id).code == 0


@pytest.mark.mqtt5("3.1.3-6", "3.1.3-7", "3.2.2-16")
def test_a_client_without_an_identifier_is_given_a_new_one(open_peer: Callable[[], Peer]) -> None:
    given = [open_peer().connect("").get(0x12) for _ in range(5)]
    assert None not in given
    assert len(set(given)) == 5


@pytest.mark.mqtt5("3.1.3-7")
def test_a_given_identifier_can_be_used_to_come_back(open_peer: Callable[[], Peer]) -> None:
    given = open_peer().connect("", prop(0x11, 1000), clean=False).get(0x12)
    got = open_peer().connect(given, clean=False)
    assert (got.flags, got.get(0x12)) == (1, None)


@pytest.mark.mqtt5("3.1.4-3")
def test_a_client_that_connects_anew_ends_its_old_connection(open_peer: Callable[[], Peer], name: str) -> None:
    first, second = open_peer(), open_peer()
    first.connect(name)
    assert second.connect(name).code == 0
    assert first.refused() == 0x8E
    second.ping()


@pytest.mark.mqtt5("3.1.4-6", "3.2.2-7")
def test_what_follows_a_refused_connect_is_not_processed(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    other.connect(name + "s")
    other.subscribe(name)
    peer.send(connect(name, prop(0x15, "method")), publish(name, b"must not come"))
    assert peer.refused() == 0x8C
    other.ping()


@pytest.mark.mqtt5("3.1.4-1")
@pytest.mark.parametrize(
    "raw",
    [
        packet(0x10, HEAD, b"\x02\x00\x00", block(prop(0x23, 1)), field("x")),  # not a property of CONNECT
        packet(0x10, HEAD, b"\x02\x00\x00", block(prop(0x11, 1), prop(0x11, 1)), field("x")),  # twice
        packet(0x10, HEAD, b"\x02\x00\x00", block(prop(0x21, 0)), field("x")),
        packet(0x10, HEAD, b"\x02\x00\x00", block(prop(0x27, 0)), field("x")),
        packet(0x10, HEAD, b"\x02\x00\x00", block(prop(0x17, 2)), field("x")),
        packet(0x10, HEAD, b"\x02\x00\x00", block(prop(0x19, 2)), field("x")),
        packet(0x10, HEAD, b"\x02\x00\x00", block(prop(0x16, "data")), field("x")),  # data without a method
        packet(0x10, HEAD, b"\x02\x00\x00", b"\x05\x11\x00\x00\x00", field("x")),  # cut
        packet(0x10, HEAD, b"\x02\x00\x00", block(), field("x"), b"more"),
    ],
)
def test_a_connect_that_is_not_formed_rightly_is_refused(peer: Peer, raw: bytes) -> None:
    peer.send(raw)
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR}


@pytest.mark.mqtt5("3.1.4-2", "3.1.3-8", "4.13.2-1")
def test_a_will_that_may_not_be_published_is_refused_and_the_connection_closed(peer: Peer, name: str) -> None:
    peer.send(connect(name, will=will_of("$SYS/broker/x")))
    assert peer.refused() == 0x87


@pytest.mark.mqtt5("3.1.2-22")
def test_any_packet_keeps_a_client_alive(peer: Peer, name: str, gateway: GatewayThread) -> None:
    peer.connect(name, keep_alive_s=2)
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < 4.4:
        number += 1
        peer.send(publish(name, qos=1, packet_id=number))
        assert peer.receive()[0] == 0x40
        time.sleep(0.3)  # the client's own pace, which is what is tested
    peer.ping()
