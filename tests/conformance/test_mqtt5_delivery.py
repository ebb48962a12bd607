"""MQTT 5 §3.4 to §3.7, §4.3, §4.4, §4.6: acknowledgements, exchanges that are completed later, order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.gateway_thread import GatewayThread
from tests.support.mqtt5_peer import Answer, Peer, packet, prop, publish

PUBLISH_CODES = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
RELEASE_CODES = {0x00, 0x92}
MALFORMED, PROTOCOL_ERROR = 0x81, 0x82
FOREVER = prop(0x11, 0xFFFFFFFF)


def two(number: int) -> bytes:
    return number.to_bytes(2, "big")


@pytest.fixture
def subscriber(open_peer: Callable[[], Peer], name: str) -> Callable[[], Peer]:
    """Connects one client again and again, with a session that stays; it is subscribed to `name` with QoS 2."""
    first = open_peer()
    first.connect(name, FOREVER)
    first.subscribe(name, 2)
    first.disconnect()

    def again() -> Peer:
        peer = open_peer()
        assert peer.connect(name, FOREVER, clean=False).flags == 1
        return peer

    return again


@pytest.fixture
def publisher(open_peer: Callable[[], Peer], name: str) -> Peer:
    """Another client."""
    peer = open_peer()
    peer.connect(name + "p")
    return peer


# ---- codes -------------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.4.2-1", "3.5.2-1")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("topic", ["nobody/listens", "$SYS/broker/x"])
def test_the_answer_to_a_publish_has_a_listed_code(peer: Peer, name: str, topic: str, qos: int) -> None:
    peer.connect(name)
    peer.send(publish(topic, qos=qos))
    got = Answer.parse(*peer.receive())
    assert got.first == {1: 0x40, 2: 0x50}[qos]
    assert set(got.codes) <= PUBLISH_CODES
    assert (got.codes[0] >= 0x80) == topic.startswith("$SYS")


@pytest.mark.mqtt5("3.6.2-1", "3.7.2-1", "4.3.3-11")
def test_pubrel_and_pubcomp_have_listed_codes_also_for_an_unknown_identifier(
    subscriber: Callable[[], Peer], publisher: Peer, name: str
) -> None:
    publisher.send(packet(0x62, two(4711)))
    got = Answer.parse(*publisher.receive())
    assert (got.first, got.packet_id) == (0x70, 4711)
    assert set(got.codes) <= RELEASE_CODES
    peer = subscriber()
    peer.send(packet(0x50, two(4711)))
    got = Answer.parse(*peer.receive())
    assert (got.first, got.packet_id) == (0x62, 4711)
    assert set(got.codes) <= RELEASE_CODES


@pytest.mark.mqtt5("4.13.1-1", "3.6.1-1")
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (packet(0x40, b"\x00\x00"), PROTOCOL_ERROR),
        (packet(0x40, b"\x00\x01\x01"), PROTOCOL_ERROR),
        (packet(0x50, b"\x00\x01\x92"), PROTOCOL_ERROR),
        (packet(0x62, b"\x00\x01\x10"), PROTOCOL_ERROR),
        (packet(0x70, b"\x00\x01\x80"), PROTOCOL_ERROR),
        (packet(0x40, b"\x00"), MALFORMED),
        (packet(0x62, b"\x00\x01\x00\x01"), MALFORMED),
        (packet(0x40, b"\x00\x01\x00\x00more"), MALFORMED),
        (packet(0x60, b"\x00\x01"), MALFORMED),
    ],
)
def test_a_wrong_acknowledgement_closes_the_connection(peer: Peer, name: str, raw: bytes, code: int) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() == code


# ---- from a client -----------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("4.3.2-5")
def test_after_puback_the_identifier_stands_for_a_new_message(
    open_peer: Callable[[], Peer], publisher: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.subscribe(name)
    for payload in (b"1", b"2", b"3"):
        publisher.publish(name, payload, qos=1, packet_id=7, dup=payload == b"2")
        assert peer.message().payload == payload


@pytest.mark.mqtt5("4.3.3-10", "4.3.3-8")
def test_until_pubrel_a_repeat_is_answered_and_not_delivered_again(
    open_peer: Callable[[], Peer], publisher: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.subscribe(name)
    publisher.send(publish(name, b"x", qos=2, packet_id=7))
    assert Answer.parse(*publisher.receive()).packet_id == 7
    for _ in range(4):
        publisher.send(publish(name, b"x", qos=2, packet_id=7, dup=True))
        got = Answer.parse(*publisher.receive())
        assert (got.first, got.packet_id) == (0x50, 7)
        assert got.codes[0] < 0x80
    assert peer.message().payload == b"x"
    publisher.settle()
    peer.ping()


@pytest.mark.mqtt5("4.3.3-10", "4.4.0-1", "3.1.2-5")
def test_a_repeat_on_the_next_connection_is_not_delivered_again(open_peer: Callable[[], Peer], name: str) -> None:
    listener, first, second = open_peer(), open_peer(), open_peer()
    listener.connect(name)
    listener.subscribe(name)
    first.connect(name + "p", FOREVER)
    first.send(publish(name, b"x", qos=2, packet_id=7))
    assert first.receive()[0] == 0x50
    first.close()
    second.connect(name + "p", FOREVER, clean=False)
    second.send(publish(name, b"x", qos=2, packet_id=7, dup=True))
    assert second.receive()[0] == 0x50
    second.send(packet(0x62, two(7)))
    assert second.receive()[0] == 0x70
    assert listener.message().payload == b"x"
    listener.ping()


@pytest.mark.mqtt5("4.3.3-12", "4.3.3-11")
def test_after_pubcomp_the_identifier_stands_for_a_new_message(
    open_peer: Callable[[], Peer], publisher: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.subscribe(name)
    for payload in (b"1", b"2", b"3"):
        answer = publisher.publish(name, payload, qos=2, packet_id=7)
        assert answer is not None
        assert (answer.first, answer.packet_id) == (0x70, 7)
        assert peer.message().payload == payload


@pytest.mark.mqtt5("4.3.3-9", "3.5.2-1")
def test_after_a_refusing_pubrec_the_identifier_stands_for_a_new_message(
    open_peer: Callable[[], Peer], publisher: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.subscribe(name)
    for _ in range(2):
        publisher.send(publish("$SYS/broker/x", b"refused", qos=2, packet_id=7))
        assert Answer.parse(*publisher.receive()).codes[0] >= 0x80
    publisher.publish(name, b"new", qos=2, packet_id=7)
    assert peer.message().payload == b"new"


@pytest.mark.mqtt5("4.6.0-5", "4.6.0-6", "4.5.0-1")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_come_in_the_order_in_which_they_were_published(
    open_peer: Callable[[], Peer], publisher: Peer, name: str, qos: int
) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.subscribe(name + "/#", 2)
    sent = []
    for i in range(0, 40, 4):
        for k in range(4):
            sent.append((f"{name}/{k % 2}".encode(), str(i + k).encode()))
            publisher.send(publish(sent[-1][0], sent[-1][1], qos=qos, packet_id=1 + k))
        for k in range(4 if qos else 0):
            assert publisher.receive()[1][:2] == two(1 + k)
        for k in range(4 if qos == 2 else 0):
            publisher.send(packet(0x62, two(1 + k)))
            assert publisher.receive()[1][:2] == two(1 + k)
    got = [peer.acknowledged() for _ in sent]
    assert [(message.topic, message.payload) for message in got] == sent


# ---- to a subscriber ---------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("4.4.0-1", "3.3.1-1", "4.3.2-3", "4.3.3-3", "2.2.1-5", "4.1.0-1")
@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_unacknowledged_is_sent_again_on_the_next_connection_in_order(
    subscriber: Callable[[], Peer], publisher: Peer, name: str, qos: int
) -> None:
    peer = subscriber()
    for payload in (b"1", b"2", b"3"):
        publisher.publish(name, payload, qos=qos)
    first = [peer.message() for _ in range(3)]
    peer.ping()  # it is not sent again on this connection
    peer.close()
    again = subscriber()
    second = [again.acknowledged() for _ in range(3)]
    assert [(each.packet_id, each.payload) for each in second] == [(each.packet_id, each.payload) for each in first]
    assert all(each.dup for each in second)
    assert not any(each.dup for each in first)
    again.ping()
    again.disconnect()
    subscriber().ping()  # and when it is acknowledged, never again


@pytest.mark.mqtt5("4.3.3-4", "4.3.3-5", "4.3.3-6", "4.4.0-1")
def test_after_pubrec_it_is_pubrel_that_is_sent_again(
    subscriber: Callable[[], Peer], publisher: Peer, name: str
) -> None:
    peer = subscriber()
    publisher.publish(name, b"x", qos=2)
    number = two(peer.message().packet_id)
    peer.send(packet(0x50, number))
    assert peer.receive() == (0x62, number)
    peer.ping()
    peer.close()
    for _ in range(2):
        peer = subscriber()
        assert peer.receive() == (0x62, number)
        peer.ping()
        peer.close()
    peer = subscriber()
    assert peer.receive() == (0x62, number)
    peer.send(packet(0x70, number))
    peer.ping()
    peer.close()
    subscriber().ping()


@pytest.mark.mqtt5("4.4.0-2")
@pytest.mark.parametrize("qos", [1, 2])
def test_what_a_client_refused_is_not_sent_again(
    subscriber: Callable[[], Peer], publisher: Peer, name: str, qos: int
) -> None:
    peer = subscriber()
    publisher.publish(name, b"x", qos=qos)
    number = two(peer.message().packet_id)
    peer.send(packet(0x40 if qos == 1 else 0x50, number, b"\x80"))
    peer.ping()
    peer.close()
    subscriber().ping()


@pytest.mark.mqtt5("4.3.3-7", "4.3.3-13", "3.3.2-5")
def test_a_message_that_was_sent_does_not_expire(
    gateway: GatewayThread, subscriber: Callable[[], Peer], publisher: Peer, name: str
) -> None:
    peer = subscriber()
    publisher.publish(name, b"x", qos=2, properties=prop(0x02, 5))
    first = peer.message()
    peer.close()
    gateway.pass_time(10)
    peer = subscriber()
    second = peer.message()
    assert (second.packet_id, second.payload, second.dup) == (first.packet_id, b"x", True)
    peer.send(packet(0x50, two(first.packet_id)))
    assert peer.receive() == (0x62, two(first.packet_id))
    peer.close()
    gateway.pass_time(10)
    peer = subscriber()
    assert peer.receive() == (0x62, two(first.packet_id))
    peer.send(packet(0x70, two(first.packet_id)))
    peer.ping()


@pytest.mark.mqtt5("4.3.3-13")
def test_the_exchange_with_the_publisher_goes_on_although_the_message_has_expired(
    gateway: GatewayThread, publisher: Peer, name: str
) -> None:
    publisher.send(publish(name, b"x", qos=2, packet_id=7, properties=prop(0x02, 1)))
    assert publisher.receive()[0] == 0x50
    gateway.pass_time(5)
    publisher.send(packet(0x62, two(7)))
    assert publisher.receive()[0] == 0x70


@pytest.mark.mqtt5("4.5.0-1", "4.3.1-1")
def test_a_message_is_added_to_every_session_that_matches(open_peer: Callable[[], Peer], name: str) -> None:
    peers = [open_peer() for _ in range(4)]
    for i, peer in enumerate(peers):
        peer.connect(f"{name}-{i}", FOREVER)
        peer.subscribe([name, name + "/#", "+/" + name, name][i], i % 3)
    peers[3].disconnect()
    publisher = open_peer()
    publisher.connect(name + "p")
    publisher.publish(name, b"x", qos=1)
    assert peers[0].acknowledged().payload == b"x"
    assert peers[1].acknowledged().payload == b"x"
    peers[2].ping()
    again = open_peer()
    again.connect(f"{name}-3", clean=False)
    again.ping()  # QoS 0 does not wait
    publisher.publish(name, b"y", qos=0)
    for peer in (peers[0], peers[1], again):
        assert peer.acknowledged().payload == b"y"


@pytest.mark.mqtt5("4.13.1-1")
@pytest.mark.parametrize(("qos", "wrong"), [(1, 0x50), (1, 0x70), (2, 0x40), (2, 0x70)])
def test_an_acknowledgement_of_another_kind_is_a_protocol_error(
    open_peer: Callable[[], Peer], publisher: Peer, name: str, qos: int, wrong: int
) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.subscribe(name, 2)
    publisher.publish(name, qos=qos)
    peer.send(packet(wrong, two(peer.message().packet_id)))
    assert peer.refused() == PROTOCOL_ERROR
