"""An upstream broker that answers our uplink with anything: ingest goes on, memory stays, nothing is released that was
not acknowledged, and once an honest broker has the port everything arrives, once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import steady_port
from tests.support.fleet import Fleet, publishing
from tests.support.hostile_broker import HostileBroker, Script
from tests.support.mosquitto import Mosquitto
from tests.support.site import GatewayProcess, ReceiverProcess, until
from tests.support.upstream_scripts import named_scripts
from tests.support.vitals import MB, rss_bytes

pytestmark = pytest.mark.slow

ROOM = 30 * MB
"""What the gateway may take more than at the beginning; a window of frames, the backlog's bookkeeping."""


@dataclass(slots=True)
class Trap:
    """A gateway whose cloud is a hostile broker. An honest one, known to the receiver, has the port after it."""

    gateway: GatewayProcess
    receiver: ReceiverProcess
    honest: Mosquitto
    broker: HostileBroker
    seen: int = 0
    """How much of the log was looked through."""

    @property
    def pid(self) -> int:
        """The gateway's process id."""
        assert self.gateway.process is not None
        return self.gateway.process.pid

    async def check(self, name: str) -> None:
        """Alive, well, no fault in the log, and nothing gone from the spool that the broker did not acknowledge."""
        assert self.gateway.is_running, f"{name}: the gateway ended\n{self.gateway.log[-3000:]}"
        with self.gateway.log_path.open(errors="replace") as file:
            file.seek(self.seen)
            log, self.seen = file.read(), file.tell()
        for word in ("Traceback", " ERROR ", "CRITICAL", "never retrieved"):
            at = log.find(word)
            assert at < 0, f"{name}: {log[max(0, at - 1000) : at + 3000]}"
        await until(lambda: self.gateway.get("/healthz")[0] == 200, f"{name}: it is well")
        acknowledged = self.broker.watermark()
        status = self.gateway.status()
        released = status["streams"]["telemetry"]["first_seq"]
        spans = self.broker.acknowledged
        assert released <= acknowledged, f"{name}: released {released}, acknowledged {acknowledged}: {spans}, {status}"

    async def play(self, name: str, script: Script, *, times: int = 1) -> None:
        """Play a script to some connections, while the devices get their acknowledgements."""
        before = self.gateway.stream()["accepted"]
        self.broker.script = script
        try:
            await self.broker.played(times)
        except TimeoutError:
            raise AssertionError(f"{name}: the gateway did not come back\n{self.gateway.log[-2000:]}") from None
        await until(lambda: self.gateway.stream()["accepted"] > before, f"{name}: devices get their acknowledgements")
        await self.check(name)

    async def make_peace(self) -> None:
        """The honest broker takes the port, and the receiver comes."""
        await self.broker.stop()
        self.honest.start()
        await self.receiver.start()
        await self.receiver.until_online()

    async def arrived(self, fleet: Fleet, *, rss_before: int) -> None:
        """Everything that the hostile broker did not take has arrived, once."""
        edge = await self.gateway.until_drained()
        taken = len(self.broker.taken())
        await self.receiver.until_received(edge["streams"]["telemetry"]["next_seq"] - 1 - taken)
        await self.receiver.until_settled()
        found = fleet.compare(self.receiver.database)
        assert found.duplicates == 0
        assert found.strangers == 0
        assert len(found.missing) <= taken, (len(found.missing), taken)
        assert edge["uplinks"]["cloud"]["dead_letters"] == 0
        grown = rss_bytes(self.pid) - rss_before
        assert grown <= ROOM, f"memory grew by {grown / MB:.1f} MB"


@contextlib.asynccontextmanager
async def trap(folder: Path, **uplink: Any) -> AsyncIterator[Trap]:
    """All of it, with the receiver's session made and the hostile broker in the honest one's place."""
    honest = Mosquitto(folder, persistence=True, lines=["max_queued_messages 0"], port=steady_port())
    receiver = ReceiverProcess(folder / "cloud", cloud_port=honest.port)
    with honest, receiver:
        await receiver.start()
        await receiver.until_online()
        assert await receiver.stop() == 0
        honest.stop()
        gateway = GatewayProcess(
            folder / "edge",
            cloud_port=honest.port,
            uplink={"retry": {"first": "10ms", "max": "50ms"}, "ack_timeout": "500ms", **uplink},
            log={"level": "debug"},
        )
        with gateway:
            async with HostileBroker(honest.port) as broker:
                await gateway.start()
                yield Trap(gateway=gateway, receiver=receiver, honest=honest, broker=broker)


async def test_whatever_an_upstream_broker_answers_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    async with trap(tmp_path) as it:
        async with publishing(it.gateway.endpoint, tmp_path, rate_per_s=100.0) as fleet:
            await until(lambda: fleet.acknowledged > 50, "devices publish")
            before = rss_bytes(it.pid)
            for name, script in named_scripts().items():
                await it.play(name, script)
            await it.make_peace()
            await it.gateway.until_uplink("online")
        await it.arrived(fleet, rss_before=before)
