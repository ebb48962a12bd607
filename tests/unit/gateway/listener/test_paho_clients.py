"""The broker as an independent client sees it: paho-mqtt, 3.1.1 and 5, in its own thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from queue import Queue
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from config.settings import Transport
from tests.support.doors import Door, opened

WITHIN_S = 20.0
VERSIONS = [mqtt.MQTTv311, mqtt.MQTTv5]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


class Paho:
    """A paho client whose messages and CONNACKs come into queues."""

    def __init__(self, client_id: str, version: int, **more: Any) -> None:
        if version != mqtt.MQTTv5:
            more.setdefault("clean_session", True)
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version, **more)
        self.connacks: Queue[tuple[Any, Any]] = Queue()
        self.messages: Queue[mqtt.MQTTMessage] = Queue()
        self.subscribed: Queue[int] = Queue()
        self.gone: Queue[Any] = Queue()
        self.client.on_connect = lambda _c, _u, flags, reason, _p: self.connacks.put((flags, reason))
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_subscribe = lambda _c, _u, mid, _r, _p: self.subscribed.put(mid)
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.gone.put(reason)

    def connect(self, port: int, **more: Any) -> tuple[Any, Any]:
        self.client.connect("127.0.0.1", port, **more)
        self.client.loop_start()
        return self.connacks.get(timeout=WITHIN_S)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        self.client.subscribe(topic_filter, qos)
        self.subscribed.get(timeout=WITHIN_S)

    def publish(self, topic: str, payload: str, qos: int, **more: Any) -> None:
        self.client.publish(topic, payload, qos, **more).wait_for_publish(WITHIN_S)

    def message(self) -> mqtt.MQTTMessage:
        return self.messages.get(timeout=WITHIN_S)


@contextlib.contextmanager
def paho(client_id: str, version: int, **more: Any) -> Iterator[Paho]:
    made = Paho(client_id, version, **more)
    try:
        yield made
    finally:
        made.client.disconnect()
        made.client.loop_stop()


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_qos_goes_through_to_the_store_and_to_a_subscriber(door: Door, version: int) -> None:
    def scenario() -> None:
        with paho("reader", version) as reader, paho("device", version) as device:
            reader.connect(door.port)
            reader.subscribe("plant/+/t", 2)
            device.connect(door.port)
            for qos in (0, 1, 2):
                device.publish("plant/1/t", f"m{qos}", qos)
                message = reader.message()
                assert (message.payload, message.qos, message.retain) == (f"m{qos}".encode(), qos, False)

    await asyncio.to_thread(scenario)
    store = door.store
    assert [each.payload for each in store.stored] == [b"m0", b"m1", b"m2"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_thousand_qos_2_publishes_arrive_once_each_in_order(door: Door, version: int) -> None:
    def scenario() -> None:
        with paho("device", version) as device:
            device.client.max_inflight_messages_set(200)
            device.client.max_queued_messages_set(0)
            device.connect(door.port)
            last = [device.client.publish("t", str(i), 2) for i in range(1000)][-1]
            last.wait_for_publish(WITHIN_S)
            assert last.is_published()

    await asyncio.to_thread(scenario)
    store = door.store
    assert [each.payload for each in store.stored] == [str(i).encode() for i in range(1000)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_retained_message_is_there_for_a_later_subscriber(door: Door, version: int) -> None:
    def scenario() -> None:
        with paho("reader", version) as reader, paho("device", version) as device:
            device.connect(door.port)
            device.publish("state", "on", 1, retain=True)
            reader.connect(door.port)
            reader.subscribe("#", 1)
            assert reader.message().retain

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_persistent_session_is_found_again_with_its_messages(door: Door, version: int) -> None:
    def scenario() -> None:
        persistent: dict[str, Any] = {} if version == mqtt.MQTTv5 else {"clean_session": False}
        on_connect: dict[str, Any] = {}
        if version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 100
            on_connect = {"clean_start": False, "properties": properties}
        with paho("reader", version, **persistent) as reader:
            flags, _ = reader.connect(door.port, **on_connect)
            assert not flags.session_present
            reader.subscribe("t", 1)
        with paho("device", version) as device:
            device.connect(door.port)
            device.publish("t", "while away", 1)
        with paho("reader", version, **persistent) as reader:
            flags, _ = reader.connect(door.port, **on_connect)
            assert flags.session_present
            assert reader.message().payload == b"while away"

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_will_is_published_when_another_takes_the_session_over(door: Door, version: int) -> None:
    def scenario() -> None:
        with paho("reader", version) as reader, paho("device", version) as first, paho("device", version) as second:
            reader.connect(door.port)
            reader.subscribe("gone", 1)
            first.client.will_set("gone", "first", 1)
            first.client.on_disconnect = lambda client, *rest: (first.gone.put(rest[2]), client.disconnect())
            first.connect(door.port)
            second.connect(door.port)
            assert reader.message().payload == b"first"
            first.gone.get(timeout=WITHIN_S)

    await asyncio.to_thread(scenario)


async def test_mqtt_5_properties_reach_the_store_and_the_subscriber(door: Door) -> None:
    def scenario() -> None:
        with paho("reader", mqtt.MQTTv5) as reader, paho("device", mqtt.MQTTv5) as device:
            reader.connect(door.port)
            reader.subscribe("t", 1)
            device.connect(door.port)
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = ("site", "north")
            properties.ContentType = "text/plain"
            device.publish("t", "x", 1, properties=properties)
            got = reader.message().properties
            assert got is not None
            assert got.UserProperty == [("site", "north")]
            assert got.ContentType == "text/plain"

    await asyncio.to_thread(scenario)
    store = door.store
    (stored,) = store.stored
    assert stored.properties is not None
    assert stored.properties.user_property == (("site", "north"),)


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_is_the_same_over_websocket(version: int) -> None:
    def scenario() -> None:
        more = {"transport": "websockets"}
        with paho("reader", version, **more) as reader, paho("device", version, **more) as device:
            reader.connect(door.port)
            reader.subscribe("plant/#", 2)
            device.connect(door.port)
            for number in range(100):
                device.publish("plant/1", f"{number} {'x' * number * 50}", number % 3)
            # Those of QoS 2 are handed on by the client later than those behind them.
            assert {int(reader.message().payload.split()[0]) for _ in range(100)} == set(range(100))

    async with opened(transport=Transport.WS) as door:
        await asyncio.to_thread(scenario)
        assert len(door.store.stored) == 100
