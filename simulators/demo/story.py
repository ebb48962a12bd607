"""The acts: it flows; the link is cut; the gateway is killed and comes back; the backlog drains; the ledger.

Every act waits for what it is about, with a limit; only the lengths of the outage and of the devices' day are times.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

from simulators.demo.child import Child
from simulators.demo.errors import DemoFailed
from simulators.demo.options import DemoOptions
from simulators.demo.scene import Scene
from simulators.demo.site import Site
from simulators.demo.verdict import Verdict, judge
from simulators.demo.watch import READY_TIMEOUT_S, Watch
from simulators.devices import FleetProgress, FleetResult
from simulators.link import LinkProxy
from simulators.units import counted

CUT_AT, KILL_AT, MEND_AT = 0.25, 0.4, 0.55
"""Parts of the duration at which the link is cut, the gateway is killed, the link is mended."""
DRAIN_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 15.0

RunFleet = Callable[[Callable[[FleetProgress], None], asyncio.Event], Awaitable[FleetResult]]


class Story:
    """Plays the acts on a stage that is set: everything runs and is ready."""

    def __init__(
        self,
        options: DemoOptions,
        site: Site,
        scene: Scene,
        *,
        watch: Watch,
        link: LinkProxy,
        gateway: Child,
        tell: Callable[[str], None],
        restart_gateway: Callable[[], Awaitable[None]],
    ) -> None:
        self._options = options
        self._site = site
        self._scene = scene
        self._watch = watch
        self._link = link
        self._gateway = gateway
        self._tell = tell
        self._restart_gateway = restart_gateway

    async def play(self, run_fleet: RunFleet) -> Verdict:
        """All acts, and the verdict. Raises DemoFailed when one of them does not come to its end."""
        stop = asyncio.Event()
        who = "A device publishes" if self._options.count == 1 else f"{self._options.count} devices publish"
        self._tell(f"{who}; records go to disk, are acknowledged, and leave in frames.")
        fleet = asyncio.create_task(self._fleet(run_fleet, stop), name="demo fleet")
        acts = asyncio.create_task(self._acts(), name="demo acts")
        try:
            await asyncio.wait((fleet, acts), return_when=asyncio.FIRST_COMPLETED)
            if fleet.done():
                fleet.result()
                raise DemoFailed("The devices stopped before they were told to.")
            acts.result()
            self._tell("The devices have said enough; they wait for their last acknowledgements.")
            stop.set()
            result = await fleet
        finally:
            for task in (acts, fleet):
                task.cancel()
            await asyncio.gather(acts, fleet, return_exceptions=True)
        if result.in_flight:
            raise self._gateway.failure(f"left {counted(result.in_flight, 'message')} unanswered")
        await self._drain()
        return await self._settle()

    async def _fleet(self, run_fleet: RunFleet, stop: asyncio.Event) -> FleetResult:
        def note(progress: FleetProgress) -> None:
            self._scene.fleet = progress

        return await run_fleet(note, stop)

    async def _acts(self) -> None:
        scene = self._scene
        if not await self._watch.until(lambda: scene.received > 0, timeout_s=READY_TIMEOUT_S):
            raise self._gateway.failure("delivered nothing to the receiver")
        await self._at(CUT_AT)
        self._link.cut()
        self._tell("The cloud link is cut; records wait on disk.")
        await self._watch.until(lambda: bool(scene.waiting) and scene.uplink != "online", timeout_s=READY_TIMEOUT_S)
        await self._at(KILL_AT)
        before = counted(scene.waiting or 0, "record")
        await self._gateway.kill()
        scene.saw_gateway(None)
        self._tell(f"The gateway was killed with SIGKILL, with {before} on its disk; it starts again.")
        await self._restart_gateway()
        if not await self._watch.until(lambda: scene.waiting is not None, timeout_s=READY_TIMEOUT_S):
            raise self._gateway.failure("does not answer after its restart")
        self._tell(f"The gateway is back, with {counted(scene.waiting or 0, 'record')}; the devices connect again.")
        await self._at(MEND_AT)
        self._link.restore()
        self._tell("The cloud link is back; the backlog drains while new records come in.")
        if not await self._watch.until(lambda: scene.uplink == "online", timeout_s=DRAIN_TIMEOUT_S):
            raise self._gateway.failure("did not find its way back to the cloud")
        most = self._options.rate_per_s * 2
        if await self._watch.until(
            lambda: scene.waiting is not None and scene.waiting <= most, timeout_s=DRAIN_TIMEOUT_S
        ):
            self._tell("The backlog is delivered; everything flows again.")
        await self._at(1.0)

    async def _at(self, part: float) -> None:
        """Until this part of the duration is over."""
        await asyncio.sleep(max(0.0, part * self._options.duration_s - self._scene.acted_s))

    async def _drain(self) -> None:
        scene = self._scene
        self._tell("The last records leave for the cloud.")
        if not await self._watch.until(lambda: scene.waiting == 0 and scene.in_flight == 0, timeout_s=DRAIN_TIMEOUT_S):
            raise self._gateway.failure(
                f"still had {counted(scene.waiting or 0, 'record')} after {DRAIN_TIMEOUT_S:g} s"
            )

    async def _settle(self) -> Verdict:
        """Compare, again and again while the receiver still has something to write."""
        self._tell("The receiver writes the last records; then the ledger is compared.")
        verdict = await self._judge()
        while verdict is None or not verdict.good:
            seen = self._scene.received
            if not await self._watch.until(lambda seen=seen: self._scene.received > seen, timeout_s=SETTLE_TIMEOUT_S):  # type: ignore[misc]
                break  # nothing came for so long, with nothing left in the gateway: nothing will
            verdict = await self._judge()
        verdict = await self._judge()
        if verdict is None:
            raise DemoFailed(f"The receiver wrote no {self._site.received_db}; see {self._site.log('receiver')}.")
        return verdict

    async def _judge(self) -> Verdict | None:
        """The verdict as of now; None while the receiver's database can't be read."""
        try:
            return await asyncio.to_thread(
                judge,
                self._site.ledger,
                self._site.received_db,
                duplicates_dropped=self._scene.duplicates,
                wire_bytes=self._link.counters.bytes_up,
            )
        except sqlite3.OperationalError:  # not there yet
            return None
