"""Asks the processes how they are: readiness while they start, then their status, a few times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

import aiohttp

from simulators.demo.child import Child
from simulators.demo.scene import Scene, Status
from simulators.demo.site import Site
from simulators.units import Endpoint

EVERY_S = 0.25
READY_TIMEOUT_S = 30.0
_ASK_TIMEOUT_S = 5.0


class Watch:
    """Keeps the scene up to date while it is entered."""

    def __init__(self, site: Site, scene: Scene) -> None:
        self._site = site
        self._scene = scene
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._asked = self._answered = 0  # rounds of questions

    async def __aenter__(self) -> Watch:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASK_TIMEOUT_S))
        self._task = asyncio.create_task(self._follow(), name="demo watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until what is asked from now on fulfils a condition; False when it did not in time.

        What is known already may be from before what the caller just did.
        """
        known = self._asked

        def is_fulfilled() -> bool:
            return self._answered > known and condition()

        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(is_fulfilled)
        except TimeoutError:
            return is_fulfilled()
        return True

    async def ready(self, child: Child, api: Endpoint) -> None:
        """Wait until /readyz says yes. Raises DemoFailed when it does not in time, or the process ends."""
        await self._start_up(child, lambda: self._is_ready(api))

    async def listening(self, child: Child, endpoint: Endpoint) -> None:
        """Wait until something takes connections there. Raises DemoFailed as `ready` does."""
        await self._start_up(child, lambda: _takes_connections(endpoint))

    async def _start_up(self, child: Child, is_up: Callable[[], Any]) -> None:
        ended = asyncio.create_task(child.ended())
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not await is_up():
                    done, _ = await asyncio.wait([ended], timeout=0.05)
                    if done:
                        raise child.failure(f"ended with exit code {ended.result()} while it started")
        except TimeoutError:
            raise child.failure(f"was not ready within {READY_TIMEOUT_S:g} s") from None
        finally:
            ended.cancel()

    async def _is_ready(self, api: Endpoint) -> bool:
        assert self._session is not None, "entered before"  # noqa: S101 -- the order is the demo's own
        try:
            async with self._session.get(f"http://{api}/readyz") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _follow(self) -> None:
        while True:
            self._asked += 1
            gateway, receiver = await asyncio.gather(
                self._status(self._site.gateway_api), self._status(self._site.receiver_api)
            )
            self._scene.saw_gateway(gateway)
            self._scene.receiver = receiver or self._scene.receiver
            self._answered = self._asked
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(EVERY_S)

    async def _status(self, api: Endpoint) -> Status | None:
        assert self._session is not None, "entered before"  # noqa: S101 -- the order is the demo's own
        try:
            async with self._session.get(f"http://{api}/api/v1/status") as response:
                status: Status = await response.json()
                return status if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


async def _takes_connections(endpoint: Endpoint) -> bool:
    try:
        _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except OSError:
        return False
    writer.close()
    return True
