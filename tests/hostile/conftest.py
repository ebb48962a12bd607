"""A gateway to be mistreated, and what has to hold of it whatever was done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.honest import prove_alive
from tests.support.ports import steady_port
from tests.support.site import GatewayProcess, until
from tests.support.vitals import MB, descriptors, rss_bytes


@dataclass(slots=True)
class Victim:
    """A gateway process; `memory` and `files` are those of its beginning."""

    gateway: GatewayProcess
    memory: int = 0
    files: int = 0

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.gateway.port

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.gateway.process is not None
        return self.gateway.process.pid

    @property
    def grown(self) -> int:
        """How many bytes of memory it holds more than at the beginning."""
        return rss_bytes(self.pid) - self.memory

    def note(self) -> None:
        """From now on memory and files are compared with those of this moment."""
        self.memory, self.files = rss_bytes(self.pid), len(descriptors(self.pid))

    async def until_empty(self) -> None:
        """Wait until no connection is left."""
        await self.gateway.until(
            lambda status: not any(door["connections"] for door in status["listeners"]), "every connection is gone"
        )

    async def unharmed(self, *, room: int, name: str | None = None) -> None:
        """Alive, well, serves others; no fault in its log, no descriptor left, memory within `room` bytes."""
        await self.until_empty()
        log = self.gateway.log
        for word in ("Traceback", " ERROR ", "CRITICAL", "never retrieved", "never awaited"):
            at = log.find(word)
            assert at < 0, log[max(0, at - 1000) : at + 3000]
        await until(lambda: self.gateway.get("/healthz")[0] == 200, "it is well")
        await until(lambda: len(descriptors(self.pid)) <= self.files, "no file descriptor is left")
        assert self.grown <= room, f"memory grew by {self.grown / MB:.1f} MB"
        if name is None:
            await prove_alive(self.port)


Make = Callable[..., Victim]


@pytest.fixture
async def make_victim(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts a gateway with sections of its own; `await make_victim(sessions={...})`."""
    started: list[GatewayProcess] = []

    async def make(*, listener: dict[str, Any] | None = None, **sections: Any) -> Victim:
        port = steady_port()
        sections.setdefault("listeners", [{"name": "local", "bind": f"127.0.0.1:{port}", **(listener or {})}])
        sections.setdefault("log", {"level": "debug"})
        gateway = GatewayProcess(tmp_path / f"edge-{len(started)}", cloud_port=steady_port(), **sections)
        started.append(gateway)
        await gateway.start()
        victim = Victim(gateway)
        victim.note()
        return victim

    yield make
    for gateway in started:
        if gateway.is_running:
            assert await gateway.stop() == 0
        gateway.kill()


@pytest.fixture
async def victim(make_victim: Callable[..., Any]) -> Victim:
    """One with every default."""
    made: Victim = await make_victim()
    return made
