"""MQTT 5 §4.7 and §4.8: topic names and filters, and shared subscriptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.mqtt5_peer import Peer, field, packet, prop, publish, subscribe, unsubscribe

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82


@pytest.mark.mqtt5("4.7.1-1", "4.7.1-2", "4.13.1-1")
@pytest.mark.parametrize("topic_filter", ["a/#/b", "a#", "a/b#", "#/a", "##", "a+", "+a", "a/b+/c", "++", "a/+#"])
@pytest.mark.parametrize("kind", ["SUBSCRIBE", "UNSUBSCRIBE"])
def test_a_wildcard_that_is_no_level_of_its_own_is_refused(peer: Peer, name: str, kind: str, topic_filter: str) -> None:
    peer.connect(name)
    peer.send(subscribe([(topic_filter, 0)]) if kind == "SUBSCRIBE" else unsubscribe([topic_filter]))
    assert peer.refused() in {MALFORMED, 0x8F}


@pytest.mark.mqtt5("4.7.1-1", "4.7.1-2", "3.3.2-3", "4.7.0-1")
@pytest.mark.parametrize(
    ("topic_filter", "matching", "others"),
    [
        ("{}/#", ["{}", "{}/a", "{}/a/b", "{}/"], ["x{}", "{}x"]),
        ("{}/+", ["{}/a", "{}/"], ["{}", "{}/a/b", "{}/a/"]),
        ("{}/+/c", ["{}/b/c", "{}//c"], ["{}/c", "{}/a/b/c"]),
        ("{}/+/+", ["{}/a/b", "{}//"], ["{}/a", "{}/a/b/c"]),
        ("+/{}", ["a/{}", "/{}"], ["{}", "a/b/{}"]),
        ("+/{}/#", ["/{}", "/{}/x/y"], ["{}/x"]),
        ("{}", ["{}"], ["/{}", "{}/", "{}/a"]),
        ("{}/", ["{}/"], ["{}", "{}/a"]),
    ],
)
def test_a_filter_takes_what_matches_and_nothing_else(
    open_peer: Callable[[], Peer], name: str, topic_filter: str, matching: list[str], others: list[str]
) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name)
    other.connect(name + "-p")
    peer.subscribe(topic_filter.format(name))
    for topic in others:
        other.publish(topic.format(name), qos=1)
    for topic in matching:
        other.publish(topic.format(name), qos=1)
    assert [peer.message().topic.decode() for _ in matching] == [topic.format(name) for topic in matching]
    peer.ping()


@pytest.mark.mqtt5("4.7.2-1")
@pytest.mark.parametrize("topic_filter", ["#", "+/#", "+/{}", "+/+"])
def test_a_leading_wildcard_takes_no_topic_that_begins_with_a_dollar(
    open_peer: Callable[[], Peer], name: str, topic_filter: str
) -> None:
    peer, other = open_peer(), open_peer()
    other.connect(name + "-p")
    other.publish(f"$own/{name}", b"retained", qos=1, retain=True)
    peer.connect(name)
    peer.send(subscribe([(topic_filter.format(name), 0)]))
    other.publish(f"$own/{name}", b"live", qos=1)
    other.publish(f"seen/{name}", b"end", qos=1)
    while (got := peer.receive()) and not got[1].endswith(b"end"):
        assert b"$own" not in got[1]
    named = open_peer()
    named.connect(name + "-n")
    named.subscribe(f"$own/{name}")
    assert named.message().payload == b"retained"
    other.publish(f"$own/{name}", b"", qos=1, retain=True)


@pytest.mark.mqtt5("4.7.3-3")
@pytest.mark.parametrize("size", [1, 1000, 65_535])
def test_a_topic_may_be_as_long_as_a_string(open_peer: Callable[[], Peer], name: str, size: int) -> None:
    peer = open_peer()
    peer.connect(name)
    topic = ("é" * size).encode()[:size] if size % 2 == 0 else b"l" * size
    answer = peer.subscribe(topic)
    assert answer.codes == [0]
    peer.publish(topic, b"x")
    assert peer.message().topic == topic
    peer.send(unsubscribe([topic]))
    assert peer.receive()[0] == 0xB0


@pytest.mark.mqtt5("4.7.3-4")
def test_topics_are_compared_as_they_are(open_peer: Callable[[], Peer], name: str) -> None:
    peer, other = open_peer(), open_peer()
    peer.connect(name)
    other.connect(name + "-p")
    composed, decomposed = f"{name}/\u00e9", f"{name}/e\u0301"
    peer.subscribe(composed)
    for topic in (decomposed, composed.upper(), composed + " ", composed + "/", "/" + composed, f"{name}//\u00e9"):
        other.publish(topic, b"another", qos=1)
    other.publish(composed, b"this", qos=1)
    got = peer.message()
    assert (got.topic.decode(), got.payload) == (composed, b"this")


# ---- shared subscriptions ----------------------------------------------------------------------------------------


@pytest.mark.mqtt5("4.8.2-1", "4.8.2-2", "4.13.1-1")
@pytest.mark.parametrize(
    "topic_filter",
    ["$share/", "$share//a", "$share/g", "$share/g/", "$share/g+/a", "$share/#/a", "$share/+/a", "$share/g/a#"],
)
def test_a_shared_subscription_that_is_not_formed_rightly_is_refused(peer: Peer, name: str, topic_filter: str) -> None:
    peer.connect(name)
    peer.send(subscribe([(topic_filter, 0)]))
    got = peer.receive()
    assert got[0] in {0x90, 0xE0}
    assert got[1][-1] in {MALFORMED, PROTOCOL_ERROR, 0x8F} if got[0] == 0x90 else got[1][0] >= 0x80


@pytest.mark.mqtt5("4.8.2-1", "4.8.2-2", "4.8.2-3", "3.8.4-8")
def test_each_message_goes_to_one_member_with_the_qos_that_was_granted_to_it(
    open_peer: Callable[[], Peer], name: str
) -> None:
    members = [open_peer() for _ in range(3)]
    for qos, member in enumerate(members):
        member.connect(f"{name}-{qos}")
        assert member.subscribe(f"$share/group/{name}/#", qos).codes == [qos]
    other = open_peer()
    other.connect(name + "-p")
    for i in range(12):
        other.publish(f"{name}/{i}", str(i).encode(), qos=2)
    seen: Counter[bytes] = Counter()
    for qos, member in enumerate(members):
        member.send(b"\xc0\x00")
        own = 0
        while (got := member.receive())[0] != 0xD0:
            assert got[0] >> 1 & 3 == qos
            size = int.from_bytes(got[1][:2], "big")
            seen[got[1][:2][:0] + got[1][2 : 2 + size]] += 1
            own += 1
            if qos == 1:
                member.send(packet(0x40, got[1][2 + size : 4 + size]))
        assert own  # everybody gets a part
    assert seen == Counter({f"{name}/{i}".encode(): 1 for i in range(12)})


@pytest.mark.mqtt5("4.8.2-1", "4.8.2-2")
def test_two_groups_and_an_ordinary_subscriber_each_get_all(open_peer: Callable[[], Peer], name: str) -> None:
    peers = [open_peer() for _ in range(3)]
    for i, topic_filter in enumerate((f"$share/one/{name}", f"$share/two/{name}", name)):
        peers[i].connect(f"{name}-{i}")
        peers[i].subscribe(topic_filter)
    other = open_peer()
    other.connect(name + "-p")
    for payload in (b"1", b"2", b"3"):
        other.publish(name, payload, qos=1)
    for peer in peers:
        assert [peer.message().payload for _ in range(3)] == [b"1", b"2", b"3"]
        peer.ping()


@pytest.mark.mqtt5("4.8.2-1")
def test_retained_messages_are_not_sent_to_a_shared_subscription(open_peer: Callable[[], Peer], name: str) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.publish(name, b"kept", qos=1, retain=True)
    peer.subscribe(f"$share/group/{name}")
    peer.ping()


@pytest.mark.mqtt5("4.8.2-4", "4.4.0-1")
def test_a_qos_2_message_is_completed_with_the_member_that_it_was_sent_to(
    open_peer: Callable[[], Peer], name: str
) -> None:
    first, second, other, again = (open_peer() for _ in range(4))
    first.connect(name + "-1", prop(0x11, 1000))
    first.subscribe(f"$share/group/{name}", 2)
    other.connect(name + "-p")
    other.publish(name, b"x", qos=2)
    sent = first.message()
    second.connect(name + "-2")
    second.subscribe(f"$share/group/{name}", 2)
    first.close()
    again.connect(name + "-1", prop(0x11, 1000), clean=False)
    got = again.acknowledged()
    assert (got.packet_id, got.payload, got.dup) == (sent.packet_id, b"x", True)
    second.ping()


@pytest.mark.mqtt5("4.8.2-5")
def test_a_qos_2_message_sent_to_a_member_whose_session_ends_goes_to_no_other(
    open_peer: Callable[[], Peer], name: str
) -> None:
    first, second, other = (open_peer() for _ in range(3))
    first.connect(name + "-1")
    first.subscribe(f"$share/group/{name}", 2)
    other.connect(name + "-p")
    other.publish(name, b"x", qos=2)
    assert first.message().payload == b"x"
    second.connect(name + "-2")
    second.subscribe(f"$share/group/{name}", 2)
    first.disconnect()
    second.ping()


@pytest.mark.mqtt5("4.8.2-6", "4.4.0-2")
@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_that_a_member_refused_goes_to_no_other(open_peer: Callable[[], Peer], name: str, qos: int) -> None:
    first, second, other = (open_peer() for _ in range(3))
    first.connect(name + "-1")
    first.subscribe(f"$share/group/{name}", 2)
    other.connect(name + "-p")
    other.publish(name, b"x", qos=qos)
    number = first.message().packet_id.to_bytes(2, "big")
    second.connect(name + "-2")
    second.subscribe(f"$share/group/{name}", 2)
    first.send(packet(0x40 if qos == 1 else 0x50, number, b"\x83"))
    first.ping()
    second.ping()


@pytest.mark.mqtt5("4.8.2-2")
def test_a_shared_subscription_ends_with_its_own_filter_only(open_peer: Callable[[], Peer], name: str) -> None:
    peer = open_peer()
    peer.connect(name)
    peer.subscribe(f"$share/group/{name}")
    peer.send(unsubscribe([name, f"$share/other/{name}", f"$share/group/{name}"]))
    first, body = peer.receive()
    assert (first, body[-3:]) == (0xB0, b"\x11\x11\x00")
    peer.publish(name, b"x", qos=1)
    peer.ping()


@pytest.mark.mqtt5("4.7.0-1", "4.7.2-1")
@pytest.mark.parametrize("topic", ["$SYS/broker/version", "$SYS", "$share/g/t"])
def test_what_a_client_publishes_under_the_servers_own_topics_is_refused(peer: Peer, name: str, topic: str) -> None:
    peer.connect(name)
    answer = peer.publish(topic, b"x", qos=1)
    assert answer is not None
    assert answer.codes[0] in {0x87, 0x90}
    peer.send(publish(topic))
    peer.ping()


@pytest.mark.mqtt5("4.7.3-1", "3.3.2-1")
def test_a_topic_of_one_character_is_enough(peer: Peer, name: str) -> None:
    peer.connect(name)
    peer.subscribe("/")
    peer.send(packet(0x30, field("/"), b"\x00x"))
    assert peer.message().topic == b"/"
