"""What local subscribers get."""

from __future__ import annotations

import asyncio

import pytest

from bridge.record import Properties
from gateway.broker.queue_limits import QueueLimits, Total
from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import PubAck, PubComp, PubRec, Unsubscribe, Version, Will
from tests.support.broker import FakeChannel, House, pubacks, run, subscribe

A0 = b"\x30\x04\x00\x01a0"


def reading(house: House, *filters: str, version: Version = Version.V311, **options: object) -> FakeChannel:
    client, channel = house.connect("reader", version)
    client.handle(subscribe(*filters, **options))
    channel.take()
    return channel


def publish(house: House, qos: int, *topics: str, **more: object) -> None:
    client, _ = house.connect("device", Version.V5)
    client.handle(run(qos, *topics, **more))
    house.store.commit()


@pytest.mark.parametrize(
    ("published", "asked", "first"), [(0, 2, 0x30), (1, 0, 0x30), (1, 2, 0x32), (2, 1, 0x32), (2, 2, 0x34)]
)
def test_a_message_comes_with_the_lower_of_both_qos(published: int, asked: int, first: int) -> None:
    house = House()
    channel = reading(house, "a", qos=asked)
    publish(house, published, "a")
    assert channel.take()[0] == first


def test_overlapping_subscriptions_give_one_message() -> None:
    house = House()
    channel = reading(house, "a", "#", "+")
    publish(house, 0, "a")
    assert channel.take() == A0


def test_mqtt_5_gets_its_subscription_identifiers_and_the_properties() -> None:
    house = House()
    channel = reading(house, "a", version=Version.V5, identifier=9)
    publish(house, 0, "a", properties=[Properties(content_type="t")])
    assert channel.take() == b"\x30\x0b\x00\x01a\x06\x03\x00\x01t\x0b\x090"


def test_no_local_keeps_ones_own_messages_away() -> None:
    house = House()
    client, channel = house.connect(version=Version.V5)
    client.handle(subscribe("a", no_local=True))
    channel.take()
    client.handle(run(1, "a"))
    house.store.commit()
    assert channel.take() == pubacks(1)


def test_ones_own_message_comes_after_its_puback() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(subscribe("a"))
    channel.take()
    client.handle(run(1, "a"))
    house.store.commit()
    assert channel.take() == pubacks(1) + A0


def test_retain_is_cleared_for_a_live_message_unless_it_is_asked_for_as_published() -> None:
    house = House()
    plain = reading(house, "a")
    client, published = house.connect("second", Version.V5)
    client.handle(subscribe("a", retain_as_published=True))
    published.take()
    publish(house, 0, "a", retain=True)
    assert plain.take()[0] == 0x30
    assert published.take()[0] == 0x31


def test_retained_messages_come_after_suback_with_retain_set() -> None:
    house = House()
    publish(house, 1, "a", retain=True)
    client, channel = house.connect("reader")
    client.handle(subscribe("#", qos=1))
    house.store.commit()
    assert channel.take() == b"\x90\x03\x00\x4d\x01" + b"\x33\x06\x00\x01a\x00\x010"


@pytest.mark.parametrize(("handling", "first", "second"), [(0, True, True), (1, True, False), (2, False, False)])
def test_retain_handling_says_when_retained_messages_come(handling: int, first: bool, second: bool) -> None:
    house = House()
    publish(house, 0, "a", retain=True)
    client, channel = house.connect("reader", Version.V5)
    for expected in (first, second):
        client.handle(subscribe("a", retain_handling=handling))
        house.store.commit()
        assert (b"\x31" in channel.take()) is expected


def test_messages_wait_for_a_durable_subscriber_that_is_offline() -> None:
    house = House()
    client, _ = house.connect("reader", clean_start=False)
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    client.lost()
    publish(house, 1, "a", "a")
    publish(house, 0, "a")
    assert house.broker.counters.dropped == {"offline": 1}
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x32\x06\x00\x01a\x00\x010" + b"\x32\x06\x00\x01a\x00\x021"


def test_what_was_not_acknowledged_comes_again_with_dup_on_the_next_connection() -> None:
    house = House()
    client, channel = house.connect("reader", clean_start=False)
    client.handle(subscribe("a", qos=2))
    house.store.commit()
    publish(house, 2, "a", "a", "a")
    channel.take()
    client.handle(PubRec(packet_id=1))
    client.handle(PubRec(packet_id=3))
    assert channel.take() == b""
    house.store.commit()
    client.handle(PubComp(packet_id=3))
    assert channel.take() == b"\x62\x02\x00\x01\x62\x02\x00\x03"
    client.lost()
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x62\x02\x00\x01" + b"\x3c\x06\x00\x01a\x00\x021"


def test_no_more_are_in_flight_than_the_subscribers_receive_maximum() -> None:
    house = House()
    client, channel = house.connect("reader", Version.V5, receive_maximum=2)
    client.handle(subscribe("a", qos=1))
    channel.take()
    publish(house, 1, "a", "a", "a")
    assert channel.take().count(b"\x00\x01a") == 2
    client.handle(PubAck(packet_id=1))
    assert channel.take() == b"\x32\x07\x00\x01a\x00\x03\x002"


def test_a_message_over_the_subscribers_maximum_packet_size_is_dropped_and_counted() -> None:
    house = House()
    client, channel = house.connect("reader", Version.V5, maximum_packet_size_bytes=30, receive_maximum=1)
    client.handle(subscribe("a", qos=1))
    channel.take()
    publish(house, 1, "a", "a", payloads=[b"x" * 40, b"small"])
    assert channel.take().endswith(b"small")
    assert house.broker.counters.dropped == {"too_large": 1}


def test_a_subscriber_that_does_not_read_has_a_bounded_queue() -> None:
    house = House(queue_limits=QueueLimits(max_messages=3))
    channel = reading(house, "#", qos=1)
    channel.is_writable = False
    publish(house, 1, *"abcde")
    assert channel.writes == []
    assert house.broker.counters.dropped == {"queue_full": 2}
    channel.is_writable = True
    client = house.broker.sessions["reader"].client
    assert client is not None
    client.pump()
    assert channel.take().count(b"\x32\x06") == 3


def test_the_expiry_interval_of_a_message_that_waited_is_what_is_left_of_it() -> None:
    house = House()
    client, _ = house.connect("reader", Version.V5, clean_start=False, session_expiry_interval_s=1000)
    client.handle(subscribe("#", qos=1))
    house.store.commit()
    client.lost()
    lives = [Properties(message_expiry_interval=each) for each in (10, 100)]
    publish(house, 1, "a", "b", properties=lives)
    house.pass_time(30)
    _, channel = house.knock("reader", Version.V5, clean_start=False, session_expiry_interval_s=1000)
    assert channel.take().endswith(b"\x32\x0c\x00\x01b\x00\x02\x05\x02\x00\x00\x00\x461")


def test_nothing_comes_after_unsubscribe() -> None:
    house = House()
    client, channel = house.connect("reader")
    client.handle(subscribe("a"))
    client.handle(Unsubscribe(packet_id=3, topic_filters=("a",)))
    assert channel.take()[5:] == b"\xb0\x02\x00\x03"
    publish(house, 0, "a")
    assert channel.writes == []


@pytest.mark.parametrize("packet", [PubAck(packet_id=1), PubComp(packet_id=1)])
def test_an_acknowledgement_of_the_wrong_kind_is_an_error_and_an_unknown_one_is_not(packet: PubAck | PubComp) -> None:
    house = House()
    client, _ = house.connect("reader")
    client.handle(packet)
    client.handle(subscribe("a", qos=2))
    publish(house, 2, "a")
    with pytest.raises(ProtocolError):
        client.handle(packet)


def test_a_pubrec_from_before_a_restart_is_answered_so_that_the_client_can_finish() -> None:
    client, channel = House().connect(version=Version.V5)
    client.handle(PubRec(packet_id=9))
    assert channel.take() == b"\x62\x02\x00\x09"


def test_a_filter_that_a_subscribe_repeats_gives_what_is_retained_once() -> None:
    house = House()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "t", retain=True))
    house.store.commit()
    client, channel = house.connect()
    client.handle(subscribe("t", "t", "t"))
    house.store.commit()
    assert channel.take().count(b"\x00\x01t") == 1


@pytest.mark.parametrize("identifier", [None, 7])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_subscriber_that_leaves_before_the_commit_ends_takes_no_memory(qos: int, identifier: int | None) -> None:
    total = Total()
    house = House(queue_limits=QueueLimits(total=total))
    reader, _ = house.connect("reader", Version.V5)
    reader.handle(subscribe("a", qos=qos, identifier=identifier))
    publisher, channel = house.connect("publisher")
    publisher.handle(run(qos, "a", "a"))
    reader.lost()
    house.store.commit()
    assert (total.held_bytes, total.entries) == (0, 0)
    assert house.broker.counters.dropped == {"offline": 2}
    assert bool(channel.take()) is (qos > 0)


async def test_a_will_comes_after_what_its_client_published_before() -> None:
    """[MQTT-4.6.0-5]; also when the store tells of the commit with the will first."""
    house = House()
    reader, to_reader = house.connect("reader")
    reader.handle(subscribe("state"))
    other, _ = house.connect("other", will=Will(topic="else", payload=b"", qos=0, retain=False))
    client, _ = house.connect("device", will=Will(topic="state", payload=b"offline", qos=0, retain=False))
    to_reader.take()
    other.lost()
    client.handle(run(0, "state", payloads=[b"online"]))
    client.lost()
    house.store.commit()
    await asyncio.sleep(0)
    data = to_reader.take()
    assert 0 < data.find(b"online") < data.find(b"offline")
