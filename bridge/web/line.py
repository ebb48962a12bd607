"""The connection of a stream: whether it takes more, and since when it does not."""

from __future__ import annotations

import asyncio

from aiohttp import web


class Line:
    """The connection of a stream: whether it takes more, and since when it does not."""

    def __init__(self, request: web.BaseRequest, stuck_s: float) -> None:
        self._request = request
        self._stuck_s = stuck_s
        self._loop = asyncio.get_running_loop()
        self._busy_since_s: float | None = None

    @property
    def now_s(self) -> float:
        """The loop's time."""
        return self._loop.time()

    @property
    def is_open(self) -> bool:
        """Whether the caller is still there, as far as is known."""
        transport = self._request.transport
        return transport is not None and not transport.is_closing()

    @property
    def is_free(self) -> bool:
        """Whether what was written before has left; cuts off who takes nothing for too long."""
        transport = self._request.transport
        if transport is None or not transport.get_write_buffer_size():
            self._busy_since_s = None
            return True
        if self._busy_since_s is None:
            self._busy_since_s = self.now_s
        elif self.now_s - self._busy_since_s > self._stuck_s:
            transport.abort()
        return False

    async def write(self, response: web.StreamResponse, data: bytes) -> None:
        """Send it; who takes nothing for too long is cut off. Raises ConnectionError when he is gone."""
        try:
            async with asyncio.timeout(self._stuck_s):
                await response.write(data)
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """End it without a proper end, so that the caller knows that something is missing."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def end(self) -> None:
        """Nothing waits for a reader who is behind when the stream ends."""
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()
