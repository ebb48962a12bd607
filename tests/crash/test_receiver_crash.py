"""The receiver killed in the middle of its work: every record is in every sink, once."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.mosquitto import Mosquitto
from tests.support.receiver_frames import frame
from tests.support.receiver_process import TIMEOUT_S, ReceiverProcess

RECORDS = 50
"""In a frame."""


class Gateway:
    """Publishes frames, each acknowledged by the broker; now and then one twice, as after a lost PUBACK."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.next_seq = 1
        self.frames = 0

    def send(self, count: int) -> None:
        for number in range(count):
            data = frame(self.next_seq, RECORDS)
            self.next_seq += RECORDS
            for _ in range(2 if number % 3 == 0 else 1):
                self._client.publish("fieldgate/v1/edge-01/telemetry", data, 1).wait_for_publish(TIMEOUT_S)
                self.frames += 1

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[tuple[Mosquitto, Gateway]]:
    """A broker that has the receiver's session already, and a gateway."""
    # By default Mosquitto drops what is more than 1000 messages for a client that is away, after it acknowledged them.
    with Mosquitto(folder, lines=["max_queued_messages 0"]) as broker:
        with ReceiverProcess(folder, broker.port) as process:
            assert process.wait_ready()
            until(lambda: process.get("/api/v1/status")["link"]["state"] == "online")
            assert process.terminate() == 0
        gateway = Gateway(broker.port)
        try:
            yield broker, gateway
        finally:
            gateway.close()


def until(condition: Callable[[], bool]) -> None:
    """Look every 20 ms: another process sets no event of ours."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def finish(folder: Path, port: int, gateway: Gateway) -> None:
    """One life without a crash; afterwards everything is where it belongs, once."""
    with ReceiverProcess(folder, port) as process:
        assert process.wait_ready()
        wanted = gateway.next_seq - 1
        until(lambda: process.get("/api/v1/status")["records"] == wanted)
        until(lambda: process.get("/api/v1/status")["waiting"]["frames"] == 0)
        status = process.get("/api/v1/status")
        assert process.terminate() == 0
    assert (status["missing"], status["set_aside"]["count"], status["link"]["sessions_lost"]) == (0, 0, 0)
    expected = list(range(1, gateway.next_seq))
    with contextlib.closing(sqlite3.connect(folder / "received.db")) as connection:
        rows = connection.execute("SELECT seq, payload FROM record").fetchall()
    assert sorted(rows) == [(seq, b"p%d" % seq) for seq in expected]
    lines = [json.loads(line) for line in (folder / "received.jsonl").read_text().splitlines()]
    assert sorted(line["seq"] for line in lines) == expected
    assert all(line["payload"] == f"p{line['seq']}" for line in lines)


@pytest.mark.parametrize(
    "point", [pytest.param("receiver.before_sink_commit", marks=pytest.mark.slow), "receiver.after_sink_commit"]
)
def test_killed_around_a_sinks_commit_every_record_is_in_each_sink_once(tmp_path: Path, point: str) -> None:
    with scene(tmp_path) as (broker, gateway):
        for time_reached in (1, 2, 3, 5):
            gateway.send(6)
            with ReceiverProcess(tmp_path, broker.port, crash_at=f"{point}:{time_reached}") as process:
                process.wait_ready()
                while process.is_running and gateway.frames < 10_000:
                    gateway.send(1)
                assert process.wait() == -signal.SIGKILL
        finish(tmp_path, broker.port, gateway)


@pytest.mark.slow
def test_killed_at_any_moment_every_record_is_in_each_sink_once(tmp_path: Path) -> None:
    dice = random.Random(2)
    with scene(tmp_path) as (broker, gateway):
        for _ in range(4):
            with ReceiverProcess(tmp_path, broker.port) as process:
                assert process.wait_ready()
                gateway.send(dice.randint(1, 40))
                process.kill()
        finish(tmp_path, broker.port, gateway)
