"""Wills (MQTT 5 §3.1.2.5): when they are published, and what becomes of them when the gateway ends."""

from __future__ import annotations

import asyncio

import pytest

from bridge.record import Properties
from config.settings import Limits, Retained, Sessions
from gateway.broker.session import NEVER_EXPIRES
from gateway.mqtt.errors import TopicNameInvalid
from gateway.mqtt.packets import Disconnect, Version, Will
from gateway.spool.ports import Outcome
from tests.support.broker import House, run, subscribe

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}


def a_will(delay_interval_s: int = 0, **more: object) -> Will:
    values = {"topic": "gone", "payload": b"x", "qos": 1, "retain": False} | more
    return Will(delay_interval_s=delay_interval_s, **values)  # type: ignore[arg-type]


def published(house: House) -> list[bytes]:
    house.store.commit()
    return [each.topic for each in house.store.stored]


def killed(house: House) -> House:
    """The gateway dies with what is on disk, and another one starts."""
    return house.restarted()


async def stop(house: House) -> None:
    draining = asyncio.create_task(house.broker.drain())
    await asyncio.sleep(0)
    house.store.commit()
    await draining


@pytest.mark.parametrize(("delay", "expiry", "waits_s"), [(10, 100, 10), (100, 10, 10), (100, 100, 100), (5, 0, 0)])
def test_a_will_waits_for_its_delay_or_the_end_of_its_session_whichever_is_first(
    delay: int, expiry: int, waits_s: int
) -> None:
    """[MQTT-3.1.2-8], §3.1.3.2.2; a delay beyond the session's expiry does not hold it."""
    house = House()
    client, _ = house.connect(**DURABLE_5 | {"session_expiry_interval_s": expiry}, will=a_will(delay))
    client.lost()
    if waits_s:
        house.pass_time(waits_s - 0.5)
        assert published(house) == []
        house.pass_time(1)
    assert published(house) == [b"gone"]
    house.pass_time(1000)
    assert published(house) == [b"gone"]


def test_a_will_is_on_disk_before_connack_says_that_the_client_is_in() -> None:
    house = House()
    client, channel = house.knock(**DURABLE_5, will=a_will())
    assert channel.writes == []
    house.store.commit()
    assert client is not None
    assert house.restarted().broker.sessions["device"].will == client.session.will


def test_a_will_comes_back_with_everything_it_was_made_of() -> None:
    properties = Properties(
        content_type="text/plain", user_property=(("a", "b"), ("a", "c")), message_expiry_interval=9
    )
    will = a_will(7, payload=b"\x00\xff", qos=2, retain=True, properties=properties)
    house = House()
    house.connect(**DURABLE_5, will=will)
    restored = house.restarted().broker.sessions["device"].will
    assert restored is not None
    assert restored.properties is not None
    assert restored.properties.to_map() == properties.to_map()
    assert (restored.topic, restored.payload, restored.qos, restored.retain, restored.delay_interval_s) == (
        "gone",
        b"\x00\xff",
        2,
        True,
        7,
    )


@pytest.mark.parametrize("is_connected", [True, False])
def test_after_a_crash_a_will_is_published_when_its_delay_has_passed_once_more(is_connected: bool) -> None:
    """§3.1.2.5: a server that fails may put the publishing off until it is back."""
    house = House()
    client, _ = house.connect(**DURABLE_5, will=a_will(10))
    if not is_connected:
        client.lost()
    house = killed(house)
    house.pass_time(9)
    assert published(house) == []
    house.pass_time(2)
    assert published(house) == [b"gone"]
    again = killed(house)
    again.pass_time(200)
    assert published(again) == []


def test_after_a_crash_a_will_without_a_delay_is_published_even_to_a_client_that_is_back_at_once() -> None:
    house = House()
    house.connect(**DURABLE_5, will=a_will())
    house = killed(house)
    house.knock(**DURABLE_5)
    assert published(house) == [b"gone"]


def test_after_a_crash_a_client_that_is_back_within_the_delay_calls_its_will_off() -> None:
    """[MQTT-3.1.3-9]"""
    house = House()
    house.connect(**DURABLE_5, will=a_will(10))
    house = killed(house)
    house.pass_time(9)
    house.connect(**DURABLE_5)
    house.pass_time(200)
    assert published(house) == []
    assert killed(house).broker.sessions["device"].will is None


def test_a_deleted_will_is_not_published_after_a_crash() -> None:
    """[MQTT-3.1.2-10]"""
    house = House()
    client, _ = house.connect(**DURABLE_5, will=a_will(10))
    client.handle(Disconnect())
    house.store.commit()
    house = killed(house)
    house.pass_time(50)
    assert published(house) == []


def test_a_will_leaves_the_disk_in_the_commit_that_has_its_record() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5, will=a_will())
    client.lost()
    house.store.commit(Outcome.FAILED)
    house = killed(house)
    house.pass_time(1)
    assert published(house) == [b"gone"]
    house = killed(house)
    house.pass_time(1)
    assert published(house) == []


async def test_a_gateway_that_stops_publishes_wills_without_a_delay_and_keeps_the_others() -> None:
    """§3.1.2.5; see gateway/broker/will_watch.py."""
    house = House()
    house.connect("prompt", **DURABLE_5, will=a_will(topic="prompt"))
    house.connect("fleeting", Version.V5, will=a_will(10, topic="fleeting"))
    house.connect("delayed", **DURABLE_5, will=a_will(10, topic="delayed"))
    away, _ = house.connect("away", **DURABLE_5, will=a_will(10, topic="away"))
    away.lost()
    await stop(house)
    assert sorted(published(house)) == [b"fleeting", b"prompt"]
    house = killed(house)
    house.pass_time(11)
    assert sorted(published(house)) == [b"away", b"delayed"]


async def test_a_client_that_is_back_soon_after_a_stop_calls_its_delayed_will_off() -> None:
    house = House()
    house.connect(**DURABLE_5, will=a_will(10))
    await stop(house)
    house = killed(house)
    house.connect(**DURABLE_5, will=a_will(10))
    house.pass_time(50)
    assert published(house) == []


def test_a_clean_start_publishes_the_delayed_will_of_the_session_it_ends() -> None:
    """[MQTT-3.1.2-4], §3.1.3.2.2: the session ends."""
    house = House()
    client, _ = house.connect(**DURABLE_5, will=a_will(50))
    client.lost()
    house.connect(version=Version.V5)
    assert published(house) == [b"gone"]


def test_a_take_over_within_the_session_publishes_no_delayed_will_and_one_without_a_delay() -> None:
    """[MQTT-3.1.3-9], and the note of §3.1.4 on the Will Message of the existing connection."""
    house = House()
    house.connect(**DURABLE_5, will=a_will(50, topic="delayed"))
    house.connect(**DURABLE_5, will=a_will(topic="prompt"))
    assert published(house) == []
    house.connect(**DURABLE_5)
    assert published(house) == [b"prompt"]
    house.pass_time(60)
    assert published(house) == [b"prompt"]


def test_disconnect_with_a_shorter_expiry_shortens_the_wait_of_the_will() -> None:
    """§3.14.2.2.2 with §3.1.3.2.2."""
    house = House()
    client, _ = house.connect(**DURABLE_5, will=a_will(50))
    client.handle(Disconnect(reason_code=0x04, session_expiry_interval_s=5))
    house.pass_time(6)
    assert published(house) == [b"gone"]
    assert "device" not in house.broker.sessions


def test_a_session_that_never_expires_keeps_its_will_for_its_whole_delay() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_5 | {"session_expiry_interval_s": NEVER_EXPIRES}, will=a_will(5000))
    client.lost()
    house.pass_time(4999)
    assert published(house) == []
    house.pass_time(2)
    assert published(house) == [b"gone"]


def test_a_will_is_delivered_to_local_subscribers_after_a_restart() -> None:
    house = House()
    house.connect(**DURABLE_5, will=a_will(1))
    house = killed(house)
    reader, channel = house.connect("reader")
    reader.handle(subscribe("gone"))
    channel.take()
    house.pass_time(2)
    house.store.commit()
    assert channel.take() == b"\x30\x07\x00\x04gonex"


async def test_a_retained_will_comes_once_to_one_who_subscribed_just_before_it() -> None:
    house = House()
    reader, channel = house.connect("reader")
    dying, _ = house.connect("dying", will=a_will(retain=True, payload=b"bye"))
    reader.handle(subscribe("gone"))
    dying.lost()
    house.store.commit()
    for _ in range(3):
        await asyncio.sleep(0)
    assert channel.take().count(b"bye") == 1


@pytest.mark.parametrize("delay_interval_s", [0, 10])
def test_a_will_that_was_taken_is_published_though_its_topic_has_more_levels_than_are_allowed_now(
    delay_interval_s: int,
) -> None:
    house = House()
    client, _ = house.connect("lasting", **DURABLE_5, will=a_will(delay_interval_s, topic="a/b/c"))
    brief, _ = house.connect("brief", will=a_will(topic="a/b/d"))
    house.broker.limit(sessions=Sessions(), retained=Retained(), limits=Limits(max_topic_levels=2))
    for each in (client, brief):
        each.lost()
    assert list(house.broker.sessions) == ["lasting"]
    house.pass_time(11)
    assert sorted(published(house)) == [b"a/b/c", b"a/b/d"]
    with pytest.raises(TopicNameInvalid):
        house.connect("later")[0].handle(run(0, "a/b/c"))


async def test_a_stop_waits_for_what_was_promised_whatever_the_levels_of_a_will() -> None:
    house = House()
    _, channel = house.connect(will=a_will(topic="a/b/c"))
    house.broker.limit(sessions=Sessions(), retained=Retained(), limits=Limits(max_topic_levels=2))
    await stop(house)
    assert channel.is_closed
    assert published(house) == [b"a/b/c"]
