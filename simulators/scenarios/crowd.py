"""The devices of a plan at work: real MQTT clients that connect, lose their connections and publish when it says so."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from simulators.device_client import DeviceClient
from simulators.device_seam import DeviceOptions, State
from simulators.ledger import LedgerWriter, payload_id
from simulators.profiles import Message
from simulators.scenarios.description import Cause, Session
from simulators.scenarios.plan import Absence, Plan, PlannedMessage
from simulators.scenarios.tally import Tally
from simulators.units import Endpoint

DRAIN_TIMEOUT_S = 30.0
STOP_DRAIN_TIMEOUT_S = 5.0
BUFFER_FULL = "the device's buffer was full"
POWER_LOST = "lost with the device's power"
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
            while switches and switches[0].at_s <= elapsed_s:
                self._switch(switches.popleft())
            while messages and messages[0].at_s <= elapsed_s:
                message = messages.popleft()
                self._members[message.device].want(message)
                self._eager[message.device] = self._members[message.device]
            if self._publish():
                await asyncio.sleep(0)
                continue
            due_s = min([duration_s, *(queue[0].at_s for queue in (switches, messages) if queue)])
            left_s = began_s + due_s - loop.time()
            await self._until_stirred(min(left_s, _LOOK_AGAIN_S) if self._eager else left_s, stop)
        for switch in switches:
            if switch.kind == _RETURNING:  # at an interruption; else there is none left
                self._switch(switch)
        await self._drain(messages, is_stopped=stop.is_set())

    async def _drain(self, left: Iterable[PlannedMessage], *, is_stopped: bool) -> None:
        for message in left:
            self._members[message.device].tally.unsent[INTERRUPTED if is_stopped else NOT_SENT_IN_TIME] += 1
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


class Member:
    """One device with what it has yet to say; it is told of its connection's life (DeviceEvents)."""

    def __init__(
        self,
        client_id: str,
        options: DeviceOptions,
        tally: Tally,
        *,
        buffer: int,
        pool: ThreadPoolExecutor,
        ledger: LedgerWriter,
        stir: Callable[[], None],
    ) -> None:
        self.tally = tally
        self.waiting: deque[PlannedMessage] = deque()
        self.keeper: asyncio.Task[None] | None = None
        self._buffer = buffer
        self._ledger = ledger
        self._stir = stir
        self._sent_s: dict[str, float] = {}
        self._was_online = False
        self._is_away = False
        self._client = DeviceClient(client_id, options, self, pool)

    @property
    def room(self) -> int:
        """How many messages it may be given now."""
        return self._client.room

    @property
    def in_flight(self) -> int:
        """Publishes without an answer."""
        return self._client.in_flight

    @property
    def is_online(self) -> bool:
        """Whether it is connected."""
        return self._client.state is State.ONLINE

    @property
    def trouble(self) -> str | None:
        """Why it is not connected, though it wants to be."""
        return None if self.is_online or self._is_away else self._client.last_error

    def start(self) -> None:
        """Connect, and stay."""
        self.keeper = self._client.start()

    def leave(self, loses_power: bool) -> None:
        """Go without a word."""
        self._is_away = True
        if loses_power:
            self.tally.forgotten += len(self._client.lose_power())
            self._sent_s.clear()
            self.give_up(POWER_LOST)
        else:
            self._client.lose_network()

    def come_back(self) -> None:
        """Connect again."""
        self._is_away = False
        self._client.come_back()

    def want(self, message: PlannedMessage) -> None:
        """Say it as soon as possible; the oldest that waits gives way when there are too many."""
        if len(self.waiting) >= self._buffer:
            self.waiting.popleft()
            self.tally.unsent[BUFFER_FULL] += 1
        self.waiting.append(message)

    def give_up(self, reason: str) -> None:
        """Say nothing of what waits."""
        if self.waiting:
            self.tally.unsent[reason] += len(self.waiting)
            self.waiting.clear()

    def note(self, message: PlannedMessage) -> None:
        """Into the ledger, before it is sent."""
        name = payload_id(self._client.client_id, message.topic, message.payload)
        self._ledger.sent(name, self._client.client_id, message.topic, message.qos, message.payload)

    def publish(self, message: PlannedMessage) -> None:
        """Hand it to the socket."""
        name = payload_id(self._client.client_id, message.topic, message.payload)
        if message.qos:
            self._sent_s[name] = time.monotonic()
        self._client.publish(Message(topic=message.topic, payload=message.payload), qos=message.qos, name=name)
        self.tally.published += 1
        if message.bad is not None:
            self.tally.bad[message.bad] += 1

    async def close(self) -> None:
        """DISCONNECT when possible."""
        await self._client.close()

    # What the device tells (DeviceEvents).

    def on_online(self, session_present: bool) -> None:  # noqa: ARG002 -- it repeats either way
        self.tally.connects += 1
        self.tally.returned += self._was_online
        self._was_online = True
        self._ledger.flush()  # the `resent` lines, before paho repeats
        self._stir()

    def on_lost(self) -> None:
        self.tally.lost += 1

    def on_resend(self, name: str) -> None:
        self.tally.resent += 1
        self._ledger.resent(name)

    def on_received(self, name: str) -> None:
        self._ledger.received(name)

    def on_acknowledged(self, name: str) -> None:
        self.tally.acknowledged += 1
        if (sent_s := self._sent_s.pop(name, None)) is not None:
            self.tally.latencies_s.append(time.monotonic() - sent_s)
        self._ledger.acked(name)
        self._stir()

    def on_refused(self, name: str, reason: int) -> None:
        self.tally.refused[reason] += 1
        self._sent_s.pop(name, None)
        self._ledger.refused(name, reason)
        self._stir()
