"""Retained messages for new subscriptions: all of them, each once, a little at a time (MQTT 5 §3.3.1.3, §3.8.4)."""

from __future__ import annotations

import asyncio

import pytest

from config import settings
from gateway.mqtt.packets import PubAck, Unsubscribe, Version
from tests.support.broker import FakeChannel, House, run, subscribe
from tests.support.store import FakeStore


def a_house(count: int, **limits: int) -> House:
    house = House(limits=settings.Sessions(**limits))
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, *[f"t/{i:05}" for i in range(count)], retain=True))
    house.store.commit()
    return house


def topics(channel: FakeChannel) -> list[bytes]:
    """Of every PUBLISH that was written since the last call; each has a topic of seven bytes."""
    data = channel.take()
    return [data[at + 2 : at + 9] for at in range(len(data)) if data[at : at + 4] == b"\x00\x07t/"]


@pytest.mark.parametrize("qos", [0, 1])
def test_a_subscriber_gets_more_retained_messages_than_its_queue_holds(qos: int) -> None:
    """[MQTT-3.3.1-9]: all of them; the queue is no limit to what is retained."""
    house = a_house(3000, max_queued_messages=100)
    client, channel = house.connect("reader", receive_maximum=20)
    client.handle(subscribe("t/+", qos=qos))
    house.store.commit()
    assert topics(channel) == [b"t/%05d" % i for i in range(3000)]
    assert client.session.feed is None
    assert not house.broker.counters.dropped


def test_they_come_as_the_subscriber_acknowledges_them() -> None:
    house = House(limits=settings.Sessions(max_queued_messages=100))
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, *[f"t/{i:05}" for i in range(1000)], retain=True))
    house.store.commit()
    client, channel = house.connect("reader", Version.V5, receive_maximum=20)
    client.handle(subscribe("t/#", qos=1))
    house.store.commit()
    seen = topics(channel)
    assert len(seen) == 20
    assert client.session.outgoing.queued <= 100
    number = 0
    while len(seen) < 1000:
        number += 1
        client.handle(PubAck(packet_id=number))
        seen += topics(channel)
    assert seen == [b"t/%05d" % i for i in range(1000)]


def test_they_wait_for_a_subscriber_that_does_not_read() -> None:
    house = a_house(1000, max_queued_messages=100)
    client, channel = house.connect("reader")
    channel.is_writable = False
    client.handle(subscribe("t/#"))
    house.store.commit()
    assert topics(channel) == []
    assert client.session.outgoing.queued <= 100
    channel.is_writable = True
    client.pump()
    assert len(topics(channel)) == 1000


def test_they_stop_when_the_subscription_does() -> None:
    house = a_house(1000)
    client, channel = house.connect("reader")
    channel.is_writable = False
    client.handle(subscribe("t/#"))
    house.store.commit()
    client.handle(Unsubscribe(packet_id=1, topic_filters=("t/#",)))
    channel.is_writable = True
    client.pump()
    assert len(topics(channel)) == 0
    assert client.session.feed is None


def test_a_durable_subscriber_gets_the_rest_on_its_next_connection() -> None:
    house = a_house(1000)
    client, channel = house.connect("reader", clean_start=False)
    channel.is_writable = False
    client.handle(subscribe("t/#"))
    house.store.commit()
    client.lost()
    _, channel = house.knock("reader", clean_start=False)
    assert len(topics(channel)) == 1000


def test_one_published_just_before_the_subscription_comes_once_and_one_just_after_it_too() -> None:
    """[MQTT-3.3.1-9]: neither commit has ended when SUBSCRIBE comes."""
    house = House()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(0, "t/00001", retain=True))
    earlier = house.store.close_commit()
    publisher.handle(run(0, "t/00002", retain=True))
    client, channel = house.knock("reader")
    assert client is not None
    client.handle(subscribe("t/#"))
    publisher.handle(run(0, "t/00003", retain=True))
    house.store.end_commit(earlier)
    house.store.commit()
    data = b"".join(channel.writes)
    assert sorted(topics(channel)) == [b"t/00001", b"t/00002", b"t/00003"]
    assert b"\x30\x0a\x00\x07t/00003" in data  # as it comes: not as a retained one
    assert b"\x31\x0a\x00\x07t/00002" in data


async def test_what_is_retained_with_the_subscriptions_own_commit_is_given_whoever_hears_of_its_end_first() -> None:
    house = House(store=FakeStore())
    reader, channel = house.knock("reader")
    assert reader is not None
    reader.handle(run(1, "other"))  # it waits for the commit before the publisher does
    publisher, _ = house.knock("publisher")
    assert publisher is not None
    publisher.handle(run(0, "t/00001", retain=True))
    reader.handle(subscribe("t/#"))
    house.store.commit()
    await asyncio.sleep(0)
    assert topics(channel) == [b"t/00001"]


def test_a_filter_that_is_subscribed_to_again_begins_anew_and_is_walked_through_once() -> None:
    house = a_house(1000)
    client, channel = house.connect("reader")
    channel.is_writable = False
    for _ in range(100):
        client.handle(subscribe("t/#"))
        house.store.commit()
    channel.is_writable = True
    client.pump()
    assert 1000 <= len(topics(channel)) <= 1000 + 128


def test_messages_that_are_too_large_for_the_subscriber_do_not_hold_up_those_behind_them() -> None:
    """[MQTT-3.1.2-25]"""
    house = House()
    publisher, _ = house.connect("publisher")
    for i in range(300):
        publisher.handle(run(1, f"t/{i:05}", retain=True, payloads=[bytes(100)]))
    publisher.handle(run(1, "t/99999", retain=True))
    house.store.commit()
    durable = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
    client, channel = house.connect("reader", **durable, maximum_packet_size_bytes=60)
    client.handle(subscribe("t/#", qos=1))
    for _ in range(10):
        house.store.commit()
    assert topics(channel) == [b"t/99999"]
    assert house.broker.counters.dropped["too_large"] == 300


def test_a_subscription_that_a_take_over_overtakes_gives_the_new_connection_what_is_retained() -> None:
    house = a_house(5)
    first, _ = house.connect("reader", clean_start=False)
    first.handle(subscribe("t/#"))
    second, channel = house.knock("reader", clean_start=False)
    assert second is not None
    house.store.commit()
    assert len(topics(channel)) == 5


def test_a_subscriber_that_acknowledges_nothing_cannot_pile_up_walks() -> None:
    house = House()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, *[f"t/{i:05}" for i in range(200)], retain=True))
    house.store.commit()
    client, _ = house.connect("reader", Version.V5, receive_maximum=1)
    client.handle(subscribe("t/#", qos=1))
    house.store.commit()
    for i in range(50):
        client.handle(subscribe(f"other/{i}/#", qos=1))
        house.store.commit()
        client.handle(Unsubscribe(packet_id=9, topic_filters=(f"other/{i}/#",)))
        house.store.commit()
    assert client.session.feed is not None
    assert len(client.session.feed._walks) <= 2
