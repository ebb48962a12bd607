"""MQTT 5 §3.3: PUBLISH, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.conftest import RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM
from tests.support.gateway_thread import GatewayThread
from tests.support.mqtt5_peer import Answer, Peer, field, packet, prop, publish, subscribe

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82
NO_LOCAL, AS_PUBLISHED, IF_NEW, NEVER = 0x04, 0x08, 0x10, 0x20

Pair = tuple[Peer, Peer]


@pytest.fixture
def pair(open_peer: Callable[[], Peer], name: str) -> Pair:
    """A subscriber that did not subscribe yet, and a publisher."""
    peer, other = open_peer(), open_peer()
    peer.connect(name)
    other.connect(name + "p")
    return peer, other


# ---- flags -------------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.3.1-2")
def test_a_publish_with_qos_0_and_dup_is_malformed(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.send(publish(name, dup=True))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.3.1-4", "4.13.1-1")
@pytest.mark.parametrize("flags", [6, 7, 14, 15])
def test_a_publish_with_qos_3_is_malformed(peer: Peer, name: str, flags: int) -> None:
    peer.connect(name)
    peer.send(packet(0x30 | flags, field(name), b"\x00\x01\x00x"))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.3.1-3", "4.3.1-1", "4.3.2-2", "4.3.3-2")
@pytest.mark.parametrize("qos", [1, 2])
def test_dup_is_not_passed_on(pair: Pair, name: str, qos: int) -> None:
    peer, other = pair
    peer.subscribe(name, 2)
    other.publish(name, b"x", qos=qos, dup=True)
    assert not peer.acknowledged().dup


# ---- retained messages -------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.3.1-5", "3.3.1-9")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_last_retained_message_comes_with_a_subscription(pair: Pair, name: str, qos: int) -> None:
    peer, other = pair
    other.publish(name, b"first", qos=qos, retain=True)
    other.publish(name, b"second", qos=qos, retain=True)
    other.settle()
    peer.subscribe(name, 2)
    got = peer.acknowledged()
    assert (got.payload, got.retain, got.qos) == (b"second", True, qos)
    peer.ping()


@pytest.mark.mqtt5("3.3.1-6", "3.3.1-7")
def test_an_empty_retained_message_is_delivered_removes_the_old_one_and_is_not_kept(pair: Pair, name: str) -> None:
    peer, other = pair
    other.publish(name, b"first", qos=1, retain=True)
    peer.subscribe(name, 0)
    assert peer.message().payload == b"first"
    other.publish(name, b"", qos=1, retain=True)
    assert peer.message().payload == b""
    peer.subscribe(name, 0)
    peer.ping()


@pytest.mark.mqtt5("3.3.1-8")
@pytest.mark.parametrize("payload", [b"", b"not retained"])
def test_a_message_without_retain_leaves_what_is_retained(pair: Pair, name: str, payload: bytes) -> None:
    peer, other = pair
    other.publish(name, b"kept", qos=1, retain=True)
    other.publish(name, payload, qos=1)
    peer.subscribe(name)
    assert peer.message().payload == b"kept"
    peer.ping()


@pytest.mark.mqtt5("3.3.1-9", "3.8.4-4")
def test_retain_handling_0_sends_them_each_time(pair: Pair, name: str) -> None:
    peer, other = pair
    other.publish(name, b"kept", qos=1, retain=True)
    for _ in range(3):
        peer.subscribe(name)
        assert peer.message().payload == b"kept"


@pytest.mark.mqtt5("3.3.1-10")
def test_retain_handling_1_sends_them_to_a_new_subscription_only(pair: Pair, name: str) -> None:
    peer, other = pair
    other.publish(name, b"kept", qos=1, retain=True)
    peer.subscribe(name, IF_NEW)
    assert peer.message().payload == b"kept"
    peer.subscribe(name, IF_NEW | 1)
    peer.ping()
    peer.send(packet(0xA2, b"\x00\x01\x00", field(name)))
    assert peer.receive()[0] == 0xB0
    peer.subscribe(name, IF_NEW)
    assert peer.message().payload == b"kept"


@pytest.mark.mqtt5("3.3.1-11")
def test_retain_handling_2_does_not_send_them(pair: Pair, name: str) -> None:
    peer, other = pair
    other.publish(name, b"kept", qos=1, retain=True)
    peer.subscribe(name, NEVER)
    peer.ping()


@pytest.mark.mqtt5("3.3.1-12", "3.3.1-13")
@pytest.mark.parametrize("options", [0, AS_PUBLISHED])
@pytest.mark.parametrize("retain", [False, True])
def test_retain_is_passed_on_to_who_wants_it_as_published(pair: Pair, name: str, options: int, retain: bool) -> None:
    peer, other = pair
    peer.subscribe(name, options)
    other.publish(name, b"x", qos=1, retain=retain)
    assert peer.message().retain == (retain and options == AS_PUBLISHED)


# ---- topic names -------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.3.2-2", "4.7.0-1")
@pytest.mark.parametrize("topic", ["#", "+", "a/#", "a/+/b", "a+", "a#b"])
def test_a_topic_name_with_a_wildcard_closes_the_connection(peer: Peer, name: str, topic: str) -> None:
    peer.connect(name)
    peer.send(publish(topic, qos=1))
    assert peer.refused() in {MALFORMED, 0x90}


@pytest.mark.mqtt5("3.3.2-1", "4.7.3-1")
@pytest.mark.parametrize("qos", [0, 1])
def test_a_publish_without_topic_and_alias_is_a_protocol_error(peer: Peer, name: str, qos: int) -> None:
    peer.connect(name)
    peer.send(publish("", qos=qos))
    assert peer.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("3.3.2-3")
def test_a_message_comes_under_the_topic_to_which_it_was_published(pair: Pair, name: str) -> None:
    peer, other = pair
    peer.subscribe(f"{name}/+/#")
    for topic in (f"{name}/a", f"{name}/a/b", f"{name}//", f"{name}/ä/ö"):
        other.publish(topic)
        assert peer.message().topic == topic.encode()
    other.publish(name)
    other.publish(name + "x/a")
    other.settle()
    peer.ping()


# ---- properties --------------------------------------------------------------------------------------------------

PAIRS = [(b"b", b"1"), (b"a", b"2"), (b"b", b"1"), (b"", b""), (b"a", b"0")]


@pytest.mark.mqtt5("3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20")
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("way", ["live", "retained"])
def test_properties_of_a_message_are_passed_on_unaltered(pair: Pair, name: str, qos: int, way: str) -> None:
    peer, other = pair
    sent: list[tuple[int, Any]] = [
        (0x01, 1),
        (0x03, b"application/json"),
        (0x08, b"answers/here"),
        (0x09, b"\x00\xff\x01"),
        *((0x26, each) for each in PAIRS),
    ]
    raw = b"".join(prop(*each) for each in sent)
    if way == "live":
        peer.subscribe(name, 2)
    other.publish(name, b"{}", qos=qos, properties=raw, retain=way == "retained")
    if way == "retained":
        other.settle()
        peer.subscribe(name, 2)
    got = peer.acknowledged()
    assert sorted(got.properties, key=lambda each: each[0]) == sent
    assert got.all(0x26) == PAIRS


@pytest.mark.mqtt5("3.3.2-4")
@pytest.mark.parametrize("value", [0, 1])
def test_the_payload_format_is_passed_on_also_when_it_is_0(pair: Pair, name: str, value: int) -> None:
    peer, other = pair
    peer.subscribe(name)
    other.publish(name, b"x", properties=prop(0x01, value))
    assert peer.message().get(0x01) == value


@pytest.mark.mqtt5("3.3.2-13", "3.3.2-14")
@pytest.mark.parametrize("topic", ["a/#", "+", "a/+/b"])
def test_a_response_topic_with_a_wildcard_closes_the_connection(peer: Peer, name: str, topic: str) -> None:
    peer.connect(name)
    peer.send(publish(name, properties=prop(0x08, topic)))
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR, 0x90}


@pytest.mark.mqtt5("3.3.4-6")
def test_a_subscription_identifier_from_a_client_closes_the_connection(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.send(publish(name, properties=prop(0x0B, 1)))
    assert peer.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("4.13.1-1")
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (prop(0x01, 2), PROTOCOL_ERROR),
        (prop(0x01, 1) * 2, PROTOCOL_ERROR),
        (prop(0x02, 1) * 2, PROTOCOL_ERROR),
        (prop(0x11, 1), MALFORMED),
        (b"\x7f\x00", MALFORMED),
        (b"\x02\x00\x00", MALFORMED),
    ],
)
def test_a_wrong_property_closes_the_connection(peer: Peer, name: str, raw: bytes, code: int) -> None:
    peer.connect(name)
    peer.send(publish(name, properties=raw))
    assert peer.refused() == code


# ---- expiry ------------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.3.2-5", "3.3.2-6")
@pytest.mark.parametrize("waits_s", [3, 20])
def test_a_message_expires_while_it_waits(
    gateway: GatewayThread, open_peer: Callable[[], Peer], name: str, waits_s: int
) -> None:
    peer, other, again = open_peer(), open_peer(), open_peer()
    peer.connect(name, prop(0x11, 1000))
    peer.subscribe(name, 1)
    peer.disconnect()
    other.connect(name + "p")
    other.publish(name, b"short", qos=1, properties=prop(0x02, 10))
    other.publish(name, b"long", qos=1, properties=prop(0x02, 1000))
    other.publish(name, b"for ever", qos=1)
    gateway.pass_time(waits_s)
    assert again.connect(name, prop(0x11, 1000), clean=False).flags == 1
    got = [again.acknowledged() for _ in range(3 if waits_s < 10 else 2)]
    left = {message.payload: message.get(0x02) for message in got}
    assert left.keys() == ({b"short", b"long", b"for ever"} if waits_s < 10 else {b"long", b"for ever"})
    assert left[b"for ever"] is None
    assert 1000 - waits_s - 2 <= left[b"long"] <= 1000 - waits_s
    again.ping()


@pytest.mark.mqtt5("3.3.2-5", "3.3.2-6")
def test_a_retained_message_expires(gateway: GatewayThread, pair: Pair, name: str) -> None:
    peer, other = pair
    other.publish(name, b"x", qos=1, retain=True, properties=prop(0x02, 10))
    gateway.pass_time(4)
    peer.subscribe(name)
    assert 4 <= peer.message().get(0x02) <= 6
    gateway.pass_time(7)
    peer.subscribe(name)
    peer.ping()


@pytest.mark.mqtt5("3.3.2-6")
def test_a_message_that_did_not_wait_keeps_its_interval(pair: Pair, name: str) -> None:
    peer, other = pair
    peer.subscribe(name)
    other.publish(name, b"x", properties=prop(0x02, 1))
    assert peer.message().get(0x02) == 1


# ---- aliases -----------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.3.2-12")
def test_every_alias_up_to_the_maximum_is_taken(pair: Pair, name: str) -> None:
    peer, other = pair
    peer.subscribe(name + "/#")
    for alias in range(1, TOPIC_ALIAS_MAXIMUM + 1):
        other.publish(f"{name}/{alias}", b"set", properties=prop(0x23, alias))
    for alias in range(TOPIC_ALIAS_MAXIMUM, 0, -1):
        other.publish("", b"used", qos=1, properties=prop(0x23, alias))
    other.publish(f"{name}/new", b"set", properties=prop(0x23, 1))
    other.publish("", b"used", properties=prop(0x23, 1))
    got = [(message.topic.decode().rpartition("/")[2], message.payload) for message in iter_messages(peer, 12)]
    assert got == [
        *((str(alias), b"set") for alias in range(1, 6)),
        *((str(alias), b"used") for alias in range(5, 0, -1)),
        ("new", b"set"),
        ("new", b"used"),
    ]


def iter_messages(peer: Peer, count: int) -> list[Any]:
    return [peer.message() for _ in range(count)]


@pytest.mark.mqtt5("3.3.2-7")
def test_an_alias_ends_with_its_connection(open_peer: Callable[[], Peer], name: str) -> None:
    first, second = open_peer(), open_peer()
    first.connect(name, prop(0x11, 1000))
    first.publish(name, b"x", properties=prop(0x23, 1))
    first.disconnect()
    second.connect(name, prop(0x11, 1000), clean=False)
    second.send(publish("", b"x", properties=prop(0x23, 1)))
    assert second.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("3.3.2-7", "3.3.2-11")
def test_an_alias_of_the_servers_ends_with_its_connection_too(open_peer: Callable[[], Peer], name: str) -> None:
    first, second, other = open_peer(), open_peer(), open_peer()
    other.connect(name + "p")
    first.connect(name, prop(0x11, 1000), prop(0x22, 5))
    first.subscribe(name)
    for _ in range(2):
        other.publish(name)
        first.message()
    first.disconnect()
    second.connect(name, prop(0x22, 5), clean=False)
    other.publish(name)
    assert second.message().topic == name.encode()


@pytest.mark.mqtt5("3.3.2-8")
def test_an_alias_of_0_closes_the_connection(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.send(publish(name, properties=prop(0x23, 0)))
    assert peer.refused() in {PROTOCOL_ERROR, 0x94}


# ---- actions -----------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.3.4-1", "4.3.2-4", "4.3.3-8", "4.3.3-11")
def test_a_publish_is_answered_as_its_qos_wants(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.publish(name, qos=0)
    peer.ping()
    peer.send(publish(name, qos=1, packet_id=5))
    assert peer.receive()[0] == 0x40
    peer.send(publish(name, qos=2, packet_id=5))
    assert peer.receive()[0] == 0x50
    peer.send(packet(0x62, b"\x00\x05"))
    assert peer.receive()[0] == 0x70


@pytest.mark.mqtt5("3.3.4-2", "3.3.4-3", "3.3.4-4", "3.8.4-8")
def test_overlapping_subscriptions_give_one_copy_with_the_highest_qos_and_all_identifiers(
    pair: Pair, name: str
) -> None:
    peer, other = pair
    peer.subscribe(f"{name}/#", 1, prop(0x0B, 1))
    peer.subscribe(f"{name}/+", 2, prop(0x0B, 268_435_455))
    peer.subscribe(f"{name}/a", 0)
    other.publish(f"{name}/a", b"x", qos=2)
    got = peer.acknowledged()
    assert (got.qos, sorted(got.all(0x0B))) == (2, [1, 268_435_455])
    peer.ping()


@pytest.mark.mqtt5("3.3.4-3", "3.3.4-4")
def test_a_retained_message_carries_the_identifier_of_its_subscription(pair: Pair, name: str) -> None:
    peer, other = pair
    other.publish(name, b"x", qos=1, retain=True)
    peer.subscribe(name, 0, prop(0x0B, 7))
    assert peer.message().all(0x0B) == [7]


@pytest.mark.mqtt5("3.3.4-7", "4.13.1-1")
def test_more_publishes_in_flight_than_announced_close_the_connection(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.send(*(publish(name, qos=2, packet_id=number) for number in range(1, RECEIVE_MAXIMUM + 1)))
    assert [Answer.parse(*peer.receive()).packet_id for _ in range(RECEIVE_MAXIMUM)] == list(
        range(1, RECEIVE_MAXIMUM + 1)
    )
    peer.publish(name, qos=0)  # takes no place
    peer.ping()
    peer.send(publish(name, qos=2, packet_id=RECEIVE_MAXIMUM + 1))
    assert peer.refused() == 0x93


@pytest.mark.mqtt5("3.3.4-9", "4.9.0-1", "4.9.0-2", "3.1.2-25")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("maximum", [1, 3])
def test_no_more_are_in_flight_than_the_client_takes(
    open_peer: Callable[[], Peer], name: str, qos: int, maximum: int
) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x21, maximum))
    other.connect(name + "p")
    peer.subscribe(name, 2)
    for i in range(6):
        other.publish(name, str(i).encode(), qos=qos)
    got = [peer.message() for _ in range(maximum)]
    peer.ping()  # nothing more came, and other packets did not wait
    for i in range(6):
        number = got[i].packet_id.to_bytes(2, "big")
        if qos == 2:
            peer.send(packet(0x50, number))
            assert peer.receive() == (0x62, number)
            peer.ping()  # PUBREC alone makes no place
            peer.send(packet(0x70, number))
        else:
            peer.send(packet(0x40, number))
        if len(got) < 6:
            got.append(peer.message())
    assert [message.payload for message in got] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    peer.ping()


@pytest.mark.mqtt5("3.3.4-9", "4.4.0-2")
def test_a_pubrec_with_an_error_makes_a_place(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x21, 1))
    other.connect(name + "p")
    peer.subscribe(name, 2)
    other.publish(name, b"refused", qos=2)
    other.publish(name, b"next", qos=2)
    got = peer.message()
    peer.send(packet(0x50, got.packet_id.to_bytes(2, "big"), b"\x80"))
    assert peer.acknowledged().payload == b"next"


@pytest.mark.mqtt5("3.3.4-10", "4.9.0-3")
def test_other_packets_do_not_wait_for_a_full_window(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x21, 1))
    other.connect(name + "p")
    peer.subscribe(name, 2)
    for _ in range(3):
        other.publish(name, b"x", qos=1)
    peer.message()
    peer.ping()
    peer.subscribe(name + "/a")
    answer = peer.publish(name + "/b", qos=2)
    assert answer is not None
    assert answer.first == 0x70
    other.publish(name, b"qos 0 passes, or waits its turn", qos=0)
    peer.send(subscribe([(name + "/c", 0)]))
    while (got := peer.receive())[0] >> 4 == 3:
        pass
    assert got[0] == 0x90
