"""One gateway with every kind of door for the tests of real clients, and one of its own for each that kills it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.front_door import Door, FrontDoor
from tests.support.real_clients import kinds
from tests.support.real_clients.npm import NodeProcess
from tests.support.real_clients.peer import Peer


class Clients(Protocol):
    """Makes a client; its kind is a name and a version, as `npm-5`. It is closed when the test ends."""

    async def __call__(self, kind: str, door: Door, client_id: str, **options: Any) -> Peer: ...


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


@pytest.fixture
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    """Clients of every kind."""
    made: list[Peer] = []
    nodes: list[NodeProcess] = []

    async def make(kind: str, door: Door, client_id: str, **options: Any) -> Peer:
        if kind.startswith("npm") and not nodes:
            node = NodeProcess(request.getfixturevalue("modules"))
            await node.start()
            nodes.append(node)
        peer = kinds.made(kind, door, client_id, node=nodes[0] if nodes else None, **options)
        made.append(peer)
        return peer

    yield make
    for peer in made:
        await peer.close()
    for node in nodes:
        await node.stop()
