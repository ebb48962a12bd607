"""What an operator sees who looks on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.record import Properties
from config.settings import Stream
from gateway.broker.message import Message
from gateway.broker.routes import SLOW
from gateway.broker.watch import MAX_PAYLOAD_BYTES, MAX_PENDING, MAX_PER_S, Watch
from gateway.mqtt.errors import TopicFilterInvalid
from gateway.mqtt.packets import Version, Will
from gateway.spool.ports import Outcome
from tests.support.broker import House, run, subscribe

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}


def seen(watch: Watch) -> list[tuple[str, str, bytes]]:
    return [(each.client, each.topic, each.payload) for each in watch.take()]


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("streams", [(Stream(),), (Stream(topics=("else/#",)),)])
def test_it_sees_what_its_filters_match_once_that_is_on_disk(qos: int, streams: tuple[Stream, ...]) -> None:
    house = House(*streams)
    watch = house.broker.watch(["plant/+/temp", "plant/a/#"])
    client, _ = house.connect()
    client.handle(run(qos, "plant/a/temp", "plant/b/hum", "plant/b/temp"))
    assert watch.take() == []
    house.store.commit()
    assert seen(watch) == [("device", "plant/a/temp", b"0"), ("device", "plant/b/temp", b"2")]
    assert watch.lost == 0


def test_a_sample_has_all_that_the_publish_had() -> None:
    house = House()
    watch = house.broker.watch(["#"])
    client, _ = house.connect(version=Version.V5)
    properties = Properties(content_type="text/plain")
    client.handle(run(2, "a", payloads=[b"y" * 100_000], retain=True, properties=[properties]))
    house.store.commit()
    (sample,) = watch.take()
    assert (sample.qos, sample.retain, sample.properties) == (2, True, properties)
    assert sample.at_us == house.clock.now_us()
    assert (len(sample.payload), sample.size_bytes) == (MAX_PAYLOAD_BYTES, 100_000)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.FAILED])
def test_it_does_not_see_what_was_not_stored(qos: int, outcome: Outcome) -> None:
    house = House()
    watch = house.broker.watch(["#"])
    client, _ = house.connect()
    client.handle(run(qos, "a"))
    house.store.commit(outcome)
    house.store.has_room = False
    client.handle(run(qos, "a", first_id=7))
    house.store.commit()
    house.store.has_room = True
    client.handle(run(qos, "$SYS/forbidden", "a", first_id=9))
    house.store.commit()
    assert seen(watch) == [("device", "a", b"1")]
    assert watch.lost == 0


def test_topics_that_nobody_watches_keep_the_fast_way_and_the_others_get_it_back() -> None:
    house = House()
    routes = house.broker.routes
    assert routes[b"a"].fast == routes[b"b"].fast == 0
    watch = house.broker.watch(["a"])
    assert routes[b"a"].fast == SLOW
    assert routes[b"b"].fast == 0
    wild = house.broker.watch(["+"])
    assert routes[b"b"].fast == SLOW
    wild.close()
    watch.close()
    assert routes[b"a"].fast == routes[b"b"].fast == 0
    assert not routes.watches


def test_several_watch_at_once_and_subscribers_get_theirs() -> None:
    house = House()
    watches = [house.broker.watch([each]) for each in ("#", "a", "b")]
    reader, channel = house.connect("reader")
    reader.handle(subscribe("a"))
    house.store.commit()
    channel.take()
    client, _ = house.connect()
    client.handle(run(1, "a"))
    house.store.commit()
    assert [len(watch.take()) for watch in watches] == [1, 1, 0]
    assert channel.take()


def test_what_does_not_fit_is_counted_and_what_comes_later_is_seen_again() -> None:
    house = House()
    watch = house.broker.watch(["#"], max_pending=3)
    client, _ = house.connect()
    client.handle(run(0, *["a"] * 5))
    house.store.commit()
    assert watch.lost == 2
    assert [each[2] for each in seen(watch)] == [b"0", b"1", b"2"]
    house.clock.s += 1
    client.handle(run(0, "a"))
    house.store.commit()
    assert len(watch.take()) == 1
    assert watch.lost == 2


def test_no_more_is_shown_a_second_than_somebody_could_take() -> None:
    house = House()
    watch = house.broker.watch(["#"])
    client, _ = house.connect()
    shown = 0
    for _ in range(100):
        client.handle(run(0, *["a"] * 200))
        house.store.commit()
        shown += len(watch.take())
        house.clock.s += 0.01
    assert MAX_PER_S <= shown <= MAX_PENDING + MAX_PER_S
    assert shown + watch.lost == 20_000


def test_bytes_are_bounded_too() -> None:
    house = House()
    watch = house.broker.watch(["#"], max_pending_bytes=3000)
    client, _ = house.connect()
    client.handle(run(0, "a", "a", "a", payloads=[b"x" * 1000] * 3))
    house.store.commit()
    assert (len(watch.take(1)), watch.lost) == (1, 1)
    assert len(watch.take()) == 1
    house.clock.s += 1
    client.handle(run(0, "a", payloads=[b"x" * 1000]))
    house.store.commit()
    assert len(watch.take()) == 1


def test_topics_with_a_dollar_are_seen_by_those_who_name_them() -> None:
    house = House()
    everything, sys = house.broker.watch(["#"]), house.broker.watch(["$SYS/#"])
    message = Message(topic="$SYS/broker/uptime", payload=b"1", qos=0, retain=True, origin="")
    house.broker.delivery.publish_own([message])
    assert everything.take() == []
    assert seen(sys) == [("", "$SYS/broker/uptime", b"1")]


@pytest.mark.parametrize("outcome", Outcome)
def test_a_will_is_seen_when_it_is_on_disk(outcome: Outcome) -> None:
    house = House()
    watch = house.broker.watch(["gone"])
    client, _ = house.connect(will=Will(topic="gone", payload=b"x", qos=1, retain=False))
    client.lost()
    house.store.commit(outcome)
    assert seen(watch) == ([("device", "gone", b"x")] if outcome is Outcome.DURABLE else [])


def test_what_is_retained_comes_first_and_once() -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(0, *[f"a/{i:04}" for i in range(1500)], retain=True))
    house.store.commit()
    watch = house.broker.watch(["a/+", "a/0007", "#"], with_retained=True)
    client.handle(run(0, "live"))
    house.store.commit()
    found: list[Any] = []
    for _ in range(50):
        found += watch.take(100)
    assert [each.topic for each in found] == [f"a/{i:04}" for i in range(1500)] + ["live"]
    assert (found[0].at_us, found[0].retain, found[0].client) == (None, True, "device")


@pytest.mark.parametrize("topic_filter", ["", "a/#/b", "$share/g/a", "x+"])
def test_a_filter_that_is_none_is_refused(topic_filter: str) -> None:
    house = House()
    with pytest.raises(TopicFilterInvalid):
        house.broker.watch(["a", topic_filter])
    assert not house.broker.routes.watches


async def test_who_waits_is_woken_by_what_comes_and_by_the_end() -> None:
    house = House()
    watch = house.broker.watch(["#"])
    waiting = asyncio.create_task(watch.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    client, _ = house.connect()
    client.handle(run(0, "a"))
    house.store.commit()
    assert await asyncio.wait_for(waiting, 5)
    assert await asyncio.wait_for(watch.wait(), 5)  # it was not taken yet
    assert len(watch.take()) == 1
    waiting = asyncio.create_task(watch.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    watch.close()
    assert not await asyncio.wait_for(waiting, 5)
    assert watch.take() == []
    watch.close()


def test_a_watch_that_was_closed_between_publish_and_commit_sees_nothing() -> None:
    house = House()
    watch = house.broker.watch(["#"])
    client, _ = house.connect()
    client.handle(run(0, "a"))
    watch.close()
    house.store.commit()
    assert watch.take() == []
    assert watch.lost == 0


def test_a_durable_subscriber_of_what_is_watched_gets_all_of_it() -> None:
    house = House()
    reader, channel = house.connect("reader", **DURABLE_5)
    reader.handle(subscribe("#", qos=1))
    house.store.commit()
    channel.take()
    watch = house.broker.watch(["#"])
    client, _ = house.connect()
    client.handle(run(1, "a", "b"))
    house.store.commit()
    assert len(watch.take()) == 2
    assert len(reader.session.outgoing.in_flight) == 2


class Witness:
    """An `Observer`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[bytes], bytes]] = []

    def saw(self, client_id: str, _now_us: int, topics: Any, payloads: Any, flags: Any, properties: Any = None) -> None:
        del payloads, properties
        self.told.append((client_id, list(topics), bytes(flags)))


@pytest.mark.parametrize("retain", [False, True])
def test_traffic_is_told_of_every_run_that_is_taken(*, retain: bool) -> None:
    witness = Witness()
    house = House(traffic=witness)
    client, _ = house.connect(will=Will(topic="gone", payload=b"x", qos=1, retain=False))
    client.handle(run(1, "a", "b", retain=retain))
    client.handle(run(0, "$SYS/x", "c", retain=retain))
    client.handle(run(0, "$SYS/x"))
    client.lost()
    flags = bytes([2 | retain])
    assert witness.told == [
        ("device", [b"a", b"b"], flags * 2),
        ("device", [b"c"], bytes([retain])),
        ("device", [b"gone"], b"\2"),
    ]
