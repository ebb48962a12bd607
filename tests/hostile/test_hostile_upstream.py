"""An upstream broker that answers our uplink with anything: ingest goes on, memory stays, nothing is released that was
not acknowledged, and once an honest broker has the port everything arrives, once."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.support.certificates import Authority
from tests.support.fleet import Fleet, publishing
from tests.support.hostile_broker import HostileBroker, Script
from tests.support.mosquitto import Mosquitto
from tests.support.ports import steady_port
from tests.support.site import GatewayProcess, ReceiverProcess, until
from tests.support.upstream_moves import MOVES, OPENINGS, Move, scripted
from tests.support.upstream_scripts import at_once, endless, named_scripts
from tests.support.vitals import MB, descriptors, rss_bytes

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("FUZZ_SEED", "1"))
CONVERSATIONS = int(os.environ.get("FUZZ_CONVERSATIONS", "80"))
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
        status = self.gateway.status()
        released = set(range(1, status["streams"]["telemetry"]["first_seq"])) - self.broker.taken()
        assert len(released) <= self.dead_letters(status), f"{name}: released without a reason: {released}, {status}"

    def dead_letters(self, status: dict[str, Any] | None = None) -> int:
        """Records that were condemned, as the broker's own refusals of single ones allow."""
        return int((status or self.gateway.status())["uplinks"]["cloud"]["dead_letters"])

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
        taken = len(self.broker.taken()) + self.dead_letters(edge)
        await self.receiver.until_received(edge["streams"]["telemetry"]["next_seq"] - 1 - taken)
        await self.receiver.until_settled()
        found = fleet.compare(self.receiver.database)
        assert found.duplicates == 0
        assert found.strangers == 0
        assert len(found.missing) <= taken, (len(found.missing), taken)
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
        assert it.dead_letters() == 0


def test_no_conversation_with_an_upstream_broker_loses_or_doubles_anything(tmp_path: Path) -> None:
    async def enter() -> tuple[Trap, Fleet]:
        it = await stack.enter_async_context(trap(tmp_path))
        fleet = await fleets.enter_async_context(publishing(it.gateway.endpoint, tmp_path, rate_per_s=100.0))
        await until(lambda: fleet.acknowledged > 50, "devices publish")
        return it, fleet

    async def leave() -> None:
        await it.make_peace()
        await it.gateway.until_uplink("online")
        await fleets.aclose()
        await it.arrived(fleet, rss_before=before)

    stack, fleets = contextlib.AsyncExitStack(), contextlib.AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            it, fleet = runner.run(enter())
            before = rss_bytes(it.pid)

            @seed(SEED)
            @settings(
                max_examples=CONVERSATIONS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(OPENINGS, MOVES)
            def converse(opening: bytes, moves: list[Move]) -> None:
                runner.run(it.play(f"{opening!r}, {moves!r}", scripted(opening, moves)))

            converse()
            runner.run(leave())
        finally:
            runner.run(fleets.aclose())
            runner.run(stack.aclose())


@pytest.mark.parametrize(
    ("name", "head", "filler"),
    [
        ("a CONNACK of 256 MB", b"", b"\x20\xff\xff\xff\x7f"),
        ("a PUBLISH of 256 MB", b"\x20\x03\x00\x00\x00", b"\x30\xff\xff\xff\x7f\x00\x01a\x00"),
        ("a PUBACK of 256 MB", b"\x20\x03\x00\x00\x00", b"\x40\xff\xff\xff\x7f\x00\x01"),
        ("QoS 2 without end", b"\x20\x03\x00\x00\x00", b""),
    ],
)
async def test_an_upstream_broker_that_sends_without_end_takes_no_memory(
    tmp_path: Path, name: str, head: bytes, filler: bytes
) -> None:
    async with trap(tmp_path) as it:
        await it.gateway.until_uplink("backing_off")
        before = most = rss_bytes(it.pid)
        it.broker.script = endless(head, filler)
        playing = asyncio.create_task(it.broker.played(5))
        while not playing.done():
            most = max(most, rss_bytes(it.pid))
            await asyncio.wait([playing], timeout=0.02)
        playing.result()
        assert most - before <= ROOM, f"{name}: memory grew by {(most - before) / MB:.1f} MB"
        await it.check(name)


async def test_an_upstream_broker_of_broken_tls_is_left_alone_and_nothing_of_it_stays(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    port = steady_port()
    gateway = GatewayProcess(
        tmp_path / "edge",
        cloud_port=port,
        uplink={
            "url": f"mqtts://localhost:{port}",
            "tls": {"ca_file": str(authority.ca_file)},
            "retry": {"first": "10ms", "max": "50ms"},
        },
        log={"level": "debug"},
    )
    hello = bytes.fromhex("160303004a0200004603035f") + bytes(200)
    with gateway:
        async with HostileBroker(port) as broker:
            await gateway.start()
            assert gateway.process is not None
            idle = len(descriptors(gateway.process.pid))
            for data in (
                b"",
                b"\x00" * 5000,
                b"HTTP/1.1 400\r\n\r\n",
                b"\x15\x03\x03\x00\x02\x02\x28",
                hello,
                hello[:20],
            ):
                broker.script = at_once(data)
                await broker.played(5)
                assert gateway.get("/healthz")[0] == 200, data
        for word in ("Traceback", " ERROR ", "CRITICAL"):
            assert word not in gateway.log
        # While nobody listens there, a connection is refused at once: no more is open than at the beginning.
        pid = gateway.process.pid
        await until(lambda: len(descriptors(pid)) <= idle, f"no descriptor stays: {descriptors(pid)}")
        assert gateway.process.poll() is None
        assert await gateway.stop() == 0
