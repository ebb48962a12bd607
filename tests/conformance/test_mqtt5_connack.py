"""MQTT 5 §3.2: CONNACK."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.conftest import MAX_PACKET_BYTES, RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM
from tests.support.mqtt5_peer import Connack, Peer, connect, field, packet, prop, publish, subscribe, will_of

CODES = {
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
    0x9C, 0x9D, 0x9F,
}  # fmt: skip
PROPERTIES = {0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A}


@pytest.mark.mqtt5("3.2.0-1", "3.1.4-5")
def test_connack_comes_before_what_was_asked_behind_connect(peer: Peer, name: str) -> None:
    peer.send(connect(name), subscribe([(name, 0)]), publish(name, b"x"), b"\xc0\x00")
    firsts = [peer.receive()[0] for _ in range(4)]
    assert firsts[0] == 0x20
    assert sorted(firsts[1:]) == [0x30, 0x90, 0xD0]


@pytest.mark.mqtt5("3.2.0-1")
def test_connack_comes_before_what_was_waiting(open_peer: Callable[[], Peer], name: str) -> None:
    first, other, again = open_peer(), open_peer(), open_peer()
    first.connect(name, prop(0x11, 1000))
    first.subscribe(name, 1)
    first.disconnect()
    other.connect(name + "p")
    other.publish(name, b"x", qos=1)
    again.send(connect(name, clean=False))
    assert again.receive()[0] == 0x20
    assert again.message().payload == b"x"


@pytest.mark.mqtt5("3.2.0-2", "3.1.0-2")
def test_there_is_one_connack(peer: Peer, name: str) -> None:
    peer.send(connect(name), connect(name))
    assert [first for first, _ in peer.remainder()] == [0x20, 0xE0]


@pytest.mark.mqtt5("3.2.2-1", "3.2.2-6", "3.2.2-7", "3.2.2-8", "4.13.2-1")
@pytest.mark.parametrize(
    "raw",
    [
        connect("x", prop(0x15, "m")),
        connect("x", will=will_of("$SYS/x")),
        connect("x", flags=1),
        connect("x", will=will_of("a/#")),
        connect("x", prop(0x21, 0)),
        packet(0x10, field("MQTT"), b"\x06\x02\x00\x00\x00", field("x")),
    ],
)
def test_a_refusal_has_no_session_present_a_listed_code_and_an_end(open_peer: Callable[[], Peer], raw: bytes) -> None:
    keeper, peer = open_peer(), open_peer()
    keeper.connect("x", prop(0x11, 10))
    keeper.disconnect()
    peer.send(raw)
    packets = peer.remainder()
    assert len(packets) == 1
    got = Connack.parse(*packets[0])
    assert got.flags == 0
    assert got.code in CODES - {0}


@pytest.mark.mqtt5("3.2.2-1", "3.2.2-8")
def test_a_success_says_what_holds_and_nothing_that_does_not_belong_there(peer: Peer, name: str) -> None:
    got = peer.connect(name)
    assert (got.flags, got.code) == (0, 0)
    assert {number for number, _ in got.properties} <= PROPERTIES
    assert got.get(0x21) == RECEIVE_MAXIMUM
    assert got.get(0x22) == TOPIC_ALIAS_MAXIMUM
    assert got.get(0x27) == MAX_PACKET_BYTES
    for available in (0x24, 0x25, 0x28, 0x29, 0x2A):  # absent is as good as yes
        assert got.get(available) in {None, 1}


@pytest.mark.mqtt5("3.2.2-15")
@pytest.mark.parametrize("size", [MAX_PACKET_BYTES + 1, 2**27])
def test_a_packet_over_the_announced_maximum_closes_the_connection(peer: Peer, name: str, size: int) -> None:
    peer.connect(name)
    head = packet(0x30, b"x" * size)[:5] if size < 2**20 else b"\x30\x80\x80\x80\x40"
    peer.send(head, field(name))
    assert peer.refused() == 0x95


@pytest.mark.mqtt5("3.2.2-15")
def test_a_packet_of_the_announced_maximum_is_taken(peer: Peer, name: str) -> None:
    peer.connect(name)
    head = 1 + 3 + 2 + len(name) + 2 + 1
    answer = peer.publish(name, b"x" * (MAX_PACKET_BYTES - head), qos=1)
    assert answer is not None
    assert answer.first == 0x40


@pytest.mark.mqtt5("3.2.2-17", "3.3.2-9")
@pytest.mark.parametrize("alias", [TOPIC_ALIAS_MAXIMUM + 1, 65535])
def test_an_alias_over_the_announced_maximum_closes_the_connection(peer: Peer, name: str, alias: int) -> None:
    peer.connect(name)
    peer.send(publish(name, properties=prop(0x23, alias)))
    assert peer.refused() == 0x94


@pytest.mark.mqtt5("3.2.2-19", "3.2.2-20", "3.14.2-3", "3.14.2-4")
@pytest.mark.parametrize("maximum", range(2, 40))
def test_reasons_do_not_make_a_refusal_longer_than_the_client_takes(peer: Peer, name: str, maximum: int) -> None:
    peer.send(connect(name, prop(0x27, maximum), prop(0x15, "unknown method")))
    for first, body in peer.remainder():
        assert first == 0x20
        assert 2 + len(body) <= maximum


@pytest.mark.mqtt5("3.2.2-22")
@pytest.mark.parametrize(("asked_s", "told_s"), [(0, 60), (1000, 60), (61, 60), (60, None), (59, None), (1, None)])
def test_a_keep_alive_over_the_ceiling_is_answered_by_the_servers(
    peer: Peer, name: str, asked_s: int, told_s: int | None
) -> None:
    assert peer.connect(name, keep_alive_s=asked_s).get(0x13) == told_s
