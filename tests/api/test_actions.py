"""What an operator does over HTTP really happens: a whole gateway, with a real broker as its cloud."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from config.settings import BrokerUrl, GatewaySettings, Protocol, Retry, Uplink
from gateway.app import Gateway
from tests.support.in_process import running, settings_with
from tests.support.live_gateway import live_gateway
from tests.support.mosquitto import Mosquitto
from tests.support.plain_mqtt import PlainClient
from tests.support.site import until

DEAD_PORT = 1


class Operator:
    """One who asks and acts over HTTP, and a device beside."""

    def __init__(self, gateway: Gateway, port: int, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.port = port
        self.http = http
        self._packet_id = 0

    async def get(self, path: str, status: int = 200) -> Any:
        async with self.http.get(f"/api/v1/{path}") as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
        async with self.http.post(f"/api/v1/{path}", json=body or {}) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def publish(self, number: int) -> None:
        device = await PlainClient.connect("127.0.0.1", self.port, "press/7")
        for packet_id in range(1, number + 1):
            device.publish("plant/a", b'{"n": %d}' % packet_id, packet_id=packet_id)
        for _ in range(number):
            await device.read()
        await device.abort()

    @property
    def waiting(self) -> int:
        return self.gateway.overview.totals().records

    @property
    def state(self) -> str:
        return self.gateway.uplinks["cloud"].status.state


@asynccontextmanager
async def operated(settings: GatewaySettings) -> AsyncIterator[Operator]:
    async with running(settings) as (gateway, port), aiohttp.ClientSession(f"http://{gateway.api.address}") as http:
        yield Operator(gateway, port, http)


def with_cloud(folder: Path, port: int) -> GatewaySettings:
    uplink = Uplink(
        url=BrokerUrl(host="127.0.0.1", port=port),
        protocol=Protocol.V311,  # the only one with which nobody has to listen
        retry=Retry(first_s=3600.0, max_s=7200.0),
    )
    return replace(settings_with(folder), uplinks=(uplink,))


async def test_a_pause_and_its_end_are_on_disk_when_they_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_disk() -> list[str]:
        with contextlib.closing(sqlite3.connect(settings.gateway.data_dir / "spool.db")) as other:
            return [key for (key,) in other.execute("SELECT key FROM note").fetchall()]

    monkeypatch.setattr("bridge.database.BUSY_TIMEOUT_S", 0.05)
    settings = with_cloud(tmp_path, DEAD_PORT)
    async with operated(settings) as operator:
        await operator.post("uplinks/cloud/pause")
        assert on_disk() == ["paused/cloud"]
        await operator.post("uplinks/cloud/resume")
        assert on_disk() == []
        with contextlib.closing(sqlite3.connect(settings.gateway.data_dir / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = await operator.post("uplinks/cloud/pause")
            assert "as soon as that can be written" in answer["message"]
            other.execute("ROLLBACK")
        await operator.gateway.spool.written()
        assert on_disk() == ["paused/cloud"]


async def test_a_pause_holds_over_a_restart_until_somebody_resumes(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as cloud:
        settings = with_cloud(tmp_path, cloud.port)
        async with operated(settings) as operator:
            await operator.publish(2)
            await until(lambda: operator.waiting == 0, "delivered")
            paused = await operator.post("uplinks/cloud/pause")
            assert paused["is_paused"] is True
            assert "over restarts too" in paused["message"]
            await operator.post("uplinks/cloud/pause", status=409)
            await until(lambda: operator.state == "paused", "paused")
            await operator.publish(3)
            overview = await operator.get("overview")
            assert overview["queued"]["records"] == 3
            assert overview["verdict"]["word"] == "Paused"
            assert "by local" in overview["verdict"]["sentence"]
        async with operated(settings) as operator:
            streams = await operator.get("streams")
            (uplink,) = streams["uplinks"]
            assert (uplink["is_paused"], uplink["paused_by"]) == (True, "local")
            assert operator.waiting == 3
            await operator.post("uplinks/cloud/resume")
            await until(lambda: operator.waiting == 0, "delivered after the pause")
            await operator.post("uplinks/cloud/resume", status=409)
            events = (await operator.get("events?kind=audit"))["events"]
            assert [event["text"] for event in reversed(events)] == [
                "local: pause the uplink cloud.",
                "local: pause the uplink cloud: refused. Uplink cloud is paused already, by local.",
                "local: resume the uplink cloud.",
                "local: resume the uplink cloud: refused. Uplink cloud is not paused.",
            ]
            assert {event["user"] for event in events} == {"local"}
            history = await operator.get("history?span=1h")
            states = [segment["state"] for segment in history["uplinks"]["cloud"]]
            assert "paused" in states
            assert states[-1] == "online"


async def test_drain_connects_at_once_where_it_would_have_waited(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as cloud:
        cloud.kill()
        async with operated(with_cloud(tmp_path, cloud.port)) as operator:
            await until(lambda: operator.state == "backing_off", "given up for now")
            await operator.publish(4)
            overview = await operator.get("overview")
            assert overview["uplinks"][0]["next_try_in_s"] > 0
            assert "unreachable" in overview["verdict"]["sentence"]
            cloud.restart()
            await operator.post("uplinks/cloud/drain")
            await until(lambda: operator.waiting == 0, "delivered")
            kinds = [
                (event["state"], event["subject"]) for event in (await operator.get("events?kind=uplink"))["events"]
            ]
            assert ("online", "cloud") in kinds
            assert ("backing_off", "cloud") in kinds


async def test_an_uplink_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    async with operated(with_cloud(tmp_path, DEAD_PORT)) as operator:
        answer = await operator.post("uplinks/nowhere/drain", status=404)
        assert answer["error"]["message"] == "There is no uplink of that name; there is cloud."


async def test_a_device_is_disconnected_and_may_come_back(tmp_path: Path) -> None:
    async with operated(settings_with(tmp_path)) as operator:
        device = await PlainClient.connect("127.0.0.1", operator.port, "press/7")
        assert (await operator.get("devices/press%2F7"))["is_connected"] is True
        await operator.post("devices/press%2F7/disconnect")
        await device.closed()
        await operator.post("devices/press%2F7/disconnect", status=404)
        again = await PlainClient.connect("127.0.0.1", operator.port, "press/7", clean=False)
        again.write(0xE0, b"")
        await again.closed()
        await until(lambda: operator.gateway.broker.counters.connected_now == 0, "gone")
        await operator.post("devices/press%2F7/disconnect", status=409)


async def test_the_audit_names_the_device_that_was_disconnected_and_not_what_stands_in_the_path(
    tmp_path: Path,
) -> None:
    async with operated(settings_with(tmp_path)) as operator:
        device = await PlainClient.connect("127.0.0.1", operator.port, "press/7")
        answer = await operator.post("devices/somebody-else/disconnect?client=press/7")
        assert answer["client"] == "press/7"
        await device.closed()
        (event,) = (await operator.get("events?kind=audit"))["events"]
        assert event["text"] == "local: disconnect the device press/7."


async def test_the_audit_names_the_uplink_that_dead_letters_were_sent_through(tmp_path: Path) -> None:
    async with operated(with_cloud(tmp_path, DEAD_PORT)) as operator:
        await operator.post("dead-letters/replay", {"ids": [1, 2], "to": "cloud"})
        (event,) = (await operator.get("events?kind=audit"))["events"]
        assert event["text"] == "local: replay dead letters 1, 2 through uplink cloud."


async def test_dead_letters_are_looked_at_replayed_and_discarded(tmp_path: Path) -> None:
    settings = with_cloud(tmp_path, DEAD_PORT)
    async with operated(settings) as operator:
        await operator.publish(6)
        outbox = operator.gateway.spool.outbox(settings.uplinks[0])
        for first_seq in (1, 2, 3):
            await outbox.dead_letter("telemetry", first_seq, 1, reason="too_large")
        listed = await operator.get("dead-letters?limit=2")
        assert (listed["total"], listed["records"], len(listed["dead_letters"])) == (3, 3, 2)
        newest = listed["dead_letters"][0]
        assert newest["explanation"] == "The record is larger than the cloud's broker takes."
        assert newest["topics"] == ["plant/a"]
        rest = await operator.get(f"dead-letters?before={listed['next_before']}")
        assert len(rest["dead_letters"]) == 1
        one = await operator.get(f"dead-letters/{newest['id']}")
        assert one["records"][0]["payload"]["text"] == '{"n": 3}'
        assert one["is_complete"] is True
        async with operator.http.get("/api/v1/dead-letters/export") as response:
            lines = [json.loads(line) for line in (await response.text()).splitlines()]
        assert [line["payload"] for line in lines] == ['{"n": 1}', '{"n": 2}', '{"n": 3}']
        assert "dead letter" in (await operator.get("overview"))["verdict"]["sentence"]
        await operator.post("dead-letters/replay", {}, status=400)
        await operator.post("dead-letters/replay", {"ids": [1], "all": True}, status=400)
        replayed = await operator.post("dead-letters/replay", {"ids": [newest["id"]]})
        assert (replayed["letters"], replayed["records"], replayed["refused"]) == (1, 1, [])
        waiting = await operator.get("queue/telemetry?from_seq=7")
        assert [item["payload"]["text"] for item in waiting["records"]] == ['{"n": 3}']
        discarded = await operator.post("dead-letters/discard", {"all": True, "reason": "too_large"})
        assert (discarded["letters"], discarded["records"]) == (2, 2)
        assert (await operator.get("dead-letters"))["total"] == 0
        await operator.get(f"dead-letters/{newest['id']}", status=404)


async def test_a_tail_shows_what_is_published_from_now_on(tmp_path: Path) -> None:
    async with operated(settings_with(tmp_path)) as operator:
        async with operator.http.get("/api/v1/tail?filter=plant/%2B") as response:
            assert response.content_type == "text/event-stream"
            data = (line.removeprefix(b"data: ") async for line in response.content if line.startswith(b"data: "))
            assert json.loads(await anext(data)) == {"filters": ["plant/+"]}
            await operator.publish(1)
            found = json.loads(await anext(data))
        assert (found["client"], found["topic"], found["payload"]["text"]) == ("press/7", "plant/a", '{"n": 1}')
        await until(lambda: not operator.gateway.broker.routes.watches, "nobody watches")


@pytest.mark.parametrize(
    "path",
    ["overview", "history?span=24h", "streams", "devices", "devices/press%2F7", "topics", "topics/one?topic=plant/a"],
)
async def test_what_is_live_sends_its_body_at_once(tmp_path: Path, path: str) -> None:
    async with operated(settings_with(tmp_path)) as operator:
        device = await PlainClient.connect("127.0.0.1", operator.port, "press/7")
        device.publish("plant/a", b"1")
        await device.read()
        plain = await operator.get(path)
        headers = {"Accept": "text/event-stream"}
        async with operator.http.get(f"/api/v1/{path}", headers=headers) as response:
            assert response.content_type == "text/event-stream"
            async for line in response.content:
                if line.startswith(b"data: "):
                    assert set(json.loads(line.removeprefix(b"data: "))) == set(plain)
                    break
        await device.abort()


async def test_a_new_configuration_is_checked_applied_and_told(tmp_path: Path) -> None:
    async with (
        live_gateway(tmp_path) as box,
        aiohttp.ClientSession(f"http://{box.gateway.api.address}") as http,
    ):
        operator = Operator(box.gateway, box.port(), http)
        box.file["spool"] = {"max_size": "128MiB"}
        text = yaml.safe_dump(box.file)
        checked = await operator.post("configuration/check", {"text": text})
        assert checked["is_valid"] is True
        assert ("spool.max_size", "live") in [(change["key"], change["effect"]) for change in checked["changes"]]
        bad = await operator.post(
            "configuration", {"text": "spool: {max_size: -1}", "base": checked["base"]}, status=422
        )
        assert bad["error"]["problems"][0]["key"] == "spool.max_size"
        applied = await operator.post("configuration", {"text": text, "base": checked["base"]})
        assert "spool.max_size" in applied["applied"]
        assert (await operator.get("streams"))["spool"]["limit_bytes"] == 128 << 20
        await operator.post("configuration", {"text": text, "base": checked["base"]}, status=409)
        await operator.post("configuration/reload")
        values = {item["key"]: item["value"] for item in (await operator.get("configuration"))["values"]}
        assert values["spool.max_size"] == "128MiB"
        events = (await operator.get("events?kind=configuration"))["events"]
        assert [event["state"] for event in events] == ["reloaded", "reloaded", "refused"]
        assert {event["user"] for event in events} == {"local"}
