"""Gateway, uplink and receiver with a real Apache ActiveMQ Artemis as the cloud's broker."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import Protocol
from tests.support.artemis import Artemis
from tests.support.fleet import publishing
from tests.support.road import road_through
from tests.support.uplink_scene import STREAM, Cloud, Scene, until

pytestmark = pytest.mark.slow

PATIENT_S = 30.0
"""For an acknowledgement: a frame must not be sent again just because the machine is busy."""


@pytest.fixture(scope="module")
def small_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artemis]:
    """With narrow limits, for all tests that do not stop it."""
    with Artemis(tmp_path_factory.mktemp("artemis"), acceptor="receiveMaximum=3;maximumPacketSize=3000") as running:
        yield running


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_ledger_adds_up_over_a_broker_that_is_killed_under_load(tmp_path: Path, protocol: str) -> None:
    how = {"protocol": protocol}
    with Artemis(tmp_path) as broker:
        async with road_through(broker, tmp_path, uplink=how, receiver=how) as road:
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


async def test_limits_are_kept_and_a_record_beyond_them_is_found_out(small_broker: Artemis) -> None:
    cloud = Cloud()
    await cloud.connect(small_broker.port, clean_start=True, session_expiry_s=0)
    scene = Scene(small_broker.port, protocol=Protocol.V5, ack_timeout_s=PATIENT_S)
    scene.add(2, count=60)
    scene.outbox.add(STREAM, [b"before", random.randbytes(5000), b"after"])
    scene.add(6, count=60)
    await scene.until_released()
    assert scene.uplink.status.retries == 0
    await scene.stop()
    assert scene.outbox.of[STREAM].dead == {122: "too_large"}
    await until(lambda: len(cloud.seen) >= scene.outbox.of[STREAM].next_seq - 2)
    assert cloud.link is not None
    await cloud.link.close()


async def test_what_nobody_subscribes_to_is_acknowledged_with_success_all_the_same(small_broker: Artemis) -> None:
    """So a receiver has to be there before the gateway; docs/how-to/hivemq-and-emqx.md says so."""
    elsewhere = "fieldgate/v1/{gateway}/elsewhere"
    scene = Scene(small_broker.port, topic=elsewhere, protocol=Protocol.V5, ack_timeout_s=PATIENT_S)
    scene.add(3)
    await scene.until_released()
    assert scene.uplink.status.retries == 0
    await scene.stop()
