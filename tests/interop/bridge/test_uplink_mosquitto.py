"""The uplink with its real link against a real broker that is killed, frozen, and restarted with its state lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.compression import Codec
from bridge.frame import decode_frame
from bridge.link import LinkSettings, MqttLink
from bridge.ports import Delivery
from bridge.uplink import Uplink, link_factory
from config.settings import Batch, BrokerUrl, Protocol, Retry
from config.settings import Uplink as UplinkSettings
from tests.support.cloud import FakeOutbox
from tests.support.mosquitto import Mosquitto

STREAM = "telemetry"
TIMEOUT_S = 30.0


class SystemClock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def now_us(self) -> int:
        return time.time_ns() // 1000


async def until(holds: Callable[[], object]) -> None:
    """Return when it holds; a status has no event to wait for."""
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Cloud:
    """Subscribes to the frames and notes every record and gap of them; acknowledges at once."""

    def __init__(self) -> None:
        self.seen: dict[int, bytes] = {}
        self.gaps: set[int] = set()
        self.lost = asyncio.Event()
        self.link: MqttLink | None = None

    async def connect(self, port: int) -> None:
        self.lost.clear()
        url = BrokerUrl(host="127.0.0.1", port=port)
        self.link = MqttLink(LinkSettings(url=url, client_id="far", clean_start=False, session_expiry_s=600), self)
        await self.link.connect()
        await self.link.subscribe("fieldgate/v1/+/+", qos=1)

    def on_delivery(self, delivery: Delivery) -> None:
        frame = decode_frame(delivery.payload, 1 << 24, Codec())
        for block in frame.blocks:
            self.seen.update((record.seq, record.payload) for record in block)
        for gap in frame.header.gaps:
            self.gaps.update(range(gap.first_seq, gap.first_seq + gap.count))
        assert self.link is not None
        self.link.acknowledge(delivery)

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        raise AssertionError("it publishes nothing")

    def on_lost(self, error: Exception) -> None:
        self.lost.set()


class Scene:
    def __init__(self, port: int, **more: Any) -> None:
        settings = UplinkSettings(
            **{
                "url": BrokerUrl(host="127.0.0.1", port=port),
                "batch": Batch(max_records=200, max_size_bytes=64 * 1024, linger_s=0.02),
                "retry": Retry(first_s=0.05, max_s=0.2),
                "ack_timeout_s": 1.0,
                **more,
            }
        )
        self.outbox = FakeOutbox((STREAM,), now_us=SystemClock().now_us)
        self.outbox.on_release = self._released
        self.progress = asyncio.Event()
        self.uplink = Uplink(
            settings,
            gateway_id="edge",
            outbox=self.outbox,
            link_factory=link_factory(settings, gateway_id="edge"),
            clock=SystemClock(),
        )
        self.task = asyncio.create_task(self.uplink.run())

    def _released(self, _stream: str, next_seq: int) -> None:
        self.released = next_seq
        self.progress.set()

    def add(self, blocks: int, count: int = 50, size: int = 100) -> None:
        for _ in range(blocks):
            self.outbox.add(STREAM, [random.randbytes(size) for _ in range(count)], compressed=True)

    async def until_released(self, seq: int | None = None) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while self.outbox.of[STREAM].watermark < (seq or self.outbox.of[STREAM].next_seq):
                self.progress.clear()
                waiting = asyncio.create_task(self.progress.wait())
                done, _ = await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if self.task in done:
                    self.task.result()
                # The outbox notes the watermark right after it told of it.
                await asyncio.sleep(0)

    async def stop(self) -> None:
        await self.uplink.stop(2.0)
        await self.task


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
        assert cloud.seen == it.payloads
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
