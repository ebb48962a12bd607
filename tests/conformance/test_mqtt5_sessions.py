"""MQTT 5 §3.1.2.5, §3.14, §4.1: wills, how a connection ends, and how long a session lasts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.gateway_thread import GatewayThread
from tests.support.mqtt5_peer import Answer, Peer, block, connect, field, packet, prop, subscribe, will_of

MALFORMED, PROTOCOL_ERROR, ADMINISTRATIVE_ACTION = 0x81, 0x82, 0x98
QOS_1, QOS_2, RETAIN = 0x08, 0x10, 0x20
DISCONNECT_CODES = {
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
}  # fmt: skip


@pytest.fixture
def witness(open_peer: Callable[[], Peer], name: str) -> Peer:
    """A subscriber to the topic `name`/will, with QoS 2 and Retain As Published."""
    peer = open_peer()
    peer.connect(name + "w")
    peer.subscribe(f"{name}/will", 0x0A)
    return peer


# ---- wills -------------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.1.2-7", "3.1.2-8", "3.1.2-10", "3.1.2-12", "3.1.2-14", "3.1.2-15")
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [0, RETAIN])
def test_a_will_is_published_once_when_its_client_is_gone(
    open_peer: Callable[[], Peer], witness: Peer, name: str, qos: int, retain: int
) -> None:
    peer = open_peer()
    peer.connect(name, will=will_of(f"{name}/will", b"gone"), will_flags=qos << 3 | retain)
    witness.ping()
    peer.close()
    got = witness.acknowledged()
    assert (got.payload, got.qos, got.retain) == (b"gone", qos, bool(retain))
    late = open_peer()
    late.connect(name + "l")
    late.subscribe(f"{name}/will")
    if retain:
        assert late.message().payload == b"gone"
    late.ping()
    again = open_peer()
    again.connect(name)
    again.close()
    witness.ping()  # it was published once


@pytest.mark.mqtt5("3.1.2-10", "3.14.4-3", "3.1.2-8")
def test_disconnect_calls_the_will_off(open_peer: Callable[[], Peer], witness: Peer, name: str) -> None:
    for code in (None, 0):
        peer = open_peer()
        peer.connect(name, will=will_of(f"{name}/will"))
        peer.disconnect(code)
        witness.ping()


@pytest.mark.mqtt5("3.1.2-8")
@pytest.mark.parametrize("code", [0x04, 0x80, 0x98])
def test_disconnect_with_another_code_does_not(
    open_peer: Callable[[], Peer], witness: Peer, name: str, code: int
) -> None:
    peer = open_peer()
    peer.connect(name, will=will_of(f"{name}/will"))
    peer.disconnect(code)
    assert witness.message().payload == b"gone"


@pytest.mark.mqtt5("3.1.2-8", "4.13.1-1")
def test_a_protocol_error_publishes_the_will(open_peer: Callable[[], Peer], witness: Peer, name: str) -> None:
    peer = open_peer()
    peer.connect(name, will=will_of(f"{name}/will"))
    peer.send(b"\x00\x00")
    assert peer.refused() == MALFORMED
    assert witness.message().payload == b"gone"


@pytest.mark.mqtt5("3.1.2-8", "3.14.2-1", "3.14.4-1", "3.14.4-2")
def test_an_operators_disconnect_is_an_administrative_action_and_publishes_the_will(
    gateway: GatewayThread, open_peer: Callable[[], Peer], witness: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name, will=will_of(f"{name}/will", b"cut off"))
    assert gateway.disconnect(name)
    assert peer.remainder() == [(0xE0, bytes((ADMINISTRATIVE_ACTION,)))]
    assert witness.message().payload == b"cut off"
    assert not gateway.disconnect(name)


@pytest.mark.mqtt5("3.1.2-8")
def test_a_will_waits_for_its_delay(
    gateway: GatewayThread, open_peer: Callable[[], Peer], witness: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name, prop(0x11, 1000), will=will_of(f"{name}/will", b"late", prop(0x18, 10)))
    peer.disconnect(0x04)
    gateway.pass_time(8)
    witness.ping()
    gateway.pass_time(3)
    assert witness.message().payload == b"late"


@pytest.mark.mqtt5("3.1.2-8", "4.1.0-2")
def test_a_will_does_not_wait_longer_than_its_session_lasts(
    gateway: GatewayThread, open_peer: Callable[[], Peer], witness: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name, prop(0x11, 5), will=will_of(f"{name}/will", b"end", prop(0x18, 1000)))
    peer.disconnect(0x04)
    gateway.pass_time(3)
    witness.ping()
    gateway.pass_time(3)
    assert witness.message().payload == b"end"


@pytest.mark.mqtt5("3.1.3-9", "3.1.2-8")
def test_a_client_that_is_back_in_time_prevents_its_will(
    gateway: GatewayThread, open_peer: Callable[[], Peer], witness: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name, prop(0x11, 1000), will=will_of(f"{name}/will", b"late", prop(0x18, 10)))
    peer.disconnect(0x04)
    gateway.pass_time(5)
    back = open_peer()
    back.connect(name, prop(0x11, 1000), clean=False)
    gateway.pass_time(10)
    witness.ping()


@pytest.mark.mqtt5("3.1.2-8", "3.1.2-4")
def test_a_clean_start_ends_the_session_and_so_publishes_the_will(
    gateway: GatewayThread, open_peer: Callable[[], Peer], witness: Peer, name: str
) -> None:
    peer = open_peer()
    peer.connect(name, prop(0x11, 1000), will=will_of(f"{name}/will", b"late", prop(0x18, 100)))
    peer.disconnect(0x04)
    open_peer().connect(name, clean=True)
    assert witness.message().payload == b"late"


@pytest.mark.mqtt5("3.1.4-3", "3.1.2-8")
def test_a_take_over_publishes_a_will_without_delay(open_peer: Callable[[], Peer], witness: Peer, name: str) -> None:
    peer = open_peer()
    peer.connect(name, prop(0x11, 1000), will=will_of(f"{name}/will"))
    open_peer().connect(name, clean=False)
    assert peer.refused() == 0x8E
    assert witness.message().payload == b"gone"


@pytest.mark.mqtt5("3.1.3-10", "3.1.2-9", "3.3.2-4")
def test_a_will_carries_its_properties_in_their_order(open_peer: Callable[[], Peer], witness: Peer, name: str) -> None:
    pairs = [(b"z", b"1"), (b"a", b"2"), (b"z", b"0")]
    peer = open_peer()
    peer.connect(
        name,
        will=will_of(
            f"{name}/will",
            b"x",
            prop(0x01, 1),
            prop(0x03, "text"),
            prop(0x08, "re"),
            prop(0x09, b"\x00"),
            *(prop(0x26, each) for each in pairs),
        ),
    )
    peer.close()
    got = witness.message()
    assert [got.get(number) for number in (0x01, 0x03, 0x08, 0x09)] == [1, b"text", b"re", b"\x00"]
    assert got.all(0x26) == pairs
    assert got.get(0x18) is None


@pytest.mark.mqtt5("3.1.3-11")
@pytest.mark.parametrize("topic", [b"\xff", b"a\x00", b"", b"a/#", b"+"])
def test_a_will_topic_that_is_no_topic_is_refused(peer: Peer, name: str, topic: bytes) -> None:
    peer.send(connect(name, will=block() + field(topic) + field("x")))
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR, 0x90}


@pytest.mark.mqtt5("3.1.3-11", "3.1.4-1")
@pytest.mark.parametrize("wrong", [prop(0x23, 1), prop(0x11, 1), prop(0x18, 1) * 2, prop(0x01, 2), prop(0x08, "a/#")])
def test_a_will_property_that_is_wrong_is_refused(peer: Peer, name: str, wrong: bytes) -> None:
    peer.send(connect(name, will=will_of(name, b"x", wrong)))
    assert peer.refused() in {MALFORMED, PROTOCOL_ERROR}


# ---- DISCONNECT and PINGREQ --------------------------------------------------------------------------------------


@pytest.mark.mqtt5("3.12.4-1")
def test_pingreq_is_answered(peer: Peer, name: str) -> None:
    peer.connect(name)
    for _ in range(3):
        peer.send(b"\xc0\x00")
        assert peer.receive() == (0xD0, b"")


@pytest.mark.mqtt5("3.14.0-1")
def test_no_disconnect_comes_before_connack(peer: Peer, name: str) -> None:
    peer.send(connect(name, prop(0x21, 0)))
    assert [first for first, _ in peer.remainder()] == [0x20]


@pytest.mark.mqtt5("3.14.1-1")
@pytest.mark.parametrize("flags", range(1, 16))
def test_flags_of_disconnect_are_reserved(peer: Peer, name: str, flags: int) -> None:
    peer.connect(name)
    peer.send(bytes((0xE0 | flags, 0)))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("3.14.2-1", "3.14.2-2", "3.14.2-3", "3.14.2-4", "3.14.4-1", "3.14.4-2", "4.13.2-1", "3.1.2-24")
@pytest.mark.parametrize("maximum", [30, 268_435_455])
@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x00",
        connect("x"),
        subscribe([]),
        packet(0x30, field("a/#"), b"\x00"),
        packet(0xF0, b"\x18", block(prop(0x15, "m" * 50))),
        packet(0x30, field("a"), block(prop(0x23, 1000))),
    ],
)
def test_a_disconnect_of_the_server_is_listed_short_enough_and_its_last_word(
    open_peer: Callable[[], Peer], name: str, raw: bytes, maximum: int
) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x27, maximum))
    other.connect(name + "p")
    peer.subscribe(name)
    peer.send(raw, b"\xc0\x00")
    packets = peer.remainder()
    assert len(packets) == 1
    first, body = packets[0]
    got = Answer.parse(first, body)
    assert first == 0xE0
    assert got.codes[0] in DISCONNECT_CODES
    assert got.codes[0] >= 0x80
    assert 0x11 not in {number for number, _ in got.properties}
    assert 2 + len(body) <= maximum


@pytest.mark.mqtt5("3.14.2-1", "4.13.1-1")
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (packet(0xE0, b"\x8d"), PROTOCOL_ERROR),
        (packet(0xE0, b"\x01"), PROTOCOL_ERROR),
        (packet(0xE0, b"\x00", block(prop(0x1C, "server"))), MALFORMED),
        (packet(0xE0, b"\x00", block(prop(0x11, 1)) * 2), MALFORMED),
        (packet(0xE0, b"\x00", block(prop(0x11, 1))), PROTOCOL_ERROR),  # CONNECT had none
    ],
)
def test_a_disconnect_that_is_wrong_is_a_fault(peer: Peer, name: str, raw: bytes, code: int) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() == code


@pytest.mark.mqtt5("3.14.4-2")
def test_after_a_clients_disconnect_nothing_more_is_taken(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    other.connect(name + "w")
    other.subscribe(name)
    peer.connect(name)
    peer.send(b"\xe0\x00", packet(0x30, field(name), b"\x00", b"too late"))
    assert peer.remainder() == []
    other.ping()


# ---- sessions ----------------------------------------------------------------------------------------------------


@pytest.mark.mqtt5("4.1.0-2", "3.1.2-23")
@pytest.mark.parametrize(
    ("expiry_s", "away_s", "present"), [(10, 5, 1), (10, 11, 0), (0xFFFFFFFF, 10**8, 1), (0, 0, 0)]
)
def test_a_session_lasts_as_long_as_its_expiry_interval(
    gateway: GatewayThread, open_peer: Callable[[], Peer], name: str, expiry_s: int, away_s: int, present: int
) -> None:
    peer = open_peer()
    peer.connect(name, prop(0x11, expiry_s))
    peer.disconnect()
    gateway.pass_time(away_s)
    assert open_peer().connect(name, clean=False).flags == present


@pytest.mark.mqtt5("4.1.0-2")
def test_disconnect_may_change_the_expiry_interval(
    gateway: GatewayThread, open_peer: Callable[[], Peer], name: str
) -> None:
    for expiry_s, present in ((100, 1), (0, 0)):
        peer = open_peer()
        peer.connect(name, prop(0x11, 10))
        peer.disconnect(0, prop(0x11, expiry_s))
        gateway.pass_time(20)
        assert open_peer().connect(name, clean=False).flags == present


@pytest.mark.mqtt5("4.1.0-1")
def test_a_session_does_not_expire_while_its_connection_is_open(
    gateway: GatewayThread, open_peer: Callable[[], Peer], name: str
) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name, prop(0x11, 1))
    peer.subscribe(name, 1)
    gateway.pass_time(100)
    other.connect(name + "p")
    other.publish(name, b"x", qos=1)
    assert peer.acknowledged().payload == b"x"


@pytest.mark.mqtt5("3.1.3-2")
def test_sessions_of_different_identifiers_do_not_meet(open_peer: Callable[[], Peer], name: str) -> None:
    first, second, other = open_peer(), open_peer(), open_peer()
    first.connect(name, prop(0x11, 100))
    first.subscribe(name, 1)
    assert second.connect(name.upper(), clean=False).flags == 0
    other.connect(name + "p")
    other.publish(name, b"x", qos=1)
    second.ping()
    assert first.acknowledged().payload == b"x"
