from __future__ import annotations

import math
import re

import pytest

from config.settings import Stream
from gateway.broker.counters import Counters
from gateway.broker.load_average import LoadAverage
from gateway.broker.message import Message
from gateway.broker.sys_meanings import MEANINGS
from gateway.broker.sys_topics import Census, SysTopics, heap_bytes
from gateway.mqtt.packets import PingReq, Version
from tests.support.broker import House, run, subscribe

MOSQUITTO_2 = {
    "version", "uptime", "clients/total", "clients/connected", "clients/disconnected", "clients/active",
    "clients/inactive", "clients/maximum", "clients/expired", "messages/received", "messages/sent", "messages/stored",
    "publish/messages/received", "publish/messages/sent", "publish/messages/dropped", "publish/bytes/received",
    "publish/bytes/sent", "bytes/received", "bytes/sent", "subscriptions/count", "shared_subscriptions/count",
    "retained messages/count", "store/messages/count", "store/messages/bytes", "heap/current",
    "heap/maximum",
} | {
    f"load/{what}/{span}min"
    for what in ("messages/received", "messages/sent", "publish/received", "publish/sent", "publish/dropped",
                 "bytes/received", "bytes/sent", "sockets", "connections")
    for span in (1, 5, 15)
}  # fmt: skip
"""The names, all below $SYS/broker/."""


class Desk:
    """What the reports are about, and what became of them."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.connected = 0
        self.said: list[Message] = []
        self.topics = SysTopics(
            version="fieldgate 1.2.3", counters=self.counters, census=self.census, publish=self.said.extend, now_s=100.0
        )

    def census(self) -> Census:
        return Census(
            clients_connected=self.connected,
            clients_total=7,
            clients_expired=0,
            subscriptions=3,
            shared_subscriptions=1,
            retained=4,
            stored=5,
            stored_bytes=600,
            heap_bytes=12345,
        )

    def report(self, now_s: float) -> dict[str, str]:
        self.said.clear()
        self.topics.report(now_s)
        return {message.topic.removeprefix("$SYS/broker/"): message.payload.decode() for message in self.said}


def test_the_first_report_has_every_name_that_mosquitto_2_has() -> None:
    desk = Desk()
    values = desk.report(110.0)
    assert set(values) == MOSQUITTO_2
    assert values["version"] == "fieldgate 1.2.3"
    assert values["uptime"] == "10 seconds"
    assert all(message.retain and message.qos == 0 and message.origin == "" for message in desk.said)
    assert all(message.topic.startswith("$SYS/broker/") for message in desk.said)


def test_the_next_reports_have_what_changed_and_no_more() -> None:
    desk = Desk()
    desk.report(110.0)
    assert desk.report(120.0) == {"uptime": "20 seconds"}
    desk.counters.dropped["queue_full"] += 2
    desk.counters.dropped["too_large"] += 1
    desk.counters.dropped["offline"] += 5
    desk.connected = desk.counters.connected_most = 2
    values = desk.report(130.0)
    assert values["publish/messages/dropped"] == "3"
    assert (values["clients/connected"], values["clients/disconnected"], values["clients/maximum"]) == ("2", "5", "2")
    desk.connected = 1
    assert "clients/maximum" not in desk.report(140.0)


def test_messages_are_packets_of_every_kind() -> None:
    desk = Desk()
    desk.counters.accepted, desk.counters.others_received = 10, 5
    desk.counters.delivered, desk.counters.others_sent = 7, 2
    values = desk.report(110.0)
    assert (values["messages/received"], values["messages/sent"]) == ("15", "9")
    assert (values["publish/messages/received"], values["publish/messages/sent"]) == ("10", "7")


def test_a_load_is_what_is_counted_in_a_minute() -> None:
    desk = Desk()
    desk.counters.accepted = 30
    values = desk.report(110.0)
    first = [180 * (1 - math.exp(-10 / (60 * span))) for span in (1, 5, 15)]
    assert [values[f"load/publish/received/{span}min"] for span in (1, 5, 15)] == [f"{each:.2f}" for each in first]
    values = desk.report(120.0)  # nothing came
    assert [values[f"load/publish/received/{span}min"] for span in (1, 5, 15)] == [
        f"{each * math.exp(-10 / (60 * span)):.2f}" for each, span in zip(first, (1, 5, 15), strict=True)
    ]


def test_a_load_comes_near_to_what_goes_on_steadily() -> None:
    load = LoadAverage()
    load.add(0, 10)
    for count in range(1, 100):
        load.add(5 * count, 10)
    assert load.readings()["1min"] == "30.00"
    assert float(load.readings()["15min"]) == pytest.approx(30 * (1 - math.exp(-99 * 10 / 900)), abs=0.05)


def test_the_process_knows_what_memory_it_has() -> None:
    size = heap_bytes()
    assert size is None or size > 1_000_000


async def test_a_broker_that_is_started_says_it_at_once_and_in_each_interval() -> None:
    house = House(Stream(topics=("#",)))
    client, channel = house.connect(version=Version.V5)
    client.handle(subscribe("$SYS/broker/uptime"))
    channel.take()
    house.broker.start()
    assert b"0 seconds" in channel.take()
    house.pass_time(9.9)
    assert channel.take() == b""
    house.pass_time(0.2)
    assert b"10 seconds" in channel.take()
    assert len(house.broker.retained) > 40
    house.store.commit()
    assert house.store.stored == []  # a filter that begins with a wildcard does not name $SYS
    house.broker._ticking.cancel()  # type: ignore[union-attr]


def test_shared_subscriptions_are_counted_apart_as_mosquitto_does() -> None:
    house = House()
    for name in ("a", "b"):
        house.connect(name)[0].handle(subscribe("$share/g/x", "y"))
    house.broker._report(10)
    for name in ("subscriptions", "shared_subscriptions"):
        message = house.broker.retained.get(f"$SYS/broker/{name}/count")
        assert message is not None
        assert message.payload == b"2"


def test_a_stream_that_names_sys_gets_it() -> None:
    house = House(Stream(name="self", topics=("$SYS/broker/clients/#",)))
    house.broker._report(10)
    house.store.commit()
    topics = {each.topic for each in house.store.stored}
    assert b"$SYS/broker/clients/connected" in topics
    assert b"$SYS/broker/uptime" not in topics


def test_what_goes_over_the_wire_is_counted() -> None:
    house = House()
    client, channel = house.connect(version=Version.V5)
    client.handle(subscribe("a", qos=1))
    client.handle(PingReq())
    client.handle(run(1, "a", "a"))
    house.store.commit()
    written = b"".join(channel.writes)
    counters = house.broker.counters
    assert counters.publishes == 2
    assert counters.packets_received == 4
    assert counters.delivered == 2
    assert counters.packets_sent == 1 + 1 + 1 + 2 + 2  # CONNACK, SUBACK, PINGRESP, two PUBACKs, two messages
    assert counters.publish_bytes_sent > 0
    assert counters.bytes_sent >= len(written)


def test_every_value_has_a_meaning_and_every_meaning_a_value() -> None:
    published = {re.sub(r"/(1|5|15)min$", "/+", name) for name in MOSQUITTO_2}
    assert set(MEANINGS) == published
