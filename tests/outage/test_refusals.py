"""Brokers that are there and refuse: the records stay until they don't, and the status says why."""

from __future__ import annotations

from pathlib import Path

from tests.support.fleet import publishing
from tests.support.mosquitto import Mosquitto
from tests.support.ports import steady_port
from tests.support.road import road_through
from tests.support.site import until
from tests.support.subscriber import Subscriber

MAY_READ = "topic read #\n"
MAY_PUBLISH = "topic readwrite #\n"


async def test_frames_that_the_access_list_denies_wait_until_it_allows_them(tmp_path: Path) -> None:
    access_list = tmp_path / "acl"
    access_list.write_text(MAY_READ)
    access_list.chmod(0o600)
    async with (
        Mosquitto(tmp_path, lines=[f"acl_file {access_list}"]) as broker,
        road_through(broker, tmp_path) as road,
    ):
        await road.start()
        async with publishing(road.gateway.endpoint, tmp_path) as fleet:
            status = await road.gateway.until(
                lambda status: (
                    "not authorized (0x87)" in (status["uplinks"]["cloud"]["last_error"] or "")
                    and status["streams"]["telemetry"]["records"] >= 300
                ),
                "frames are refused",
            )
            assert status["uplinks"]["cloud"]["records"] == 0
            access_list.write_text(MAY_PUBLISH)
            broker.reload()
            await road.until_caught_up()
        await road.arrived(fleet)
        assert road.gateway.status()["uplinks"]["cloud"]["last_error"] is None


async def test_a_sink_that_is_down_leaves_every_frame_unacknowledged_until_it_is_up(tmp_path: Path) -> None:
    onward = Mosquitto(tmp_path / "onward", persistence=True, lines=["max_queued_messages 0"], port=steady_port())
    with onward:
        with Subscriber(onward.port):
            pass  # its session waits for what the sink will publish
        onward.stop()
        sinks = [
            {"type": "sqlite", "path": str(tmp_path / "cloud" / "received.db")},
            {"type": "jsonl", "path": str(tmp_path / "cloud" / "received.jsonl")},
            {"type": "mqtt", "url": f"mqtt://127.0.0.1:{onward.port}"},
        ]
        async with (
            Mosquitto(tmp_path, lines=["max_queued_messages 0"]) as broker,
            road_through(broker, tmp_path, sinks=sinks) as road,
        ):
            await road.start()
            async with publishing(road.gateway.endpoint, tmp_path) as fleet:
                status = await road.receiver.until(
                    lambda status: status["sinks"][0]["records"] >= 200, "the sinks that are up have records"
                )
            await road.gateway.until_drained()
            assert status["sinks"][2]["state"] != "ready"
            assert str(onward.port) in status["sinks"][2]["last_error"]
            assert road.receiver.get("/readyz")[0] == 503
            # The broker still has every one of them: a receiver that dies now is given them all again.
            road.receiver.kill()
            await road.receiver.start()
            await road.receiver.until(lambda status: status["waiting"]["frames"] > 0, "the broker sends them again")
            onward.start()
            await road.arrived(fleet)
        with Subscriber(onward.port) as subscriber:
            kept = [
                entry for entry in fleet.ledger.entries.values() if entry.qos
            ]  # no broker keeps QoS 0 for who is away
            await until(lambda: len(subscriber.messages) >= len(kept), "the sink's broker hands on every record")
            got = sorted((message.topic, message.qos) for message in subscriber.messages if message.qos)
            assert got == sorted((entry.topic, entry.qos) for entry in kept)
