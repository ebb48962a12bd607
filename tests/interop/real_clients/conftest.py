"""One gateway with every kind of door for the tests of real clients, and one of its own for each that kills it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.front_door import FrontDoor


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    """Shared by the tests, so clients and topics need names of their own."""
    site = FrontDoor(tmp_path_factory.mktemp("front-door"))
    with site.gateway:
        asyncio.run(site.gateway.start())
        yield site
        assert asyncio.run(site.gateway.stop()) == 0
        assert "Traceback" not in site.gateway.log


@pytest.fixture
async def own_site(tmp_path: Path) -> AsyncIterator[FrontDoor]:
    """For a test that kills it."""
    site = FrontDoor(tmp_path)
    with site.gateway:
        await site.gateway.start()
        yield site
        assert await site.gateway.stop() == 0
        assert "Traceback" not in site.gateway.log
