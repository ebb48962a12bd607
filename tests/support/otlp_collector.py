"""A small OTLP collector of the tests' own, which takes the protobuf apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.support.ports import steady_port

TIMEOUT_S = 10


class Collector:
    """Listens at /v1/metrics."""

    def __init__(self) -> None:
        self.pushes: asyncio.Queue[ExportMetricsServiceRequest] = asyncio.Queue()
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.port = steady_port()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/v1/metrics", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        """Be away; `start` again is possible."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        body = await request.read()  # aiohttp has inflated it
        await self.pushes.put(ExportMetricsServiceRequest.FromString(body))
        return web.Response(status=self.status, text="no room")

    async def push(self) -> ExportMetricsServiceRequest:
        """The next push; waits for it."""
        return await asyncio.wait_for(self.pushes.get(), TIMEOUT_S)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector that listens."""
    collector = Collector()
    await collector.start()
    try:
        yield collector
    finally:
        await collector.stop()


def attributes(pairs: Any) -> dict[str, str]:
    """Labels as the protobuf has them, by name."""
    return {pair.key: pair.value.string_value for pair in pairs}
