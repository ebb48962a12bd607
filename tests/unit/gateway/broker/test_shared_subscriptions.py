"""Shared subscriptions (MQTT 5 §4.8.2): members take turns, as far as they are there."""

from __future__ import annotations

import pytest

from config.settings import Limits, Retained, Sessions
from gateway.broker.held import Held
from gateway.broker.session import Session
from gateway.broker.shared_group import SharedGroup
from gateway.broker.turns import MAX_LOOKS
from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import Disconnect, Subscription, Unsubscribe, Version
from tests.support.broker import FakeChannel, House, run, subscribe

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
SHARED = "$share/g/a/+"


def publish(house: House, *topics: str, qos: int = 0, **more: object) -> None:
    publisher, _ = house.connect("publisher", Version.V5)
    publisher.handle(run(qos, *topics, **more))  # type: ignore[arg-type]
    house.store.commit()


def member(house: House, client_id: str, qos: int = 0, **more: object) -> FakeChannel:
    client, channel = house.connect(client_id, **({"version": Version.V5} | more))  # type: ignore[arg-type]
    client.handle(subscribe(SHARED, qos=qos))
    house.store.commit()
    channel.take()
    return channel


def payloads(channel: FakeChannel) -> list[bytes]:
    """The last byte of each QoS 0 PUBLISH that was written."""
    data = channel.take()
    found = []
    while data:
        size = 2 + data[1]
        found.append(data[size - 1 : size])
        data = data[size:]
    return found


def test_each_message_goes_to_one_member_and_they_take_turns() -> None:
    """§4.8.2.2"""
    house = House()
    channels = [member(house, f"m{i}") for i in range(3)]
    publish(house, *["a/b"] * 6)
    got = [payloads(channel) for channel in channels]
    assert [len(each) for each in got] == [2, 2, 2]
    assert sorted(each for part in got for each in part) == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_groups_are_apart_from_each_other_and_from_ordinary_subscriptions() -> None:
    house = House()
    first = member(house, "first")
    other, to_other = house.connect("other", Version.V5)
    other.handle(subscribe("$share/h/a/b", "a/#"))
    to_other.take()
    publish(house, "a/b")
    assert len(payloads(first)) == 1
    assert len(payloads(to_other)) == 2


def test_each_member_gets_messages_with_the_qos_it_was_granted() -> None:
    """[MQTT-4.8.2-3]"""
    house = House()
    zero, one = member(house, "zero", 0), member(house, "one", 1)
    publish(house, "a/b", "a/b", qos=1)
    assert zero.take()[0] == 0x30
    assert one.take()[0] == 0x32


def test_an_unsubscribe_or_the_end_of_a_session_makes_a_member_leave() -> None:
    house = House()
    first, second = member(house, "first"), member(house, "second")
    client = house.broker.sessions["first"].client
    assert client is not None
    client.handle(Unsubscribe(packet_id=1, topic_filters=(SHARED,)))
    assert first.take() == b"\xb0\x04\x00\x01\x00\x00"
    publish(house, "a/b", "a/b")
    assert (payloads(first), len(payloads(second))) == ([], 2)
    last = house.broker.sessions["second"].client
    assert last is not None
    last.lost()
    assert not house.broker.shared
    assert house.broker.subscribing.groups == {}
    assert not house.broker.routes[b"a/b"].groups


def test_a_member_that_is_away_gets_nothing_while_another_is_there() -> None:
    house = House()
    member(house, "away", 1, **DURABLE_5)
    away = house.broker.sessions["away"].client
    assert away is not None
    away.lost()
    there = member(house, "there", 1)
    publish(house, "a/b", "a/b", qos=1)
    assert there.take().count(b"a/b") == 2


def test_where_all_are_away_messages_wait_and_a_member_that_comes_back_takes_turns_again() -> None:
    house = House()
    member(house, "away", 1, **DURABLE_5)
    away = house.broker.sessions["away"].client
    assert away is not None
    away.lost()
    publish(house, "a/b", "a/c", qos=1)
    _, channel = house.knock("away", **DURABLE_5)
    house.store.commit()
    data = channel.take()
    assert data.count(b"a/b") == data.count(b"a/c") == 1
    publish(house, "a/d", qos=1)
    assert b"a/d" in channel.take()


def test_a_member_that_does_not_read_is_passed_over() -> None:
    house = House()
    slow, quick = member(house, "slow"), member(house, "quick")
    slow.is_writable = False
    publish(house, "a/b", "a/b", "a/b")
    assert len(payloads(quick)) == 3


def test_a_shared_subscription_is_there_after_a_restart() -> None:
    house = House()
    member(house, "away", 1, **DURABLE_5)
    house = house.restarted()
    assert list(house.broker.subscribing.groups) == [SHARED]
    publish(house, "a/b", qos=1)
    _, channel = house.knock("away", **DURABLE_5)
    house.store.commit()
    assert b"a/b" in channel.take()


def test_no_local_on_a_shared_subscription_is_a_protocol_error_and_nothing_is_subscribed() -> None:
    """[MQTT-3.8.3-4]"""
    house = House()
    client, _ = house.connect(version=Version.V5)
    with pytest.raises(ProtocolError):
        client.handle(subscribe("a", SHARED, no_local=True))
    assert client.session.subscriptions == {}


def test_a_shared_subscription_gets_no_retained_messages() -> None:
    """§4.8.2: no Retained Messages are sent to the Session when it first subscribes."""
    house = House()
    publish(house, "a/b", retain=True)
    channel = member(house, "m")
    assert channel.take() == b""


def test_a_publisher_may_be_the_member_that_gets_its_message() -> None:
    house = House()
    client, channel = house.connect(version=Version.V5)
    client.handle(subscribe(SHARED))
    channel.take()
    client.handle(run(0, "a/b"))
    house.store.commit()
    assert len(payloads(channel)) == 1


def test_a_client_of_3_1_1_may_share_too() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(subscribe(SHARED, qos=1))
    assert channel.take() == b"\x90\x03\x00\x4d\x01"


def test_a_second_subscribe_changes_the_member_and_does_not_double_it() -> None:
    house = House()
    channel = member(house, "m", 0)
    client = house.broker.sessions["m"].client
    assert client is not None
    client.handle(subscribe(SHARED, qos=1))
    channel.take()
    publish(house, "a/b", qos=1)
    assert channel.take()[0] == 0x32


def test_what_waits_for_a_member_goes_to_another_when_its_session_ends() -> None:
    """§4.8.2.4: it was never sent, so it is sent to another member of the shared subscription."""
    house = House()
    member(house, "away", 1, **DURABLE_5)
    away = house.broker.sessions["away"].client
    assert away is not None
    away.handle(Disconnect())
    publish(house, "a/b", qos=1)
    there = member(house, "there", 1)
    house.pass_time(101)
    house.store.commit()
    assert b"a/b" in there.take()


# ---- SharedGroup -----------------------------------------------------------------------------------------------------


class _Client:
    def __init__(self) -> None:
        self.is_ready = True


def a_session(name: str, *, is_connected: bool = True) -> Session:
    session = Session(name, 100)
    if is_connected:
        session.client = _Client()  # type: ignore[assignment]
    return session


HELD = Held(subscription=Subscription(topic_filter=SHARED, qos=1))


def test_nobody_is_picked_where_nobody_is() -> None:
    group = SharedGroup(SHARED, "a/+")
    assert group.pick("a/b") is None
    session = a_session("m")
    assert group.join(session, HELD)
    assert not group.join(session, HELD)
    assert group.leave(session)
    assert not group.leave(session)
    assert group.pick("a/b") is None


def test_those_who_are_behind_are_picked_when_all_are_and_in_turn() -> None:
    group = SharedGroup(SHARED, "a/+")
    members = [a_session(str(i)) for i in range(MAX_LOOKS + 5)]
    for each in members:
        each.client.is_ready = False  # type: ignore[union-attr,misc]
        group.join(each, HELD)
    group.join(a_session("away", is_connected=False), HELD)
    picked = [group.pick("a/b") for _ in members]
    assert all(each is not None and each[0].client is not None for each in picked)
    assert len({each[0] for each in picked if each is not None}) > 1


def test_a_member_whose_connection_ended_is_found_out_when_its_turn_comes() -> None:
    group = SharedGroup(SHARED, "a/+")
    gone, there = a_session("gone"), a_session("there")
    group.join(gone, HELD)
    group.join(there, HELD)
    gone.client = None
    assert [group.pick("a/b") for _ in range(3)] == [(there, HELD)] * 3
    there.client = None
    assert {group.pick("a/b") for _ in range(2)} == {(there, HELD), (gone, HELD)}
    there.client = _Client()  # type: ignore[assignment]
    group.arrived(there)
    assert [group.pick("a/b") for _ in range(3)] == [(there, HELD)] * 3


def test_who_may_not_read_the_topic_is_passed_over() -> None:
    class Blind:
        is_unlimited = False

        def may_publish(self, topic: str) -> bool:
            return False

        def may_subscribe(self, topic_filter: str) -> bool:
            return True

        def may_read(self, topic: str) -> bool:
            return topic == "a/open"

    group = SharedGroup(SHARED, "a/+")
    blind, seeing = a_session("blind"), a_session("seeing", is_connected=False)
    blind.rights = Blind()
    group.join(blind, HELD)
    assert group.pick("a/b") is None
    group.join(seeing, HELD)
    assert group.pick("a/b") == (seeing, HELD)
    assert group.pick("a/open") == (blind, HELD)


class Reading:
    """May read these topics; counts how often it was asked."""

    is_unlimited = False

    def __init__(self, *topics: str) -> None:
        self.topics = set(topics)
        self.asked = 0

    def may_publish(self, topic: str) -> bool:
        return topic in self.topics

    def may_subscribe(self, topic_filter: str) -> bool:
        return bool(topic_filter)

    def may_read(self, topic: str) -> bool:
        self.asked += 1
        return topic in self.topics


def test_members_who_may_not_read_a_topic_are_asked_once_and_not_with_each_message() -> None:
    house = House()
    member(house, "away", 1, clean_start=False, session_expiry_interval_s=100)
    house.broker.sessions["away"].client.lost()  # type: ignore[union-attr]
    blind = [Reading("a/else") for _ in range(50)]
    for number, rights in enumerate(blind):
        member(house, f"b{number}")
        house.broker.sessions[f"b{number}"].rights = rights
    house.broker.routes.clear()
    publish(house, *["a/b"] * 20, qos=1)
    publish(house, *["a/b"] * 20, qos=1)
    assert [rights.asked for rights in blind] == [1] * 50
    assert house.broker.sessions["away"].outgoing.queued == 40
    assert house.broker.routes[b"a/b"].groups == house.broker.routes[b"a/c"].groups


def test_who_comes_leaves_or_may_read_more_takes_turns_at_once() -> None:
    house = House()
    first = member(house, "first")
    blind = member(house, "blind")
    rights = Reading("a/b")
    house.broker.sessions["blind"].rights = Reading()
    house.broker.routes.clear()
    publish(house, *["a/b"] * 4)
    assert (len(payloads(first)), len(payloads(blind))) == (4, 0)
    third = member(house, "third")
    publish(house, *["a/b"] * 4)
    assert (len(payloads(first)), len(payloads(blind)), len(payloads(third))) == (2, 0, 2)
    house.broker.sessions["first"].client.handle(Unsubscribe(packet_id=1, topic_filters=(SHARED,)))  # type: ignore[union-attr]
    first.take()
    house.broker.sessions["blind"].rights = rights
    house.broker.routes.clear()
    publish(house, *["a/b"] * 4)
    assert (len(payloads(first)), len(payloads(blind)), len(payloads(third))) == (0, 2, 2)
    house.broker.sessions["third"].client.lost()  # type: ignore[union-attr]
    publish(house, *["a/b"] * 4)
    assert len(payloads(blind)) == 4


def test_a_shared_subscription_may_have_as_many_levels_as_the_operator_lets_a_filter_have() -> None:
    levels = 200
    topic = "/".join("a" * levels)
    house = House()
    house.broker.limit(sessions=Sessions(), retained=Retained(), limits=Limits(max_topic_levels=levels))
    client, channel = house.connect("deep", **DURABLE_5)  # type: ignore[arg-type]
    client.handle(subscribe(f"$share/g/{topic}"))
    house.store.commit()
    channel.take()
    publish(house, topic)
    assert len(channel.take()) > len(topic)
    again = house.restarted()  # with the limit that is the default, which is lower
    assert list(again.broker.subscribing.groups) == [f"$share/g/{topic}"]
