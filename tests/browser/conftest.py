"""A live site for each test: Mosquitto as the cloud, receiver, gateway, all as processes; one Chromium for all tests.

A Chromium takes as long to start as a site. It belongs to the loop that started it, so these tests run in one loop.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.dashboard import CHROMIUM, IS_THERE, Dashboard, chromium, dashboard
from tests.support.mosquitto import Mosquitto
from tests.support.ports import steady_port
from tests.support.raw_client import RawClient
from tests.support.site import GatewayProcess, ReceiverProcess
from tests.support.wire import V5

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are slow, need a browser, and share its loop."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.skipif(not IS_THERE, reason=f"{CHROMIUM} is not installed"))


@dataclass(slots=True, kw_only=True)
class Site:
    """The processes, and the devices that the test has connected."""

    broker: Mosquitto
    gateway: GatewayProcess
    receiver: ReceiverProcess
    stack: AsyncExitStack = field(repr=False)

    async def device(self, client_id: str, **more: Any) -> RawClient:
        """A connected device; it goes with the test."""
        client = await self.stack.enter_async_context(RawClient(self.gateway.port, version=V5))
        assert await client.connect(client_id, **more) == 0
        return client

    async def start_receiver(self) -> None:
        """Start the receiver; from here on there is somebody who takes the frames."""
        await self.receiver.start()
        await self.receiver.until_online()


STREAMS = [{"name": "alarms", "topics": ["alarms/#"]}, {"name": "telemetry", "topics": ["#"]}]


@asynccontextmanager
async def live_site(folder: Path, *, lines: list[str] | None = None, **sections: Any) -> AsyncIterator[Site]:
    """Broker and gateway run; the receiver is yet to be started."""
    broker = Mosquitto(folder, port=steady_port(), lines=lines or ["max_queued_messages 0"])
    sections.setdefault("streams", STREAMS)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(broker)
        gateway = stack.enter_context(GatewayProcess(folder / "edge", cloud_port=broker.port, **sections))
        receiver = stack.enter_context(ReceiverProcess(folder / "cloud", cloud_port=broker.port))
        site = Site(broker=broker, gateway=gateway, receiver=receiver, stack=stack)
        await gateway.start()
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The whole road, in good order."""
    async with live_site(tmp_path) as site:
        await site.start_receiver()
        yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser; each page has a context of its own in it, with nothing kept of others."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, site: Site) -> AsyncIterator[Dashboard]:
    """The gateway's dashboard; at the end it has to have been sound."""
    async with dashboard(browser, site.gateway.api_port) as page:
        yield page
        page.sound()
