"""The MQTT sink: its decisions with a link in memory, its way to a real broker with Mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bridge.block import Block
from bridge.errors import SinkUnavailable
from bridge.link import LinkSettings, MqttLink
from bridge.ports import LinkLimits
from bridge.receiver.batch import Batch, Portion
from bridge.receiver.ledger import LaneKey, Ledger
from bridge.receiver.sinks.mqtt import Mqtt
from bridge.receiver.state import State
from bridge.record import Properties
from config.settings import BrokerUrl
from tests.support.mosquitto import Mosquitto
from tests.support.receiver_frames import EPOCH, frame
from tests.support.receiver_parts import FakeBroker, FakeClock, batch, until


@contextlib.asynccontextmanager
async def sink_to(broker: FakeBroker, folder: Path, *, window: int = 100) -> AsyncIterator[Mqtt]:
    state = await State.open(folder / "receiver.db")
    sink = Mqtt(address="mqtt://far", state=state, clock=FakeClock(), connect=broker.connect, window=window)
    try:
        yield sink
    finally:
        await sink.close()
        await state.close()


async def test_a_write_returns_when_every_acknowledgement_came_and_is_noted(tmp_path: Path) -> None:
    broker = FakeBroker()
    async with sink_to(broker, tmp_path) as sink:
        writing = asyncio.create_task(sink.write(batch(await sink.open(), frame(1, 3))))
        link = broker.links[0]
        await until(lambda: len(link.published) == 3)
        for packet_id in (1, 2):
            link.events.on_acknowledged(packet_id, 0)
        await asyncio.sleep(0)
        assert not writing.done()
        link.events.on_acknowledged(3, 0x10)
        assert await writing == []
        await sink.close()
        assert sum(lane.arrived.count() for _, lane in await sink.open()) == 3


async def test_no_more_than_the_window_or_the_brokers_receive_maximum_is_in_flight(tmp_path: Path) -> None:
    broker = FakeBroker()
    broker.limits = LinkLimits(receive_maximum=4)
    async with sink_to(broker, tmp_path) as sink:
        writing = asyncio.create_task(sink.write(batch(await sink.open(), frame(1, 10))))
        link = broker.links[0]
        for packet_id in range(1, 11):
            wanted = min(10, packet_id + 3)
            await until(lambda wanted=wanted: len(link.published) == wanted)
            link.events.on_acknowledged(packet_id, 0)
        await writing


async def test_after_a_lost_connection_only_what_was_not_acknowledged_is_published_again(tmp_path: Path) -> None:
    broker = FakeBroker()
    async with sink_to(broker, tmp_path) as sink:
        given = batch(await sink.open(), frame(1, 5))
        writing = asyncio.create_task(sink.write(given))
        await until(lambda: len(broker.links[0].published) == 5)
        for packet_id in (1, 2, 4):
            broker.links[0].events.on_acknowledged(packet_id, 0)
        broker.links[0].lose()
        with pytest.raises(SinkUnavailable):
            await writing
        await sink.close()
        assert len(await sink.open()) == 0
        writing = asyncio.create_task(sink.write(given))
        await until(lambda: len(broker.links[1].published) == 2)
        assert [message.payload for message in broker.links[1].published] == [b"p3", b"p5"]
        broker.links[1].events.on_acknowledged(1, 0)
        broker.links[1].events.on_acknowledged(2, 0)
        await writing


async def test_qos_0_is_delivered_when_the_socket_took_it(tmp_path: Path) -> None:
    broker = FakeBroker()
    async with sink_to(broker, tmp_path) as sink:
        given = batch(await sink.open(), frame(1, 5, qos=0))
        broker.links[0].socket.clear()
        writing = asyncio.create_task(sink.write(given))
        await until(lambda: len(broker.links[0].published) == 5)
        broker.links[0].lose()
        with pytest.raises(SinkUnavailable):
            await writing
        await sink.open()
        assert await sink.write(given) == []
        assert len(broker.links[1].published) == 5


async def test_a_record_that_the_broker_never_takes_is_a_refusal_and_the_rest_goes_on(tmp_path: Path) -> None:
    broker = FakeBroker()
    broker.limits = LinkLimits(maximum_packet_size_bytes=200)
    async with sink_to(broker, tmp_path) as sink:
        writing = asyncio.create_task(sink.write(batch(await sink.open(), frame(1, [b"a", b"x" * 500, b"c"]))))
        link = broker.links[0]
        await until(lambda: len(link.published) == 2)
        link.events.on_acknowledged(1, 0x99)
        link.events.on_acknowledged(2, 0)
        assert sorted(refusal.seq for refusal in await writing) == [1, 2]


async def test_a_refused_record_is_set_aside_with_the_progress_so_that_no_crash_loses_it(tmp_path: Path) -> None:
    broker = FakeBroker()
    broker.limits = LinkLimits(maximum_packet_size_bytes=200)
    async with sink_to(broker, tmp_path) as sink:
        await sink.write(batch(await sink.open(), frame(1, [b"x" * 500])))
    # The process ended before the receiver settled the frame.
    with contextlib.closing(sqlite3.connect(tmp_path / "receiver.db")) as connection:
        assert connection.execute("SELECT code, topic, bytes FROM set_aside").fetchall() == [
            ("sink_refused", "site/a/device-0", b"x" * 500)
        ]
        assert connection.execute("SELECT name, value FROM tally").fetchall() == [("set_aside.sink_refused", 1)]
    async with sink_to(broker, tmp_path) as sink:
        assert LaneKey("edge-01", "telemetry", EPOCH) in await sink.open()


async def test_a_reason_that_would_meet_every_record_is_tried_again(tmp_path: Path) -> None:
    broker = FakeBroker()
    async with sink_to(broker, tmp_path) as sink:
        writing = asyncio.create_task(sink.write(batch(await sink.open(), frame(1, 1))))
        await until(lambda: len(broker.links[0].published) == 1)
        broker.links[0].events.on_acknowledged(1, 0x87)
        with pytest.raises(SinkUnavailable, match="not authorized"):
            await writing


async def test_a_broker_that_is_away_is_unavailable(tmp_path: Path) -> None:
    broker = FakeBroker()
    broker.reachable = False
    async with sink_to(broker, tmp_path) as sink:
        with pytest.raises(SinkUnavailable, match="Nobody is there"):
            await sink.open()


async def test_records_come_out_of_a_real_broker_as_they_went_in(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[paho.MQTTMessage] = asyncio.Queue()
    properties = Properties(content_type="text/plain", user_property=(("k", "v"),), message_expiry_interval=3600)
    async with Mosquitto(tmp_path) as broker:
        state = await State.open(tmp_path / "receiver.db")
        link = LinkSettings(url=BrokerUrl(port=broker.port), client_id="sink")
        sink = Mqtt(
            address=str(link.url),
            state=state,
            clock=FakeClock(),
            connect=lambda events: MqttLink(link, events),
            window=2,
        )
        ledger: Ledger = await sink.open()
        await sink.write(batch(ledger, frame(1, [b"a", b"b", b"c", b"d"], properties=[properties, None, None, None])))
        await sink.close()
        await state.close()
        # Records 1 and 4 are retained: a subscriber that comes later has them from the broker.
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.on_message = lambda _c, _u, message: loop.call_soon_threadsafe(received.put_nowait, message)
        client.connect("127.0.0.1", broker.port)
        client.subscribe("site/#", 1)
        client.loop_start()
        try:
            async with asyncio.timeout(30):
                found = sorted([await received.get(), await received.get()], key=lambda message: message.payload)
        finally:
            client.disconnect()
            client.loop_stop()
    assert [(message.topic, message.payload, message.qos) for message in found] == [
        ("site/a/device-0", b"a", 1),
        ("site/a/device-3", b"d", 1),
    ]
    assert found[0].properties is not None
    assert found[0].properties.ContentType == "text/plain"
    assert found[0].properties.UserProperty == [("k", "v")]


def one_record(topic: str, properties: Properties | None = None) -> Batch:
    """A record as a frame of another hand may hold it."""
    block = Block(
        first_seq=1,
        received_at_us=10**15,
        topics=[topic],
        clients=["c"],
        topic_index=[0],
        client_index=[0],
        delta_us=[0],
        flags=b"\x02",
        payloads=[b"x"],
        property_sets=[] if properties is None else [properties],
        property_index=None if properties is None else [1],
    )
    lane = LaneKey("edge-01", "telemetry", EPOCH)
    return Batch(portions=[Portion(lane=lane, block=block)], ledger_rows=[], records=1)


@pytest.mark.parametrize(
    ("topic", "properties"),
    [
        ("a/" * 40_000, None),
        ("a/+", None),
        ("", None),
        ("a\0b", None),
        ("a", Properties(payload_format_indicator=2)),
        ("a", Properties(correlation_data=bytes(70_000))),
        ("a", Properties(user_property=(("k", "v" * 70_000),))),
        ("a", Properties(content_type="a\0b")),
    ],
)
async def test_a_record_that_no_packet_can_carry_is_a_refusal(
    tmp_path: Path, topic: str, properties: Properties | None
) -> None:
    broker = FakeBroker()
    async with sink_to(broker, tmp_path) as sink:
        await sink.open()
        assert [refusal.seq for refusal in await sink.write(one_record(topic, properties))] == [1]
        assert broker.links[0].published == []


@pytest.mark.parametrize(
    ("topic", "properties"),
    [("a\x01b", None), ("a\uffff", None), ("a", Properties(user_property=(("k", "line\nline"),)))],
)
async def test_a_record_over_which_a_real_broker_closes_the_connection_does_not_stand_in_the_way(
    tmp_path: Path, topic: str, properties: Properties | None
) -> None:
    async with Mosquitto(tmp_path) as broker:
        state = await State.open(tmp_path / "receiver.db")
        link = LinkSettings(url=BrokerUrl(port=broker.port), client_id="sink")
        sink = Mqtt(
            address="x", state=state, clock=FakeClock(), connect=lambda events: MqttLink(link, events), window=10
        )
        for _ in range(2):
            await sink.open()
            with pytest.raises(SinkUnavailable, match="lost"):
                await sink.write(one_record(topic, properties))
            await sink.close()
        await sink.open()
        (refusal,) = await sink.write(one_record(topic, properties))
        assert "closes the connection over it" in refusal.reason
        await sink.close()
        await state.close()
