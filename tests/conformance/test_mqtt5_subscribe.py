"""MQTT 5 §3.8 to §3.11: SUBSCRIBE and UNSUBSCRIBE, and their answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.mqtt5_peer import Answer, Peer, field, packet, prop, publish, subscribe, unsubscribe

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82
NO_LOCAL = 0x04
SUBACK_CODES = {0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}
UNSUBACK_CODES = {0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}


@pytest.mark.mqtt5("3.8.1-1", "3.10.1-1")
@pytest.mark.parametrize("flags", [n for n in range(16) if n != 2])
@pytest.mark.parametrize("kind", [0x80, 0xA0])
def test_other_flags_are_malformed(peer: Peer, name: str, kind: int, flags: int) -> None:
    raw = subscribe([(name, 0)]) if kind == 0x80 else unsubscribe([name])
    peer.connect(name)
    peer.send(bytes((kind | flags,)) + raw[1:])
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.8.3-2", "3.10.3-2", "4.13.1-1")
@pytest.mark.parametrize("raw", [subscribe([]), unsubscribe([])])
def test_no_filter_is_a_protocol_error(peer: Peer, name: str, raw: bytes) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("4.7.3-1")
@pytest.mark.parametrize("raw", [subscribe([("", 0)]), unsubscribe([""])])
def test_an_empty_filter_closes_the_connection(peer: Peer, name: str, raw: bytes) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR, 0x8F}


@pytest.mark.mqtt5("3.8.3-3")
def test_no_local_keeps_a_clients_own_messages_from_it(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name)
    other.connect(name + "p")
    peer.subscribe(name, NO_LOCAL)
    peer.publish(name, b"own", qos=1)
    other.publish(name, b"other", qos=1)
    assert peer.message().payload == b"other"
    peer.ping()


@pytest.mark.mqtt5("3.8.3-3")
def test_no_local_holds_for_the_client_and_not_the_connection(open_peer: Callable[[], Peer], name: str) -> None:
    first, second = open_peer(), open_peer()
    first.connect(name, prop(0x11, 1000))
    first.subscribe(name, NO_LOCAL | 1)
    first.publish(name, b"own", qos=1)
    first.disconnect()
    second.connect(name, clean=False)
    second.publish(name, b"own", qos=1)
    second.ping()


@pytest.mark.mqtt5("3.8.3-4", "4.13.1-1")
def test_no_local_on_a_shared_subscription_is_a_protocol_error(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.send(subscribe([(f"$share/{name}/a", NO_LOCAL)]))
    assert peer.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("3.8.3-5")
@pytest.mark.parametrize("options", [0x40, 0x80, 0xC0, 0x41])
def test_reserved_options_are_malformed(peer: Peer, name: str, options: int) -> None:
    peer.connect(name)
    peer.send(subscribe([(name, options)]))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.8.3-5", "4.13.1-1")
@pytest.mark.parametrize("options", [0x03, 0x30, 0x33])
def test_options_that_do_not_exist_close_the_connection(peer: Peer, name: str, options: int) -> None:
    peer.connect(name)
    peer.send(subscribe([(name, options)]))
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR}


@pytest.mark.mqtt5("3.8.4-1", "3.8.4-2", "3.8.4-6", "3.8.4-7", "3.9.3-1", "3.9.3-2", "3.8.4-5")
def test_suback_has_a_listed_code_for_each_filter_in_their_order(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.send(subscribe([(f"{name}/{qos}/{i}", qos) for i in range(3) for qos in (2, 0, 1)], packet_id=77))
    got = Answer.parse(*peer.receive())
    assert (got.first, got.packet_id, got.codes) == (0x90, 77, [2, 0, 1] * 3)
    assert set(got.codes) <= SUBACK_CODES


@pytest.mark.mqtt5("3.8.4-3")
def test_a_subscription_to_the_same_filter_takes_the_place_of_the_old_one(
    open_peer: Callable[[], Peer], name: str
) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name)
    other.connect(name + "p")
    peer.subscribe(name, 2, prop(0x0B, 1))
    peer.subscribe(name, 1, prop(0x0B, 2))
    other.publish(name, b"x", qos=2)
    got = peer.acknowledged()
    assert (got.qos, got.all(0x0B)) == (1, [2])
    peer.subscribe(name, 0)
    other.publish(name, b"x", qos=2)
    got = peer.acknowledged()
    assert (got.qos, got.all(0x0B)) == (0, [])
    peer.ping()


@pytest.mark.mqtt5("3.8.4-4")
def test_replacing_a_subscription_loses_nothing(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x21, 2))
    other.connect(name + "p")
    peer.subscribe(name, 1)
    for i in range(10):
        other.publish(name, str(i).encode(), qos=1)
        if i == 5:
            peer.send(subscribe([(name, 1)]))
    seen, numbers = [], []
    subacks = 0
    while len(seen) < 10 or not subacks:
        first, body = peer.receive()
        if first == 0x90:
            subacks += 1
            continue
        size = int.from_bytes(body[:2], "big")
        number = body[2 + size : 4 + size]
        numbers.append(number)
        seen.append(body[5 + size :])
        peer.send(packet(0x40, number))
    assert seen == [str(i).encode() for i in range(10)]
    peer.ping()


@pytest.mark.mqtt5("3.8.4-5")
def test_several_filters_are_as_several_subscribes(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    other.connect(name + "p")
    other.publish(f"{name}/a", b"a", qos=1, retain=True)
    other.publish(f"{name}/b", b"b", qos=1, retain=True)
    peer.connect(name)
    peer.send(subscribe([(f"{name}/b", 0), (f"{name}/a", 1), (f"{name}/b", 1)]))
    assert Answer.parse(*peer.receive()).codes == [0, 1, 1]
    got = [peer.acknowledged() for _ in range(2)]
    assert {message.payload for message in got} == {b"a", b"b"}
    other.publish(f"{name}/b", b"later", qos=1)
    while (message := peer.acknowledged()).payload != b"later":
        assert message.payload == b"b"  # the repeated filter may give it again
    assert message.qos == 1


@pytest.mark.mqtt5("3.8.4-8", "3.3.4-2")
@pytest.mark.parametrize("published", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_a_message_comes_with_the_lower_qos(
    open_peer: Callable[[], Peer], name: str, published: int, granted: int
) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name)
    other.connect(name + "p")
    peer.subscribe(name, granted)
    other.publish(name, b"x", qos=published)
    assert peer.acknowledged().qos == min(published, granted)


@pytest.mark.mqtt5("3.9.2-1", "3.9.2-2", "3.11.2-1", "3.11.2-2", "3.4.2-2", "3.4.2-3", "3.5.2-2", "3.5.2-3",
                   "3.6.2-2", "3.6.2-3", "3.7.2-2", "3.7.2-3", "3.1.2-24")  # fmt: skip
@pytest.mark.parametrize("maximum", [40, 45, 50, 60])
def test_no_answer_is_longer_than_the_client_takes(open_peer: Callable[[], Peer], name: str, maximum: int) -> None:
    peer, other = open_peer(), open_peer()
    got = peer.connect(name, prop(0x27, maximum))
    assert got.code == 0
    other.connect(name + "p")
    peer.send(
        subscribe([("$share/x/" + "y" * 100, 0), (name, 2)], prop(0x26, ("k", "v" * 100))),
        unsubscribe(["z" * 100], prop(0x26, ("k", "v" * 100))),
        publish("$SYS/broker/" + "x" * 100, qos=1),
        publish("$SYS/broker/" + "x" * 100, qos=2),
        publish(name + "/y", qos=2, packet_id=9),
        packet(0x62, b"\x00\x09"),
        packet(0x62, b"\x00\x0a"),
        b"\xc0\x00",
    )
    firsts = []
    while not firsts or firsts[-1] != 0x70 or firsts.count(0x70) < 2:
        first, body = peer.receive()
        assert 2 + len(body) <= maximum
        if first != 0xD0:
            firsts.append(first)
    other.publish(name, b"x", qos=2)
    first, body = peer.receive()
    assert first == 0x34
    peer.send(packet(0x50, body[2 + len(name) : 4 + len(name)]))
    assert len(peer.receive()[1]) + 2 <= maximum


@pytest.mark.mqtt5("3.10.4-1", "3.10.4-2", "3.10.4-4", "3.11.3-2")
def test_unsubscribe_ends_the_subscription_with_exactly_that_filter(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name)
    other.connect(name + "p")
    for topic_filter in (f"{name}/a", f"{name}/+", f"{name}/#"):
        peer.subscribe(topic_filter)
    for topic_filter, code in ((f"{name}/b", 0x11), (f"{name}/+/#", 0x11), (f"{name}/+", 0), (f"{name}/#", 0)):
        peer.send(unsubscribe([topic_filter]))
        assert Answer.parse(*peer.receive()).codes == [code]
    other.publish(f"{name}/b", qos=1)
    other.publish(f"{name}/a", qos=1)
    assert peer.message().topic == f"{name}/a".encode()
    peer.send(unsubscribe([f"{name}/a"]))
    assert Answer.parse(*peer.receive()).codes == [0]
    other.publish(f"{name}/a", qos=1)
    peer.ping()


@pytest.mark.mqtt5("3.10.4-3")
def test_a_delivery_that_began_is_completed_after_unsubscribe(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other, again = open_peer(), open_peer(), open_peer()
    peer.connect(name, prop(0x11, 1000))
    other.connect(name + "p")
    peer.subscribe(name, 2)
    other.publish(name, b"one", qos=1)
    other.publish(name, b"two", qos=2)
    one, two = peer.message(), peer.message()
    peer.send(unsubscribe([name]))
    assert Answer.parse(*peer.receive()).codes == [0]
    peer.send(packet(0x40, one.packet_id.to_bytes(2, "big")))
    peer.close()
    again.connect(name, clean=False)
    got = again.acknowledged()
    assert (got.payload, got.packet_id, got.dup) == (b"two", two.packet_id, True)
    again.ping()


@pytest.mark.mqtt5("3.10.4-4", "3.10.4-5", "3.10.4-6", "3.11.3-1", "3.11.3-2", "2.2.1-6")
def test_unsuback_has_a_listed_code_for_each_filter_in_their_order(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.subscribe(f"{name}/a")
    peer.subscribe(f"{name}/b")
    peer.send(unsubscribe([f"{name}/x", f"{name}/b", f"{name}/y", f"{name}/a", f"{name}/a"], packet_id=4711))
    got = Answer.parse(*peer.receive())
    assert (got.first, got.packet_id, got.codes) == (0xB0, 4711, [0x11, 0, 0x11, 0, 0x11])
    assert set(got.codes) <= UNSUBACK_CODES


@pytest.mark.mqtt5("4.13.1-1")
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (subscribe([("a", 0)], prop(0x0B, 0)), PROTOCOL_ERROR),
        (subscribe([("a", 0)], prop(0x0B, 1), prop(0x0B, 1)), PROTOCOL_ERROR),
        (subscribe([("a", 0)], prop(0x11, 1)), MALFORMED),
        (unsubscribe(["a"], prop(0x0B, 1)), MALFORMED),
        (packet(0x82, b"\x00\x01\x00", field("a")), MALFORMED),
        (packet(0x82, b"\x00\x01\x00", b"\x00\x05a"), MALFORMED),
        (packet(0xA2, b"\x00\x01\x00", b"\x00\x05a"), MALFORMED),
    ],
)
def test_what_is_not_formed_rightly_closes_the_connection(peer: Peer, name: str, raw: bytes, code: int) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() == code
