"""Brokers that go away while the receiver works: the one frames come from, and the one a sink writes to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bridge.receiver.app import run_receiver
from config.settings import (
    Address,
    Api,
    BrokerUrl,
    JsonLinesSink,
    MqttSink,
    ReceiverIdentity,
    ReceiverSettings,
    Retry,
    SqliteSink,
)
from tests.support.mosquitto import Mosquitto
from tests.support.receiver_frames import frame

TOPIC = "fieldgate/v1/edge-01/telemetry"
RECORDS = 20
QUICK = Retry(first_s=0.02, max_s=0.1)


def client(port: int, client_id: str) -> paho.Client:
    made = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311, clean_session=False
    )
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


def send(port: int, first_frame: int, count: int) -> None:
    """Publish frames and wait for the broker's acknowledgements."""
    publisher = client(port, "gateway")
    for number in range(first_frame, first_frame + count):
        publisher.publish(TOPIC, frame(1 + number * RECORDS, RECORDS), 1).wait_for_publish(30)
    publisher.disconnect()
    publisher.loop_stop()


async def until(condition: Callable[[], bool]) -> None:
    """Look every 10 ms: another process sets no event of ours."""
    while not condition():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.01)


async def test_brokers_that_restart_lose_nothing_and_only_the_mqtt_sink_may_tell_a_record_twice(tmp_path: Path) -> None:
    told: Counter[bytes] = Counter()
    path = tmp_path / "received.jsonl"
    unlimited = ["max_queued_messages 0"]
    async with (
        Mosquitto(tmp_path, persistence=True, lines=unlimited) as cloud,
        Mosquitto(tmp_path, persistence=True, lines=unlimited) as far,
        asyncio.timeout(180),
    ):
        listener = client(far.port, "listener")
        listener.reconnect_delay_set(0.05, 0.2)
        listener.on_message = lambda _client, _userdata, message: told.update([message.payload])
        listener.subscribe("site/#", 1)
        await until(lambda: any("site/#" in line for line in far.log))
        given = ReceiverSettings(
            receiver=ReceiverIdentity(url=BrokerUrl(port=cloud.port), state=tmp_path / "receiver.db", retry=QUICK),
            api=Api(bind=Address(host="127.0.0.1", port=0)),
            sinks=(
                JsonLinesSink(path=path),
                SqliteSink(path=tmp_path / "received.db"),
                MqttSink(url=BrokerUrl(port=far.port), window=7),
            ),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(run_receiver(given, stop=stop))
        await until(lambda: any("fieldgate/v1/+/+" in line for line in cloud.log))
        for life in range(4):
            await asyncio.to_thread(send, cloud.port, life * 15, 10)
            await asyncio.to_thread(far.stop if life % 2 == 0 else cloud.restart)
            await asyncio.to_thread(send, cloud.port, life * 15 + 10, 5)
            if life % 2 == 0:
                await asyncio.to_thread(far.start)
        wanted = 4 * 15 * RECORDS
        await until(lambda: path.read_bytes().count(b"\n") >= wanted and len(told) >= wanted)
        stop.set()
        await running
        listener.disconnect()
        listener.loop_stop()
    seqs = list(range(1, wanted + 1))
    assert sorted(json.loads(line)["seq"] for line in path.read_text().splitlines()) == seqs
    with contextlib.closing(sqlite3.connect(tmp_path / "received.db")) as connection:
        assert [seq for (seq,) in connection.execute("SELECT seq FROM record ORDER BY seq")] == seqs
    assert set(told) == {b"p%d" % seq for seq in seqs}
