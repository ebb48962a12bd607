"""A real spool in a temporary folder, with its commit loop running, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bridge.record import Properties
from config.settings import GatewayIdentity, GatewaySettings, Stream, Uplink
from config.settings import Spool as SpoolSettings
from gateway.spool.ports import Outcome
from gateway.spool.spool import Spool

SECOND_US = 1_000_000


class StepClock:
    """Time that moves only when told to."""

    def __init__(self, now_us: int = 1_700_000_000 * SECOND_US) -> None:
        self.us = now_us
        self._set_by_us = 0

    def set(self, by_us: int) -> None:
        """The wall clock is set: no time has passed."""
        self.us += by_us
        self._set_by_us += by_us

    def now_us(self) -> int:
        return self.us

    def monotonic_s(self) -> float:
        return (self.us - self._set_by_us) / SECOND_US


class Commits:
    """A waiter whose commits can be awaited."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._numbers = itertools.count()

    def expect(self, spool: Spool, *, held_bytes: int = 0) -> asyncio.Future[Outcome]:
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        spool.after_commit(self, number, held_bytes=held_bytes)
        return future

    def on_commit(self, items: list[Any], outcome: Outcome) -> None:
        for item in items:
            self._waiting.pop(item).set_result(outcome)


def settings(
    folder: Path,
    *,
    streams: tuple[Stream, ...] = (Stream(name="telemetry", topics=("#",)),),
    uplinks: tuple[Uplink, ...] = (Uplink(),),
    **spool: Any,
) -> GatewaySettings:
    return GatewaySettings(
        gateway=GatewayIdentity(id="edge-01", data_dir=folder),
        streams=streams,
        uplinks=uplinks,
        spool=SpoolSettings(**spool),
    )


@contextlib.asynccontextmanager
async def running(of: GatewaySettings, clock: StepClock | None = None) -> AsyncIterator[Spool]:
    """The spool, open and committing; closed at the end, its commit loop's own failure raised."""
    spool = await Spool.open(of, clock=clock or StepClock())
    task = asyncio.create_task(spool.run())
    try:
        yield spool
        if not task.done():
            async with asyncio.timeout(20):
                await spool.flush()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await spool.close()


def put(
    spool: Spool,
    payloads: list[bytes],
    *,
    stream: int = 0,
    client: str = "device",
    topic: str = "plant/a",
    properties: list[Properties | None] | None = None,
) -> None:
    """Append publishes to the open commit."""
    spool.append(
        stream,
        client=client,
        now_us=spool.clock.now_us(),
        topics=[topic.encode()] * len(payloads),
        payloads=payloads,
        flags=bytes([2]) * len(payloads),
        plain_size_bytes=sum(len(payload) + 20 for payload in payloads),
        properties=properties,
    )


async def store(spool: Spool, payloads: list[bytes], **where: Any) -> Outcome:
    """Append publishes and wait for their commit."""
    put(spool, payloads, **where)
    async with asyncio.timeout(20):
        return await Commits().expect(spool)
