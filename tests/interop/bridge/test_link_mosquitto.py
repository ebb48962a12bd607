"""The link against a real broker: what it promises its owner holds on a real wire."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import LinkLost, LinkRefused, LinkUnreachable
from bridge.link import LinkSettings, MqttLink
from bridge.ports import Delivery, Publish
from config.settings import BrokerUrl, Protocol, Tls
from tests.support.mosquitto import Mosquitto
from tests.support.ports import steady_port

TIMEOUT_S = 30.0


class Owner:
    """Keeps what the link tells it, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._changed = asyncio.Event()

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        self._note("acknowledged", packet_id, reason_code)

    def on_delivery(self, delivery: Delivery) -> None:
        self._note("delivery", delivery)

    def on_lost(self, error: Exception) -> None:
        self._note("lost", error)

    def _note(self, *event: Any) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: str, count: int = 1) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(TIMEOUT_S):
            while len(found := [event for event in self.events if event[0] == kind]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path) as running:
        yield running


def settings(port: int, client_id: str = "edge", **more: Any) -> LinkSettings:
    return LinkSettings(url=BrokerUrl(host="127.0.0.1", port=port), client_id=client_id, **more)


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_message_of_every_qos_arrives_and_is_acknowledged_with_its_packet_id(
    broker: Mosquitto, protocol: Protocol
) -> None:
    near, far = Owner(), Owner()
    subscriber = MqttLink(settings(broker.port, "far", protocol=protocol), far)
    publisher = MqttLink(settings(broker.port, "near", protocol=protocol), near)
    await subscriber.connect()
    await subscriber.subscribe("a/+", qos=1)
    await publisher.connect()
    payload = bytes(300_000)
    ids = [publisher.publish(Publish(topic=f"a/{qos}", payload=payload, qos=qos)) for qos in (0, 1, 2)]
    assert ids[0] == 0
    acknowledged = await near.until("acknowledged", 2)
    assert [(event[1], event[2]) for event in acknowledged] == [(ids[1], 0), (ids[2], 0)]
    deliveries = [event[1] for event in await far.until("delivery", 3)]
    assert sorted((d.topic, d.qos) for d in deliveries) == [("a/0", 0), ("a/1", 1), ("a/2", 1)]
    assert all(d.payload == payload for d in deliveries)
    await publisher.close()
    await subscriber.close()
    assert not [event for event in near.events + far.events if event[0] == "lost"]


async def test_a_frame_that_nobody_subscribes_to_is_acknowledged_with_0x10(broker: Mosquitto) -> None:
    owner = Owner()
    link = MqttLink(settings(broker.port), owner)
    await link.connect()
    packet_id = link.publish(Publish(topic="nobody", payload=b"x"))
    assert await owner.until("acknowledged") == [("acknowledged", packet_id, 0x10)]
    await link.close()


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_what_was_not_acknowledged_comes_again_to_the_same_session(broker: Mosquitto, protocol: Protocol) -> None:
    first, second = Owner(), Owner()
    durable = settings(broker.port, "far", protocol=protocol, clean_start=False, session_expiry_s=600)
    subscriber = MqttLink(durable, first)
    limits = await subscriber.connect()
    assert not limits.session_present
    await subscriber.subscribe("a/#", qos=1)
    publisher = MqttLink(settings(broker.port, "near", protocol=protocol), Owner())
    await publisher.connect()
    for payload in (b"one", b"two"):
        publisher.publish(Publish(topic="a/b", payload=payload))
    one, _two = [event[1] for event in await first.until("delivery", 2)]
    subscriber.acknowledge(one)
    await subscriber.close()
    again = MqttLink(durable, second)
    assert (await again.connect()).session_present
    (event,) = await second.until("delivery")
    assert event[1].payload == b"two"
    assert event[1].duplicate
    again.acknowledge(event[1])
    await again.close()
    await publisher.close()
    third = Owner()
    last = MqttLink(durable, third)
    assert (await last.connect()).session_present
    await last.subscribe("a/#", qos=1)
    assert third.events == []
    await last.close()


async def test_the_limits_of_the_connack_are_told(tmp_path: Path) -> None:
    lines = ["max_packet_size 4096", "max_inflight_messages 7"]
    async with Mosquitto(tmp_path, lines=lines) as broker:
        link = MqttLink(settings(broker.port), Owner())
        limits = await link.connect()
        await link.close()
    assert limits.maximum_packet_size_bytes == 4096
    assert limits.receive_maximum == 7


async def test_a_killed_broker_is_told_once_and_then_nothing_is_taken(broker: Mosquitto) -> None:
    owner = Owner()
    link = MqttLink(settings(broker.port), owner)
    await link.connect()
    broker.kill()
    ((_, error),) = await owner.until("lost")
    assert isinstance(error, LinkLost)
    with pytest.raises(LinkLost):
        link.publish(Publish(topic="a", payload=b"x"))
    await link.close()
    await link.close()
    assert len(owner.events) == 1


async def test_a_session_taken_over_is_lost_to_the_first_and_whole_for_the_second(broker: Mosquitto) -> None:
    owner = Owner()
    link = MqttLink(settings(broker.port, "same"), owner)
    await link.connect()
    other = MqttLink(settings(broker.port, "same"), Owner())
    await other.connect()
    ((_, error),) = await owner.until("lost")
    assert isinstance(error, LinkLost)
    other.publish(Publish(topic="a", payload=b"x"))
    await other.close()


async def test_a_broker_that_is_not_there_is_unreachable_with_a_sentence() -> None:
    port = steady_port()
    with pytest.raises(LinkUnreachable, match=f"mqtt://127.0.0.1:{port} refused the connection"):
        await MqttLink(settings(port), Owner()).connect()


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_wrong_password_is_refused_with_its_reason(tmp_path: Path, protocol: Protocol) -> None:
    async with Mosquitto(tmp_path, lines=["allow_anonymous false"]) as broker:
        owner = Owner()
        link = MqttLink(settings(broker.port, protocol=protocol), owner)
        with pytest.raises(LinkRefused, match="not authorized") as caught:
            await link.connect()
        assert caught.value.reason_code == 0x87
        await link.close()
        assert owner.events == []


async def test_a_frozen_broker_times_out_in_connect_and_in_close(broker: Mosquitto) -> None:
    owner = Owner()
    link = MqttLink(settings(broker.port, "one"), owner)
    await link.connect()
    broker.freeze()
    with pytest.raises(LinkUnreachable, match="did not answer within"):
        await MqttLink(settings(broker.port, "two", connect_timeout_s=0.2), Owner()).connect()
    link.publish(Publish(topic="a", payload=bytes(20_000_000)))
    assert link.unsent_bytes
    async with asyncio.timeout(TIMEOUT_S):
        await link.close()
    broker.thaw()
    assert owner.events == []


async def test_a_broker_that_falls_silent_is_lost_after_the_keep_alive(broker: Mosquitto) -> None:
    owner = Owner()
    link = MqttLink(settings(broker.port, keep_alive_s=1), owner)
    await link.connect()
    broker.freeze()
    ((_, error),) = await owner.until("lost")
    assert "did not answer within the keep-alive" in str(error)
    broker.thaw()
    await link.close()


async def test_a_broker_that_reads_nothing_is_given_up_before_memory_is(broker: Mosquitto) -> None:
    owner = Owner()
    link = MqttLink(settings(broker.port, max_unsent_bytes=30_000_000), owner)
    await link.connect()
    broker.freeze()
    message = Publish(topic="a", payload=bytes(10_000_000), qos=0)
    for _ in range(4):
        link.publish(message)
    with pytest.raises(LinkLost, match="does not read"):
        link.publish(message)
    ((_, error),) = await owner.until("lost")
    assert "unread" in str(error)
    broker.thaw()


async def test_drain_returns_when_everything_has_gone_to_the_socket(broker: Mosquitto) -> None:
    link = MqttLink(settings(broker.port), Owner())
    await link.connect()
    for _ in range(20):
        link.publish(Publish(topic="a", payload=bytes(1_000_000), qos=0))
    async with asyncio.timeout(TIMEOUT_S):
        await link.drain()
    assert link.unsent_bytes == 0
    await link.close()


async def test_properties_of_a_publish_travel(broker: Mosquitto) -> None:
    far = Owner()
    subscriber = MqttLink(settings(broker.port, "far"), far)
    await subscriber.connect()
    await subscriber.subscribe("a", qos=1)
    await subscriber.subscribe("$SYS/broker/version", qos=0)
    link = MqttLink(settings(broker.port), Owner())
    await link.connect()
    link.publish(
        Publish(
            topic="a",
            payload=b"x",
            retain=True,
            user_properties=(("k", "v"), ("k", "w")),
            content_type="text/plain",
            response_topic="r",
            correlation_data=b"\x00",
            payload_format_indicator=1,
            message_expiry_interval_s=60,
        )
    )
    await far.until("delivery", 2)
    await link.close()
    await subscriber.close()


async def test_a_cancelled_connect_leaves_nothing_open(broker: Mosquitto) -> None:
    broker.freeze()
    link = MqttLink(settings(broker.port), Owner())
    task = asyncio.create_task(link.connect())
    async with asyncio.timeout(TIMEOUT_S):
        while not link._watch.is_on:  # noqa: ASYNC110 - a turn of the loop, not a wait
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    broker.thaw()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that is its own authority."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, check=True, cwd=folder, capture_output=True, timeout=60)
    return folder


async def test_tls_carries_large_messages_both_ways_and_a_stranger_is_not_trusted(
    tmp_path: Path, certificates: Path
) -> None:
    cert, key = certificates / "cert.pem", certificates / "key.pem"
    async with Mosquitto(tmp_path, lines=[f"certfile {cert}", f"keyfile {key}"]) as broker:
        url = BrokerUrl(host="127.0.0.1", port=broker.port, tls=True)
        owner = Owner()
        link = MqttLink(LinkSettings(url=url, client_id="edge", tls=Tls(ca_file=cert)), owner)
        await link.connect()
        await link.subscribe("a", qos=1)
        payloads = [bytes([n]) * 500_000 for n in range(8)] + [b"small"] * 40
        for payload in payloads:
            link.publish(Publish(topic="a", payload=payload))
        deliveries = [event[1] for event in await owner.until("delivery", 20)]
        for delivery in deliveries:
            link.acknowledge(delivery)
        found = [event[1] for event in await owner.until("delivery", len(payloads) - 20)]
        assert [delivery.payload for delivery in found[:20]] == payloads[:20]
        await owner.until("acknowledged", len(payloads))
        await link.close()
        with pytest.raises(LinkUnreachable, match="not trusted"):
            await MqttLink(LinkSettings(url=url, client_id="edge"), Owner()).connect()
        tls = Tls(ca_file=tmp_path / "absent.pem")
        with pytest.raises(LinkUnreachable, match="not there"):
            await MqttLink(LinkSettings(url=url, client_id="edge", tls=tls), Owner()).connect()
