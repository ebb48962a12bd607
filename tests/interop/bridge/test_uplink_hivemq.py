"""Gateway, uplink and receiver with a real HiveMQ Community Edition as the cloud's broker.

HiveMQ keeps sessions and what waits in them on its disk, and acknowledges a publish when it has done so. So a kill
loses nothing that it acknowledged, as long as no queue overflows (the last test shows what happens then).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Batch, Protocol
from tests.support.certificates import Authority
from tests.support.fleet import publishing
from tests.support.hivemq import HiveMq
from tests.support.road import road_through
from tests.support.uplink_scene import STREAM, Cloud, Scene, until

pytestmark = pytest.mark.slow

PASSWORDS = {"edge-01": "of the gateway", "receiver": "of the receiver"}
GATEWAY: dict[str, Any] = {"username": "edge-01", "password": PASSWORDS["edge-01"]}
RECEIVER: dict[str, Any] = {"username": "receiver", "password": PASSWORDS["receiver"]}
WHILE_CONNECTED: dict[str, Any] = {**RECEIVER, "clean_start": True, "session_expiry_s": 0}
TOPIC = f"fieldgate/v1/edge/{STREAM}"
LIMITS = """
<packets><max-packet-size>3000</max-packet-size></packets>
<receive-maximum><server-receive-maximum>3</server-receive-maximum></receive-maximum>
"""
DEFAULT_QUEUE = 1000
PATIENT_S = 30.0
"""For an acknowledgement, where a frame must not be sent again just because the machine is busy."""


@pytest.fixture(scope="module")
def small_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HiveMq]:
    """With narrow limits, for all tests that neither stop it nor mind a session of before."""
    with HiveMq(tmp_path_factory.mktemp("hivemq"), users=PASSWORDS, mqtt=LIMITS) as running:
        yield running


@pytest.mark.parametrize("how", ["MQTT 5, TLS", "MQTT 3.1.1"])
async def test_the_ledger_adds_up_over_a_broker_that_is_killed_under_load(tmp_path: Path, how: str) -> None:
    queue = "<queued-messages><max-queue-size>1000000</max-queue-size></queued-messages>"
    link: dict[str, Any] = {"protocol": "3.1.1"}
    certificate = None
    if how == "MQTT 5, TLS":
        authority = Authority(tmp_path)
        certificate = authority.server()
        link = {"protocol": "5", "tls": {"ca_file": str(authority.ca_file)}}
    with HiveMq(tmp_path, users=PASSWORDS, mqtt=queue, tls=certificate) as broker:
        scheme = "mqtts" if certificate else "mqtt"
        receiver = {**RECEIVER, **link, "url": f"{scheme}://127.0.0.1:{broker.port}"}
        async with road_through(broker, tmp_path, uplink={**GATEWAY, **link}, receiver=receiver) as road:
            # Through the link's proxy, as the road has it; only the scheme is another one.
            road.gateway.configuration["uplinks"][0]["url"] = f"{scheme}://127.0.0.1:{road.link.address.port}"
            await road.start()
            async with publishing(road.gateway.endpoint, tmp_path) as fleet:
                await road.receiver.until_received(300)
                broker.kill()
                await road.gateway.until_waiting(300)
                broker.start()
                await road.until_caught_up()
                await road.receiver.until_online()
            await road.arrived(fleet)
            assert road.receiver.status()["link"]["sessions_lost"] == 0


async def delivered(cloud: Cloud, records: int) -> None:
    """Wait until so many records arrived, and end the subscriber."""
    await until(lambda: len(cloud.seen) >= records)
    assert cloud.link is not None
    await cloud.link.close()


@pytest.mark.parametrize("protocol", [Protocol.V5, Protocol.V311])
async def test_limits_are_kept_and_a_record_beyond_them_is_found_out(small_broker: HiveMq, protocol: Protocol) -> None:
    cloud = Cloud()
    await cloud.connect(small_broker.port, **WHILE_CONNECTED)
    scene = Scene(small_broker.port, protocol=protocol, ack_timeout_s=PATIENT_S, **GATEWAY)
    scene.add(2, count=60)
    scene.outbox.add(STREAM, [b"before", random.randbytes(5000), b"after"])
    scene.add(6, count=60)
    await scene.until_released()
    retries = scene.uplink.status.retries
    await scene.stop()
    assert scene.outbox.of[STREAM].dead == {122: "too_large"}
    await delivered(cloud, scene.outbox.of[STREAM].next_seq - 2)
    if protocol is Protocol.V5:
        # It hangs up on who has more than its Receive Maximum of 3 in flight, or sends a packet beyond its limit.
        assert retries == 0


async def test_what_nobody_subscribes_to_waits_until_somebody_does(small_broker: HiveMq) -> None:
    scene = Scene(small_broker.port, topic="fieldgate/v1/{gateway}/elsewhere", **GATEWAY)
    scene.add(3)
    await until(lambda: "nobody subscribes" in scene.last_error)
    assert scene.watermark == 1
    assert not scene.outbox.of[STREAM].dead
    cloud = Cloud()
    await cloud.connect(small_broker.port, **WHILE_CONNECTED)
    await scene.until_released()
    await scene.stop()
    await delivered(cloud, scene.outbox.of[STREAM].next_seq - 1)


@pytest.mark.parametrize("protocol", [Protocol.V5, Protocol.V311])
async def test_what_a_rule_forbids_waits_until_it_is_allowed(small_broker: HiveMq, protocol: Protocol) -> None:
    cloud = Cloud()
    await cloud.connect(small_broker.port, **WHILE_CONNECTED)
    small_broker.deny(TOPIC)
    try:
        scene = Scene(small_broker.port, protocol=protocol, **GATEWAY)
        scene.add(3)
        await until(lambda: scene.uplink.status.retries > 10)
        if protocol is Protocol.V5:  # it is a DISCONNECT that says so, not a PUBACK; with 3.1.1 it just hangs up
            await until(lambda: "not authorized (0x87)" in scene.last_error)
        assert scene.watermark == 1
    finally:
        small_broker.allow()
    await scene.until_released()
    assert not scene.outbox.of[STREAM].dead
    await scene.stop()
    await delivered(cloud, scene.outbox.of[STREAM].next_seq - 1)


async def test_a_wrong_password_is_named(small_broker: HiveMq) -> None:
    scene = Scene(small_broker.port, username="edge-01", password="of somebody else")
    scene.add(1)
    await until(lambda: scene.last_error)
    await scene.stop()
    assert "refused CONNECT: not authorized (0x87): check username and password_file" in scene.last_error


async def test_its_queue_drops_the_newest_of_what_it_acknowledged_while_the_receiver_is_away(
    small_broker: HiveMq,
) -> None:
    """Not what anybody wants, but what it does; docs/how-to/hivemq-and-emqx.md says how to give it room."""
    cloud = Cloud()
    await cloud.connect(small_broker.port, **RECEIVER)
    assert cloud.link is not None
    await cloud.link.close()
    scene = Scene(small_broker.port, batch=Batch(max_records=1, linger_s=0.0), ack_timeout_s=PATIENT_S, **GATEWAY)
    scene.add(DEFAULT_QUEUE + 200, count=1, size=10)
    await scene.until_released()
    assert scene.uplink.status.retries == 0
    await scene.stop()
    await cloud.connect(small_broker.port, **RECEIVER)
    await until(lambda: len(cloud.seen) >= DEFAULT_QUEUE)
    await cloud.link.close()
    await cloud.connect(small_broker.port, **WHILE_CONNECTED)
    assert cloud.link is not None
    await cloud.link.close()
    assert sorted(cloud.seen) == list(range(1, DEFAULT_QUEUE + 1))
