"""MQTT 5 §3.15, §4.12 and §4.13: AUTH, and what is done about faults."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.mqtt5_peer import Connack, Peer, block, connect, field, packet, prop, publish

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82
METHOD = prop(0x15, "SCRAM-SHA-1")


@pytest.mark.mqtt5("4.12.0-1", "4.13.2-1")
@pytest.mark.parametrize("data", [(), (prop(0x16, b"client-first-data"),)])
def test_enhanced_authentication_is_refused(peer: Peer, name: str, data: tuple[bytes, ...]) -> None:
    peer.send(connect(name, METHOD, *data))
    packets = peer.remainder()
    assert len(packets) == 1
    assert Connack.parse(*packets[0]).code in {0x87, 0x8C}


@pytest.mark.mqtt5("4.12.0-6")
def test_no_authentication_method_comes_unasked(peer: Peer, name: str) -> None:
    got = peer.connect(name)
    assert got.get(0x15) is None
    assert got.get(0x16) is None
    peer.ping()


@pytest.mark.mqtt5("4.12.0-7", "4.12.0-6", "4.13.1-1")
@pytest.mark.parametrize("code", [0x18, 0x19])
def test_auth_on_a_connection_without_a_method_is_a_protocol_error(peer: Peer, name: str, code: int) -> None:
    peer.connect(name)
    peer.send(packet(0xF0, bytes((code,)), block(METHOD)))
    assert peer.refused() == PROTOCOL_ERROR


@pytest.mark.mqtt5("3.15.1-1")
@pytest.mark.parametrize("flags", range(1, 16))
def test_flags_of_auth_are_reserved(peer: Peer, name: str, flags: int) -> None:
    peer.connect(name)
    peer.send(packet(0xF0 | flags, b"\x18", block(METHOD)))
    assert peer.refused() == MALFORMED


@pytest.mark.mqtt5("4.13.1-1")
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x00\x00", MALFORMED),
        (b"\x20\x03\x00\x00\x00", PROTOCOL_ERROR),
        (b"\x90\x04\x00\x01\x00\x00", PROTOCOL_ERROR),
        (b"\xb0\x04\x00\x01\x00\x00", PROTOCOL_ERROR),
        (b"\xd0\x00", PROTOCOL_ERROR),
        (b"\xc0\x01\x00", MALFORMED),
        (b"\xf0\x00", PROTOCOL_ERROR),
        (packet(0xF0, b"\x00", block(METHOD)), PROTOCOL_ERROR),
        (packet(0xF0, b"\x18", block(prop(0x01, 1))), MALFORMED),
        (packet(0x30, b"\x00"), MALFORMED),
        (packet(0x30, b"\x00\x09a"), MALFORMED),
        (packet(0x32, field("a"), b"\x00"), MALFORMED),
        (packet(0x30, field("a"), b"\x05\x01"), MALFORMED),
    ],
)
def test_a_fault_closes_the_connection_with_its_code(peer: Peer, name: str, raw: bytes, code: int) -> None:
    peer.connect(name)
    peer.send(raw)
    assert peer.refused() == code


@pytest.mark.mqtt5("4.13.1-1")
def test_what_came_before_a_fault_is_done(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    other.connect(name + "-s")
    other.subscribe(name)
    peer.connect(name)
    peer.send(publish(name, b"before"), publish(name, b"before too", qos=1), b"\x00\x00", publish(name, b"behind"))
    peer.refused()
    assert [other.message().payload for _ in range(2)] == [b"before", b"before too"]
    other.ping()


@pytest.mark.mqtt5("4.13.1-1", "4.13.2-1")
def test_a_fault_of_one_client_does_not_touch_another(open_peer: Callable[[], Peer], name: str) -> None:
    peers = [open_peer() for _ in range(5)]
    for i, peer in enumerate(peers):
        peer.connect(f"{name}-{i}")
    for peer in peers[:-1]:
        peer.send(b"\xff\xff\xff\xff\xff\xff")
        assert (peer.refused() or 0) >= 0x80
    peers[-1].ping()
