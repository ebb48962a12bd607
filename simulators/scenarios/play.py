"""Plays a scenario: the devices and the link's weather, side by side, and then the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from simulators.comparison import Comparison, compare, received_ids
from simulators.demo.errors import DemoFailed
from simulators.demo.site import Site, held_ports, make_site
from simulators.ledger import payload_id, read_ledger
from simulators.link_model import LinkState
from simulators.scenarios.account import Account, dropped_by_policy, uplink_of
from simulators.scenarios.board import Board, BoardView
from simulators.scenarios.crowd import Crowd
from simulators.scenarios.description import EVERY_FLEET, Scenario, Weather
from simulators.scenarios.options import ScenarioOptions
from simulators.scenarios.plan import Plan, make_plan
from simulators.scenarios.road import SETTLE_TIMEOUT_S, Road
from simulators.scenarios.weather import apply_weather, describe_weather

REFRESH_EVERY_S = 0.25
_LOOK_AGAIN_S = 0.5


async def play_scenario(options: ScenarioOptions, *, console: Console, stop: asyncio.Event) -> Account:
    """Play it to its end, or until `stop` is set; either way there is a ledger.

    Raises PlanTooLarge, DemoFailed when a process of the road fails, and OSError when a file can't be written.
    """
    plan = make_plan(options.scenario, seed=options.seed)
    if options.record is not None:
        await asyncio.to_thread(_record, plan, options.record)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fieldgate-scenario-"))
    account: Account | None = None
    try:
        site = _site(folder)
        account = await _Play(options, plan, site, console, stop).run()
        return account
    finally:
        if options.folder is None and account is not None and account.adds_up:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        else:
            console.print(f"The files of this run are in {folder}.", markup=False, highlight=False, soft_wrap=True)


def _site(folder: Path) -> Site:
    try:
        return make_site(folder, usual_ports=False)
    except OSError as error:
        raise DemoFailed(f"No folder can be made in {folder}: {error.strerror or error}.") from error


def _record(plan: Plan, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in plan.lines())


class _Play:
    def __init__(self, options: ScenarioOptions, plan: Plan, site: Site, console: Console, stop: asyncio.Event) -> None:
        self._options = options
        self._plan = plan
        self._scenario: Scenario = plan.scenario
        self._site = site
        self._stop = stop
        self._road: Road | None = None
        self._board = Board(title=self._scenario.name, duration_s=self._scenario.duration_s)
        self._view = BoardView(self._board, console)
        self._elapsed_s = 0.0

    async def run(self) -> Account:
        self._view.open()
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.enter_context(held_ports(self._site))
                to = self._options.to
                if to is None:
                    self._view.tell("The cloud's broker, the receiver and the gateway start.")
                    self._road = await stack.enter_async_context(Road(self._scenario, self._site))
                    self._board.scene = self._road.scene
                    to = self._site.devices
                elif self._options.received is not None:
                    await asyncio.to_thread(self._refuse_earlier, self._options.received)
                crowd = Crowd(self._plan, to=to, ledger=self._site.ledger)
                stack.push_async_callback(crowd.close)
                refreshing = asyncio.create_task(self._refresh(crowd), name="scenario view")
                stack.push_async_callback(_cancel, refreshing)
                await self._guarded(self._perform(crowd))
                account: Account = await self._guarded(self._settle(crowd))
                return account
        finally:
            self._view.close()

    def _refuse_earlier(self, received: Path) -> None:
        """The same seed makes the same payloads: those of an earlier run would stand in for what this one loses."""
        if not received.exists():
            self._view.tell(f"{received} is not there yet; at the end it has to be.")
            return
        clients = [device.client_id for device in self._plan.devices]
        planned = {payload_id(clients[one.device], one.topic, one.payload) for one in self._plan.messages}
        earlier = sum(name in planned for name in self._readable(received))
        if earlier:
            raise DemoFailed(
                f"{received} has {earlier:,} messages of this schedule already, from an earlier run: nobody could tell "
                "whether those of this one arrive. Give another --seed, or begin with an empty file."
            )

    @staticmethod
    def _readable(received: Path) -> Iterator[str]:
        try:
            yield from received_ids(received)
        except (OSError, sqlite3.Error, ValueError) as error:
            raise DemoFailed(f"{received} can't be read: {error}. Give the receiver's .db or .jsonl.") from error

    async def _perform(self, crowd: Crowd) -> None:
        self._view.restart_clock()
        began_s = asyncio.get_running_loop().time()
        devices = len(self._plan.devices)
        self._view.tell(f"{devices} devices, {len(self._plan.messages):,} messages, schedule {self._plan.digest}.")
        if self._road is None and any(phase.link != Weather() for phase in self._scenario.phases):
            self._view.tell("The link's weather is left out: the link of a gateway that is there is its own.")
        weather = asyncio.create_task(self._phases(), name="scenario phases")
        try:
            await crowd.run(self._stop)
        finally:
            if not weather.done():
                await _cancel(weather)
            self._elapsed_s = asyncio.get_running_loop().time() - began_s
        if not weather.cancelled():
            weather.result()

    async def _phases(self) -> None:
        began_s = asyncio.get_running_loop().time()
        weather = Weather()
        for phase, start_s in zip(self._scenario.phases, self._scenario.phase_starts_s, strict=True):
            await asyncio.sleep(began_s + start_s - asyncio.get_running_loop().time())
            words = [f"Phase {phase.name}"]
            for outage in phase.outages:
                who = "all devices" if outage.fleet == EVERY_FLEET else outage.fleet
                words.append(f"{who} lose their {outage.cause.value}")
            if self._road is not None and phase.link != weather:
                apply_weather(self._road.link, phase.link)
                words.append(f"the link is {describe_weather(phase.link)}")
            weather = phase.link
            self._view.tell("; ".join(words) + ".")
        ends_s = began_s + self._scenario.duration_s
        await asyncio.sleep(max(0.0, ends_s - asyncio.get_running_loop().time()))
        self._clear_up()

    def _clear_up(self) -> None:
        """The link is well again: what is left has to arrive."""
        if self._road is not None:
            apply_weather(self._road.link, Weather())

    async def _settle(self, crowd: Crowd) -> Account:
        self._clear_up()
        self._view.tell(
            "Interrupted; the ledger is made of what happened until here."
            if self._stop.is_set()
            else "The devices are done; the last records leave for the cloud, and the ledger is compared."
        )
        if self._road is not None:
            await self._road.is_drained()
        account = await self._account(crowd)
        moves = True
        while moves and account.knows_arrivals and not account.adds_up:
            moves = await self._more_arrives(account)
            account = await self._account(crowd)  # without a move, too: the last one may have come while it was made
        return account

    async def _more_arrives(self, account: Account) -> bool:
        if self._road is not None:
            return await self._road.more_arrives()
        for _ in range(round(SETTLE_TIMEOUT_S / _LOOK_AGAIN_S)):
            await asyncio.sleep(_LOOK_AGAIN_S)
            comparison = await asyncio.to_thread(self._compare)
            if comparison is not None and comparison.received_records > account.comparison.received_records:
                return True
        return False

    async def _account(self, crowd: Crowd) -> Account:
        tallies = tuple(replace(tally) for tally in crowd.refresh())  # as they stand: the devices still say goodbye
        comparison = await asyncio.to_thread(self._compare)
        more: dict[str, Any] = {}
        road = self._road
        if road is not None:
            gateway = await road.ask_gateway()
            if gateway is None:
                raise DemoFailed(f"The gateway does not answer; see {self._site.log('gateway')}.")
            more = {
                "dropped": dropped_by_policy(gateway),
                "declared": int((road.scene.receiver or {}).get("dropped", 0)),
                "duplicates_dropped": road.scene.duplicates,
                "undeclared": int((road.scene.receiver or {}).get("missing", 0)),
                "waiting": road.scene.waiting or 0,
                "uplink": uplink_of(
                    gateway,
                    road.link.counters,
                    cut_s=road.weather.lasted_s(LinkState.CUT),
                    silent_s=road.weather.lasted_s(LinkState.BLACK_HOLE),
                ),
            }
        return Account(
            scenario=self._scenario.name,
            seed=self._plan.seed,
            digest=self._plan.digest,
            elapsed_s=self._elapsed_s,
            is_interrupted=self._stop.is_set(),
            tallies=tallies,
            comparison=comparison or compare(read_ledger(self._site.ledger), ()),
            knows_arrivals=comparison is not None,
            **more,
        )

    def _compare(self) -> Comparison | None:
        """None when nobody can say what arrived."""
        received = self._site.received_db if self._options.to is None else self._options.received
        if received is None:
            return None
        try:
            return compare(read_ledger(self._site.ledger), self._readable(received))
        except DemoFailed as failed:
            if self._options.to is None and isinstance(failed.__cause__, sqlite3.OperationalError):
                return compare(read_ledger(self._site.ledger), ())  # the receiver has written nothing yet
            raise

    async def _refresh(self, crowd: Crowd) -> None:
        while True:
            self._board.tallies = crowd.refresh()
            self._board.trouble = crowd.last_error
            self._view.refresh()
            await asyncio.sleep(REFRESH_EVERY_S)

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`. Raises DemoFailed when a process of the road died meanwhile."""
        if self._road is None:
            return await work
        task = asyncio.create_task(work, name="scenario work")
        try:
            await asyncio.wait((task, self._road.death), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._road.death.result()
            return task.result()
        finally:
            await _cancel(task)


async def _cancel(task: asyncio.Task[Any]) -> None:
    """End a task of ours; its own failure, if any, has been told by whoever waits for its result."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
