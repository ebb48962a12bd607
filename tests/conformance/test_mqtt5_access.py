"""MQTT 5 §3.1.4 and §4.13 with a door that asks who comes, and rules that deny."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.mqtt5_peer import Connack, Peer, connect, field, publish, subscribe


@pytest.mark.mqtt5("3.1.4-2", "3.2.2-7", "3.2.2-8", "4.13.2-1", "3.1.4-6")
@pytest.mark.parametrize(
    ("flags", "more"),
    [(0, b""), (0x80, field("nobody")), (0xC0, field("nobody") + field("x")), (0xC0, field("alice") + field("wrong"))],
)
def test_who_is_not_known_is_refused_and_closed(
    open_guarded: Callable[[], Peer], name: str, flags: int, more: bytes
) -> None:
    peer = open_guarded()
    peer.send(connect(name, flags=flags, more=more), publish(name), b"\xc0\x00")
    packets = peer.remainder()
    assert len(packets) == 1
    got = Connack.parse(*packets[0])
    assert (got.flags, got.code) in {(0, 0x86), (0, 0x87)}


@pytest.mark.mqtt5("3.8.4-7", "3.9.3-2", "3.4.2-1", "3.5.2-1", "4.13.1-1")
def test_who_is_known_may_do_what_the_rules_allow_and_is_told_of_the_rest(
    open_guarded: Callable[[], Peer], name: str
) -> None:
    peer = open_guarded()
    peer.send(connect(name, flags=0xC0, more=field("alice") + field("secret")))
    assert Connack.parse(*peer.receive()).code == 0
    assert peer.subscribe("allowed/#", 1).codes == [1]
    peer.send(subscribe([("denied/a", 0), ("allowed/b", 2)]))
    codes = peer.receive()[1][-2:]
    assert codes[0] in {0x80, 0x87}
    assert codes[1] == 2
    for qos in (1, 2):
        answer = peer.publish("denied/a", qos=qos)
        assert answer is not None
        assert answer.codes == [0x87]
    peer.publish("denied/a", qos=0)
    peer.publish("allowed/a", b"x", qos=1)
    assert peer.message().payload == b"x"
