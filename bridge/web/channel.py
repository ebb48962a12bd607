"""One body that is looked at: computed once a tick, however many look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from bridge.web.answers import encoded
from bridge.web.errors import Problem
from bridge.web.pace import Pace

log = logging.getLogger(__name__)

Compute = Callable[[], Awaitable[Any]]
"""Makes the body; raises Problem."""


def event(name: str, data: bytes, number: int | None = None) -> bytes:
    """One server-sent event; `data` holds no newline."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), data)


class Channel:
    """One address that is looked at: its newest event, and who waits for the next."""

    def __init__(self, compute: Compute, tick_s: float, pace: Pace) -> None:
        self.watchers = 0
        self.version = 0
        self.newest = b""
        self.problem: Problem | None = None
        self._compute = compute
        self._tick_s = tick_s
        self._pace = pace
        self._data: bytes | None = None
        self._changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compute; on the running loop."""
        self._task = asyncio.create_task(self._run(), name="live body")

    def stop(self) -> None:
        """Compute no more, and wake who waits."""
        if self._task is not None:
            self._task.cancel()
        self._wake()

    async def changed(self, timeout_s: float) -> None:
        """Wait for a newer event, at most so long."""
        await asyncio.wait([self._changed], timeout=timeout_s)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + self._tick_s
            await self._read()
            # A body that takes longer than a tick leaves the loop to others for a while all the same.
            await asyncio.sleep(max(self._tick_s / 4, due_s - loop.time()))

    async def _read(self) -> None:
        try:
            async with self._pace.body():
                data, name, problem = encoded(await self._compute()), "body", None
        except Problem as error:
            data, name, problem = encoded(error.body()), "problem", error
        except asyncio.CancelledError:
            raise
        except Exception:  # whatever broke, those who look are told, and the next tick tries again
            log.exception("A live body could not be made.")
            problem = Problem(500, "The body could not be made; the log says why.")
            data, name = encoded(problem.body()), "problem"
        self.problem = problem
        if data != self._data:
            self._data = data
            self.version += 1
            self.newest = event(name, data, self.version)
            self._wake()

    def _wake(self) -> None:
        if not self._changed.done():
            self._changed.set_result(None)
        self._changed = asyncio.get_running_loop().create_future()
