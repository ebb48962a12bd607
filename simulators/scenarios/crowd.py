"""The devices of a plan at work: real MQTT clients that connect, lose their connections and publish when it says so."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from simulators.device_seam import DeviceOptions
from simulators.ledger import LedgerWriter
from simulators.scenarios.description import Cause, Session
from simulators.scenarios.member import Member
from simulators.scenarios.plan import Absence, Plan, PlannedMessage
from simulators.scenarios.tally import Tally
from simulators.units import Endpoint

DRAIN_TIMEOUT_S = 30.0
STOP_DRAIN_TIMEOUT_S = 5.0
NOT_SENT_IN_TIME = "still waiting at the end"
INTERRUPTED = "interrupted"

_LOOK_AGAIN_S = 0.05
"""A device with something to say may wait for its socket, which stirs nobody."""
_MAX_BATCH = 200
_CONNECTING_THREADS = 8
_CONNECTING = 0
_LEAVING = 1
_RETURNING = 2


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Switch:
    """A moment at which a device comes or goes."""

    at_s: float
    device: int
    kind: int
    cause: Cause | None = None


class Crowd:
    """All devices of a plan. `run` once; raises OSError when the ledger can't be written."""

    def __init__(self, plan: Plan, *, to: Endpoint, ledger: Path) -> None:
        self._plan = plan
        self._pool = ThreadPoolExecutor(_CONNECTING_THREADS, thread_name_prefix="device-connect")
        self._ledger = LedgerWriter(ledger)
        self._stirred = asyncio.Event()
        fleets = plan.scenario.fleets
        counts = [0] * len(fleets)
        for message in plan.messages:
            counts[plan.devices[message.device].fleet] += 1
        self.tallies = [
            Tally(name=fleet.name, devices=fleet.count, planned=planned)
            for fleet, planned in zip(fleets, counts, strict=True)
        ]
        self._members: list[Member] = []
        for device in plan.devices:
            fleet = fleets[device.fleet]
            options = DeviceOptions(
                to=to,
                protocol=fleet.protocol,
                window=fleet.window,
                keep_alive_s=fleet.keep_alive_s,
                session_expiry_s=3600 if fleet.session is Session.LASTING else 0,
            )
            self._members.append(
                Member(
                    device.client_id,
                    options,
                    self.tallies[device.fleet],
                    buffer=fleet.buffer,
                    pool=self._pool,
                    ledger=self._ledger,
                    stir=self._stirred.set,
                )
            )
        self._eager: dict[int, Member] = {}
        """Those with something to say."""

    @property
    def last_error(self) -> str | None:
        """Why one of those who want to be connected is not; None when all are."""
        return next((member.trouble for member in self._members if member.trouble), None)

    def refresh(self) -> list[Tally]:
        """The tallies, with what stands at this moment."""
        for tally in self.tallies:
            tally.connected = tally.in_flight = tally.waiting = 0
        for member in self._members:
            member.tally.connected += member.is_online
            member.tally.in_flight += member.in_flight
            member.tally.waiting += len(member.waiting)
        return self.tallies

    async def run(self, stop: asyncio.Event) -> None:
        """Everything in the plan; when `stop` is set, what is left of it is not done. Then the last answers."""
        work = asyncio.create_task(self._work(stop), name="scenario crowd")
        try:
            while not work.done():
                # What ends besides the work is a device's keeper that should not have ended: its error is ours.
                keepers = [member.keeper for member in self._members if member.keeper is not None]
                await asyncio.wait((work, *keepers), timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                for keeper in keepers:
                    if keeper.done():
                        keeper.result()
            work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def close(self) -> None:
        """Every device says goodbye; idempotent."""
        try:
            await asyncio.gather(*(member.close() for member in self._members))
        finally:
            self._pool.shutdown(wait=False)
            self._ledger.close()

    async def _work(self, stop: asyncio.Event) -> None:
        switches = deque(sorted(self._switches()))
        messages = deque(self._plan.messages)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        duration_s = self._plan.scenario.duration_s
        while not stop.is_set() and (elapsed_s := loop.time() - began_s) < duration_s:
            self._stirred.clear()
            self._do_due(switches, messages, elapsed_s)
            if self._publish():
                await asyncio.sleep(0)
                continue
            due_s = min([duration_s, *(queue[0].at_s for queue in (switches, messages) if queue)])
            left_s = began_s + due_s - loop.time()
            await self._until_stirred(min(left_s, _LOOK_AGAIN_S) if self._eager else left_s, stop)
        if stop.is_set():
            for switch in switches:
                if switch.kind == _RETURNING:  # who is away now comes back, to get his answers
                    self._switch(switch)
        else:  # what became due while this loop was held up
            self._do_due(switches, messages, math.inf)
        await self._drain(messages, is_stopped=stop.is_set())

    def _do_due(self, switches: deque[_Switch], messages: deque[PlannedMessage], elapsed_s: float) -> None:
        """Let come and go who is to, and give each device what it has to say by now."""
        while switches and switches[0].at_s <= elapsed_s:
            self._switch(switches.popleft())
        while messages and messages[0].at_s <= elapsed_s:
            message = messages.popleft()
            self._members[message.device].want(message)
            self._eager[message.device] = self._members[message.device]

    async def _drain(self, left: Iterable[PlannedMessage], *, is_stopped: bool) -> None:
        for message in left:  # there are none, unless it was interrupted
            self._members[message.device].tally.unsent[INTERRUPTED] += 1
        if is_stopped:
            for member in self._members:
                member.give_up(INTERRUPTED)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_DRAIN_TIMEOUT_S if is_stopped else DRAIN_TIMEOUT_S):
                while any(member.in_flight or (member.waiting and member.keeper) for member in self._members):
                    self._stirred.clear()
                    if self._publish():
                        await asyncio.sleep(0)
                    else:
                        await self._until_stirred(_LOOK_AGAIN_S)
        for member in self._members:
            member.give_up(NOT_SENT_IN_TIME)
        self._ledger.flush()

    async def _until_stirred(self, timeout_s: float, *more: asyncio.Event) -> None:
        """Until an answer came, one of the other events, or the time is over."""
        waits = [asyncio.create_task(event.wait()) for event in (self._stirred, *more)]
        try:
            await asyncio.wait(waits, timeout=max(0.0, timeout_s), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _switches(self) -> Iterable[_Switch]:
        for number, device in enumerate(self._plan.devices):
            yield _Switch(at_s=device.connects_at_s, device=number, kind=_CONNECTING)
            for absence in device.absences:
                yield from self._both(number, absence)

    @staticmethod
    def _both(number: int, absence: Absence) -> Iterable[_Switch]:
        yield _Switch(at_s=absence.begins_s, device=number, kind=_LEAVING, cause=absence.cause)
        yield _Switch(at_s=absence.ends_s, device=number, kind=_RETURNING)

    def _switch(self, switch: _Switch) -> None:
        member = self._members[switch.device]
        if switch.kind == _CONNECTING:
            member.start()
        elif switch.kind == _RETURNING:
            member.come_back()
        else:
            member.leave(switch.cause is Cause.POWER)

    def _publish(self) -> bool:
        """Publish what waits, as far as devices can speak, device after device; False when nothing could be."""
        batch: list[tuple[Member, PlannedMessage]] = []
        for number, member in tuple(self._eager.items()):
            ready = range(min(member.room, len(member.waiting), _MAX_BATCH - len(batch)))
            batch.extend((member, member.waiting.popleft()) for _ in ready)
            if not member.waiting:
                del self._eager[number]
            else:  # behind those who have not had their turn
                self._eager[number] = self._eager.pop(number)
            if len(batch) >= _MAX_BATCH:
                break
        for member, message in batch:
            member.note(message)
        self._ledger.flush()  # before sending: a crowd that is killed has told of everything it sent
        for member, message in batch:
            member.publish(message)
        return bool(batch)
