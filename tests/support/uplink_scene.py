"""An uplink with its real link, a spool in memory before it, and a subscriber behind the broker that notes it all."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from bridge.compression import Codec
from bridge.frame import decode_frame
from bridge.link import LinkSettings, MqttLink
from bridge.ports import Delivery
from bridge.uplink import Uplink, link_factory
from config.settings import Batch, BrokerUrl, Retry
from config.settings import Uplink as UplinkSettings
from tests.support.cloud import FakeOutbox

STREAM = "telemetry"
TIMEOUT_S = 60.0


class SystemClock:
    """The machine's own clocks."""

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

    async def connect(self, port: int, **more: Any) -> None:
        """Connect with a session that outlives the connection, and subscribe; `more` is laid over that."""
        self.lost.clear()
        settings = {"clean_start": False, "session_expiry_s": 600, **more}
        self.link = MqttLink(
            LinkSettings(url=BrokerUrl(host="127.0.0.1", port=port), client_id="far", **settings), self
        )
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
    """An uplink that runs, and its spool in memory; `more` is laid over settings with short times."""

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

    @property
    def watermark(self) -> int:
        """The first sequence number that is not released."""
        return self.outbox.of[STREAM].watermark

    @property
    def last_error(self) -> str:
        """What the uplink says of its last failure; empty when there is none."""
        return self.uplink.status.last_error or ""

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
