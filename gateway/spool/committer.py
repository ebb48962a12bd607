"""The commit loop: one commit at a time, the next one filling meanwhile.

While a commit runs on the database's thread, the open one takes what comes; when it ends, the open one is written, if
there is anything in it. Under load commits therefore batch themselves, and without load nothing waits. What was
released, expired, removed or dead-lettered goes along with the next commit, or makes one of its own after a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.database import Database
from bridge.ports import Clock
from gateway.spool.asked import Asked, Then
from gateway.spool.drop_notices import DropNotices
from gateway.spool.errors import SpoolError
from gateway.spool.lane import Lane
from gateway.spool.lane_update import update
from gateway.spool.open_commit import OpenCommit
from gateway.spool.plan import Job, LanePlan, Plan, Result
from gateway.spool.ports import Outcome, Table
from gateway.spool.progress import Progress, Steps
from gateway.spool.removals import Key
from gateway.spool.replay import Road, Taken
from gateway.spool.rows import DeadLetterTotal
from gateway.spool.transaction import Transactor

log = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 1.0
"""How long publishes are refused unseen after some were refused for lack of room."""
RELEASE_LINGER_S: Final = 0.2
"""A release or a removal waits this long for a commit to go along with. A crash before it only sends again what was
delivered."""
LAZY_LINGER_S: Final = 30.0
"""A row that nobody waits for wakes the disk no sooner than that."""
REMOVALS_AT_ONCE: Final = 16384
REMOVALS_WHEN_TIGHT: Final = 256
"""Removals of one table in one commit: so that no acknowledgement waits for a great cleaning; and so that there is room
for them in what a full disk has left."""


@dataclass(slots=True)
class Counters:
    """Totals since the process started."""

    commits: int = 0
    refused: int = 0
    lazy_lost: int = 0
    """Rows kept lazily that were lost for lack of room."""


class Committer:
    """Writes open commits, and lets the lanes and the waiters know."""

    def __init__(
        self,
        writer: Database,
        transactor: Transactor,
        lanes: Sequence[Lane],
        clock: Clock,
        *,
        is_synced_by_commit: bool = True,
    ) -> None:
        """`is_synced_by_commit`: a commit is on disk when it ends; else somebody calls `synced` from time to time."""
        self._is_synced_by_commit = is_synced_by_commit
        self._writer = writer
        self._transactor = transactor
        self._lanes = {lane.name: lane for lane in lanes}
        self._clock = clock
        self.open = OpenCommit()
        self.work = asyncio.Event()
        """Set by whoever put something into the open commit."""
        self.on_relief: list[Callable[[], None]] = []
        """Called once each, when the open commit is taken to be written and an empty one is there."""
        self.on_change: list[Callable[[], None]] = []
        """Called after every commit that added records or gaps."""
        self.is_refusing = False
        """Whether the last records were refused for lack of room, and nothing has made room since."""
        self._try_again_at_s = 0.0
        self.counters = Counters()
        self.progress = Progress()
        """How far the uplinks have come since the last commit."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._drop_notices = DropNotices()
        self._could_write = True
        self._is_expiry_due = False
        self._asked = Asked()
        self._between: list[tuple[Callable[[], None], asyncio.Future[None]]] = []
        self._release_timer: asyncio.TimerHandle | None = None
        self._lazy_timer: asyncio.TimerHandle | None = None
        self.dead_letters = DeadLetterTotal()
        """How many there are, as of the last commit that changed them."""
        self.streams: set[str] = set()
        """The names of the streams that the settings name: those that dead letters can go back to."""

    async def run(self) -> None:
        """Commit until cancelled. Raises SpoolCorrupt or SpoolUnusable: nothing more can be promised then."""
        try:
            while True:
                await self.work.wait()
                self.work.clear()
                self._idle.clear()
                try:
                    await self._commit()
                finally:
                    self._idle.set()
        finally:
            self._disarm()
            self._drop_notices.close()

    async def flush(self) -> None:
        """Wait until all that was given is committed; `run` must be running, and nobody giving more."""
        while True:
            if self.open or self._asked or self.progress:
                self.work.set()
            elif self._idle.is_set():
                return
            await asyncio.sleep(0)
            await self._idle.wait()
            if not self._could_write:
                return  # no room even for that: what was delivered will be sent again

    @property
    def has_room(self) -> bool:
        """False when records should not even be tried: some were refused a moment ago."""
        return not self.is_refusing or self._clock.monotonic_s() >= self._try_again_at_s

    async def settled(self) -> None:
        """Wait until the commit that is running, if any, has ended and the lanes tell of it."""
        await self._idle.wait()

    async def between_commits(self, change: Callable[[], None]) -> None:
        """Have `change` called when no commit is being written; the next one knows of it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._between.append((change, future))
        self.work.set()
        await future

    def add_lane(self, lane: Lane) -> None:
        """A stream that is new; call it on the event loop."""
        self._lanes[lane.name] = lane

    def drop_lane(self, name: str) -> None:
        """A stream that is not to be, where nothing ever went; call it between two commits."""
        del self._lanes[name]

    async def do(self, job: Job, then: Then | None = None) -> Any:
        """Have a job written with the next commit, durably; returns what it returned. Raises SpoolFull.

        `then` is called with that, on the event loop, whenever the job was written: also when this was cancelled.
        """
        future = self._asked.do(job, then)
        self.work.set()
        return await future

    async def replay(self, ids: Sequence[int], to: str | None = None) -> Taken:
        """Have dead letters go back into their streams with the next commit, through their own uplinks or through `to`.

        Raises SpoolFull, and SpoolBusy.
        """
        future = self._asked.replay(ids, to)
        self.work.set()
        return await future

    def keep_lazily(self, table: Table, key: Key, body: bytes) -> None:
        """Have a row go along with the next commit, which may be a while off."""
        self.open.keep_lazily(table, key, body)
        if self._lazy_timer is None:
            self._lazy_timer = asyncio.get_running_loop().call_later(LAZY_LINGER_S, self.work.set)

    async def write_lazy(self) -> None:
        """Write what was kept lazily since the last commit; `run` has ended. Where that fails it is lost."""
        lazy = self.open.lazy
        if any(lazy.values()):
            with contextlib.suppress(SpoolError):
                await self._writer.run(lambda connection: self._transactor.carry_out(connection, Plan(lazy=lazy)))

    def expire(self) -> None:
        """Have the next commit, which is now, look for records past their time-to-live."""
        self._is_expiry_due = True
        self.work.set()

    def note_watermark(self, uplink: str, lane: Lane, seq: int) -> None:
        """Everything of the stream below `seq` is delivered through `uplink`."""
        if self.progress.note(uplink, lane, seq):
            self.linger()

    def linger(self) -> None:
        """There is something that can wait a moment for a commit to go along with."""
        if self._release_timer is None:
            delay_s = RELEASE_LINGER_S if self._could_write else TRY_AGAIN_S
            self._release_timer = asyncio.get_running_loop().call_later(delay_s, self.work.set)

    def _disarm(self) -> None:
        for timer in (self._release_timer, self._lazy_timer):
            if timer is not None:
                timer.cancel()
        self._release_timer = self._lazy_timer = None

    async def _commit(self) -> None:
        between, self._between = self._between, []
        for change, future in between:
            change()
            if not future.done():
                future.set_result(None)
        commit, self.open = self.open, OpenCommit()
        relief, self.on_relief = self.on_relief, []
        asked, self._asked = self._asked, Asked()
        self._disarm()
        limit = REMOVALS_AT_ONCE if self._could_write else REMOVALS_WHEN_TIGHT
        self.open.removals = commit.removals.cut(limit, commit.kept, commit.lazy)
        try:
            steps = self.progress.take(self._lanes)
            plan = self._plan(commit, steps, asked)
            for callback in relief:  # behind the plan: what they let in belongs to the next commit
                callback()
            result: Result = await self._writer.run(lambda connection: self._transactor.carry_out(connection, plan))
        except BaseException as error:  # raised again: those who wait are told first
            asked.fail(error)
            for waiter, items in commit.waiters.items():
                waiter.on_commit(items, Outcome.FAILED)
            raise
        self.counters.commits += 1
        self.progress.settle(steps, is_written=result.written)
        if not result.written:
            self._put_back(commit, plan)
        self._could_write = result.written
        if not result.written or self.open.removals:
            self.linger()
        self._apply(commit, result)
        for waiter, items in commit.waiters.items():
            waiter.on_commit(items, result.outcome)
        asked.answer(result)
        if any(drop.gap.reason == "expired" for drop in result.drops):
            self.expire()  # there may be more of them
        if (result.sealed and self._is_synced_by_commit) or result.drops or asked:
            self.changed()

    def _put_back(self, commit: OpenCommit, plan: Plan) -> None:
        """Try again what is to be forgotten or removed, and notes. What the open commit has of it came later."""
        self.open.put_back(commit.lazy, plan.notes)
        self.open.removals.add_all(commit.removals)
        for client_id, snapshot in plan.sessions:
            if snapshot is None:
                self.open.sessions.setdefault(client_id, _forgotten)

    def changed(self) -> None:
        """Let everybody who reads the streams look again."""
        for callback in self.on_change:
            callback()

    def synced(self, ends: dict[str, int]) -> None:
        """The disk has every record below these numbers, by stream; only now may they leave."""
        for name, seq in ends.items():
            lane = self._lanes.get(name)
            if lane is not None:  # else it was taken back while the disk was busy
                lane.synced_seq = seq
        self.changed()

    def _plan(self, commit: OpenCommit, steps: Steps, asked: Asked) -> Plan:
        now_us = self._clock.now_us()
        is_expiry_due, self._is_expiry_due = self._is_expiry_due, False
        return Plan(
            lanes=[
                LanePlan(
                    stream=lane.id,
                    name=lane.name,
                    next_seq=lane.next_seq,
                    stored_end=lane.stored_end,
                    blocks=commit.blocks.get(lane.id, ()),
                    release_below=seq if (seq := steps.released.get(lane.name, 0)) > lane.first_seq else None,
                    expiry=lane.expiry(self._clock.monotonic_s(), now_us) if is_expiry_due else None,
                )
                for lane in self._lanes.values()
            ],
            sessions=[(client_id, snapshot()) for client_id, snapshot in commit.sessions.items()],
            watermarks=steps.watermarks,
            gaps_declared=steps.gaps_declared,
            kept=commit.kept,
            removals=commit.removals,
            jobs=asked.take_jobs(),
            replay=asked.replay_over(lambda: self._roads(now_us)),
            lazy=commit.lazy,
        )

    def _roads(self, now_us: int) -> dict[str, Road]:
        return {
            lane.name: Road(
                stream=lane.id,
                uplinks=tuple(lane.watermarks),
                oldest_us=now_us - int(lane.time_to_live_s * 1_000_000) if lane.time_to_live_s else None,
            )
            for lane in self._lanes.values()
            if lane.name in self.streams
        }

    def _apply(self, commit: OpenCommit, result: Result) -> None:
        """Let the lanes say what the rows now say."""
        update(self._lanes, result, self._drop_notices, is_synced=self._is_synced_by_commit)
        if result.sealed:
            now_s = self._clock.monotonic_s()
            for lane in self._lanes.values():
                lane.note_age(now_s)
        self.counters.lazy_lost += result.lazy_lost
        if result.dead_letters is not None:
            self.dead_letters = result.dead_letters
        rows = commit.kept.keys() - {Table.NOTE}  # which say nothing of the room that there is
        if result.outcome is Outcome.DURABLE:
            if result.sealed or rows:
                self.is_refusing = False
        elif (commit.blocks or rows) and result.outcome is Outcome.FULL:
            self._refuse(sum(block.count for blocks in commit.blocks.values() for block in blocks), result.error)
        elif result.outcome is Outcome.FAILED:
            log.error("%s Nothing of the last commit was stored.", result.error)
        if result.heads and not result.drops and result.outcome is Outcome.DURABLE:
            self.is_refusing = False

    def _refuse(self, records: int, error: SpoolError | None) -> None:
        self.counters.refused += records
        self._try_again_at_s = self._clock.monotonic_s() + TRY_AGAIN_S
        if not self.is_refusing:
            log.error("%s New records are refused until there is room.", error)
        self.is_refusing = True


def _forgotten() -> None:
    """The snapshot of a session that has ended."""
