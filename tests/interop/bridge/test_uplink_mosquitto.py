"""The uplink with its real link against a real broker that is killed, frozen, and restarted with its state lost."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import Protocol
from tests.support.mosquitto import Mosquitto
from tests.support.uplink_scene import STREAM, Cloud, Scene, until


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path, lines=["max_queued_messages 10000"]) as running:
        yield running


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("outage", ["kill", "freeze", "restart without state"])
async def test_every_record_arrives_through_an_outage(broker: Mosquitto, outage: str, protocol: Protocol) -> None:
    cloud = Cloud()
    await cloud.connect(broker.port)
    scene = Scene(broker.port, protocol=protocol)
    scene.add(20)
    await scene.until_released()
    begun = scene.outbox.of[STREAM].watermark
    scene.add(400)
    await scene.until_released(begun + 1)
    if outage == "freeze":
        broker.freeze()
        scene.add(5)
        await until(lambda: "acknowledged nothing" in (scene.uplink.status.last_error or ""))
        broker.thaw()
    else:
        if outage == "kill":
            broker.kill()
            await cloud.lost.wait()
            scene.add(5)
            broker.start()
        else:
            broker.restart(keep_state=False)
            await cloud.lost.wait()
        await cloud.connect(broker.port)
    scene.add(5)
    await scene.until_released()
    status = scene.uplink.status
    await scene.stop()
    it = scene.outbox.of[STREAM]
    assert not it.dead
    # What the broker acknowledged and lost with its state it lost after its word was given.
    if outage == "freeze":
        await until(lambda: cloud.seen == it.payloads)  # its PUBACK may be here before the subscriber has the frame
    assert {seq: it.payloads[seq] for seq in cloud.seen} == cloud.seen
    assert status.records >= it.next_seq - 1
    assert cloud.link is not None
    await cloud.link.close()


@pytest.mark.parametrize("line", ["max_packet_size 3000", "message_size_limit 3000"])
async def test_a_limit_is_kept_whether_the_broker_names_it_or_not(tmp_path: Path, line: str) -> None:
    async with Mosquitto(tmp_path, lines=[line]) as broker:
        cloud = Cloud()
        await cloud.connect(broker.port)
        scene = Scene(broker.port)
        scene.add(2, count=60)
        scene.outbox.add(STREAM, [b"before", random.randbytes(5000), b"after"])
        scene.add(1, count=60)
        await scene.until_released()
        await scene.stop()
        it = scene.outbox.of[STREAM]
        assert it.dead == {122: "too_large"}
        await until(lambda: len(cloud.seen) == it.next_seq - 2 and cloud.gaps)
        assert cloud.gaps == {122}
        assert cloud.link is not None
        await cloud.link.close()


async def test_a_record_that_a_broker_of_3_1_1_hangs_up_on_is_found_out(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path, lines=["max_packet_size 3000"]) as broker:
        scene = Scene(broker.port, protocol=Protocol.V311)
        scene.add(2, count=60)
        scene.outbox.add(STREAM, [b"before", random.randbytes(5000), b"after"])
        scene.add(1, count=60)
        await scene.until_released()
        await scene.stop()
        assert scene.outbox.of[STREAM].dead == {122: "too_large"}


async def test_a_user_without_the_right_to_publish_keeps_everything(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\n")
    async with Mosquitto(tmp_path, lines=[f"acl_file {acl}"]) as broker:
        scene = Scene(broker.port)
        scene.add(3)
        await until(lambda: "not authorized (0x87)" in (scene.uplink.status.last_error or ""))
        assert not scene.outbox.of[STREAM].dead
        assert scene.outbox.of[STREAM].watermark == 1
        await scene.stop()
