"""A whole road to the receiver's jsonl sink, with a local listener for clients that others wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.npm import npm_modules
from tests.support.site import GatewayProcess, ReceiverProcess


@dataclass(frozen=True, slots=True)
class Edge:
    """A gateway and the receiver that its records reach."""

    gateway: GatewayProcess
    receiver: ReceiverProcess

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.gateway.port

    async def received(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many records in all have arrived; those, in order."""
        await self.receiver.until_received(count)
        await self.receiver.until_settled()
        lines = self.receiver.lines()
        assert len(lines) == count, lines
        return lines


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with Mosquitto(tmp_path) as broker:
        gateway = GatewayProcess(tmp_path / "edge", cloud_port=broker.port)
        with gateway, ReceiverProcess(tmp_path / "cloud", cloud_port=broker.port) as receiver:
            await receiver.start()
            await receiver.until_online()
            await gateway.start()
            yield Edge(gateway, receiver)
            for process in (gateway, receiver):
                assert await process.stop() == 0
                assert "Traceback" not in process.log


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with npm's package `mqtt` installed."""
    return npm_modules(tmp_path_factory.mktemp("npm"), "mqtt@5")
