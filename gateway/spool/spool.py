"""The spool: takes publishes from the broker, gives blocks to the uplinks, and forgets only what may be forgotten.

One commit runs at a time, on the database's thread. While it runs, the next one fills; when it ends, the next one
starts, if there is anything in it. Under load commits therefore batch themselves, and without load nothing waits.
What was released, expired or dead-lettered goes along with the next commit, or makes one of its own after a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from bridge.database import Database, open_database
from bridge.ports import Clock
from bridge.record import Properties
from config.settings import MIB, GatewaySettings, Uplink, WhenFull
from gateway.spool.errors import SpoolCorrupt, SpoolError, SpoolFull
from gateway.spool.folder import DataFolder
from gateway.spool.gaps import EVERYONE
from gateway.spool.lane import Lane
from gateway.spool.loading import load_lanes, load_sessions
from gateway.spool.open_commit import MAX_BLOCK_BYTES, Columns, OpenCommit
from gateway.spool.outbox import UplinkOutbox
from gateway.spool.ports import Outcome, Waiter
from gateway.spool.recovery import Salvage, mark_damaged, recover
from gateway.spool.schema import PAGE_SIZE_BYTES
from gateway.spool.transaction import Job, LanePlan, Plan, Result, Transactor

log = logging.getLogger(__name__)

RELEASE_LINGER_S: Final = 0.2
"""A release waits this long for a commit to go along with. A crash before it only sends again what was delivered."""
MAINTENANCE_INTERVAL_S: Final = 5.0
CONGESTED_BYTES: Final = 4 * MIB


@dataclass(slots=True)
class Counters:
    """Totals since the process started."""

    commits: int = 0
    refused: int = 0


class Spool:
    """See above. Made by `Spool.open`; `run` is the commit loop, owned by the composition root."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        folder: DataFolder,
        writer: Database,
        reader: Database,
        transactor: Transactor,
        lanes: Sequence[Lane],
        sessions: dict[str, bytes],
        clock: Clock,
        salvage: Salvage | None,
    ) -> None:
        self._settings = settings.spool
        self._folder = folder
        self._writer = writer
        self.reader = reader
        self._transactor = transactor
        self._sessions = sessions
        self._clock = clock
        self.salvage = salvage
        self.lanes = {lane.name: lane for lane in lanes}
        self._streams = [self.lanes[stream.name] for stream in settings.streams]
        self._max_records = min((uplink.batch.max_records for uplink in settings.uplinks), default=2000)
        self._frame_bytes = min((uplink.batch.max_size_bytes for uplink in settings.uplinks), default=128 * 1024)
        self._congested_bytes = min(CONGESTED_BYTES, self._settings.max_size_bytes // 16)
        self._open = OpenCommit()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._on_relief: list[Callable[[], None]] = []
        self._on_change: list[Callable[[], None]] = []
        self._dirty_watermarks: set[tuple[str, str]] = set()
        self._expiry_due = False
        self._jobs: list[tuple[Job, asyncio.Future[Any]]] = []
        self._release_timer: asyncio.TimerHandle | None = None
        self._was_full = False
        self.failure: str | None = None
        """What ended the commit loop; None while the store can be trusted."""
        self.counters = Counters()

    @classmethod
    async def open(cls, settings: GatewaySettings, *, clock: Clock) -> Spool:
        """Lock the folder, open (or save from) the database, read where every stream stands.

        Raises DataFolderInUse, SpoolVersionError, SpoolUnusable. Takes the same time whatever the backlog.
        """
        max_bytes = settings.spool.max_size_bytes
        folder = DataFolder(settings.gateway.data_dir, reserve_bytes=min(MIB, max_bytes // 16))
        folder.open()
        opened: list[Database] = []
        try:
            salvage = recover(folder)
            if salvage:
                log.error("%s", salvage)
            folder.keep_reserve()
            wal_pages = min(1024, max(64, max_bytes // 8 // PAGE_SIZE_BYTES))
            interval = settings.spool.durability_s is not None
            writer = await open_database(folder.database, synchronous="NORMAL" if interval else "FULL")
            opened.append(writer)
            reader = await open_database(folder.database, synchronous="FULL")
            opened.append(reader)
            await writer.execute(f"PRAGMA wal_autocheckpoint = {wal_pages}")
            await writer.execute(f"PRAGMA journal_size_limit = {2 * wal_pages * PAGE_SIZE_BYTES}")
            await writer.execute("PRAGMA cache_size = -8192")
            # Debian's SQLite overwrites what is deleted with zeros by default: that would write every byte twice.
            await writer.execute("PRAGMA secure_delete = OFF")
            lanes = await writer.transaction(partial(load_lanes, settings=settings))
            return cls(
                settings=settings,
                folder=folder,
                writer=writer,
                reader=reader,
                transactor=Transactor(
                    folder,
                    max_pages=max_bytes // PAGE_SIZE_BYTES - 2 * wal_pages,
                    when_full=settings.spool.when_full,
                ),
                lanes=lanes,
                sessions=await writer.run(load_sessions),
                clock=clock,
                salvage=salvage,
            )
        except BaseException:  # raised again: only what was opened must not stay open
            for database in opened:
                await database.close()
            folder.close()
            raise

    # What the broker uses (gateway.spool.ports.Store).

    def append(
        self,
        stream: int,
        *,
        client: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        plain_size_bytes: int,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        lane = self._streams[stream]
        self._open.append(
            lane.id,
            Columns(client, now_us, topics, payloads, flags, plain_size_bytes, properties),
            max_records=self._max_records,
            max_bytes=min(MAX_BLOCK_BYTES, int(self._frame_bytes / lane.ratio)),
        )
        self._work.set()

    def remember(self, client_id: str, snapshot: Callable[[], bytes | None]) -> None:
        self._open.sessions[client_id] = snapshot
        self._work.set()

    def after_commit(self, waiter: Waiter, item: Any) -> None:
        items = self._open.waiters.get(waiter)
        if items is None:
            self._open.waiters[waiter] = [item]
        else:
            items.append(item)
        self._work.set()

    @property
    def has_room(self) -> bool:
        """False while the last commit was refused for lack of room."""
        return not self._was_full

    @property
    def is_congested(self) -> bool:
        return self._open.size_bytes >= self._congested_bytes

    def on_relief(self, callback: Callable[[], None]) -> None:
        self._on_relief.append(callback)

    def sessions(self) -> dict[str, bytes]:
        sessions, self._sessions = self._sessions, {}
        return sessions

    # What the uplinks use, through `outbox`.

    def outbox(self, uplink: Uplink) -> UplinkOutbox:
        """The view of one uplink; it carries the streams that the settings name, and old ones that match."""
        return UplinkOutbox(self, uplink.name, [lane for lane in self.lanes.values() if uplink.name in lane.watermarks])

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called after every commit that added records or gaps."""
        self._on_change.append(callback)

    def note_watermark(self, uplink: str, lane: Lane, seq: int) -> None:
        """Everything of the stream below `seq` is delivered through `uplink`."""
        if seq <= lane.watermarks[uplink]:
            return
        lane.watermarks[uplink] = min(seq, lane.next_seq)
        self._dirty_watermarks.add((uplink, lane.name))
        if self._release_timer is None:
            self._release_timer = asyncio.get_running_loop().call_later(RELEASE_LINGER_S, self._work.set)

    async def do(self, job: Job) -> Any:
        """Have a job written with the next commit, durably; returns what it returned. Raises SpoolFull."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, future))
        self._work.set()
        return await future

    async def settled(self) -> None:
        """Wait until the commit that is running, if any, has ended and the lanes tell of it."""
        await self._idle.wait()

    # The commit loop.

    async def run(self) -> None:
        """Commit until cancelled. Raises SpoolCorrupt or SpoolUnusable: nothing more can be promised then."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._maintain(), name="spool maintenance")]
        if self._settings.durability_s is not None:
            tasks.append(loop.create_task(self._sync(self._settings.durability_s), name="spool sync"))
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                self._idle.clear()
                try:
                    await self._commit()
                finally:
                    self._idle.set()
        except SpoolCorrupt as error:
            mark_damaged(self._folder)
            self.failure = str(error)
            raise
        except SpoolError as error:
            self.failure = str(error)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def flush(self) -> None:
        """Wait until all that was given is committed; `run` must be running, and nobody giving more."""
        while self._open or self._jobs or self._dirty_watermarks or not self._idle.is_set():
            self._work.set()
            await asyncio.sleep(0)
            await self._idle.wait()

    async def close(self) -> None:
        """Close the store and unlock the folder; `run` has ended before."""
        if self._release_timer:
            self._release_timer.cancel()
        await self.reader.close()
        with contextlib.suppress(Exception):  # a store that failed is closed all the same; `run` has told why
            await self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await self._writer.close()
        self._folder.close()

    async def _commit(self) -> None:
        commit, self._open = self._open, OpenCommit()
        relief, self._on_relief = self._on_relief, []
        jobs, self._jobs = self._jobs, []
        dirty, self._dirty_watermarks = self._dirty_watermarks, set()
        if self._release_timer:
            self._release_timer.cancel()
            self._release_timer = None
        for callback in relief:
            callback()
        plan = self._plan(commit, dirty, [job for job, _ in jobs])
        try:
            result: Result = await self._writer.run(lambda connection: self._transactor.carry_out(connection, plan))
        except BaseException as error:
            for _, future in jobs:
                if not future.done():
                    future.set_exception(error)
            for waiter, items in commit.waiters.items():
                waiter.on_commit(items, Outcome.FAILED)
            raise
        self.counters.commits += 1
        if not result.written:
            self._dirty_watermarks |= dirty
        self._apply(commit, result)
        for waiter, items in commit.waiters.items():
            waiter.on_commit(items, result.outcome)
        _answer(jobs, result)
        if result.sealed or result.drops or jobs:
            for callback in self._on_change:
                callback()

    def _plan(self, commit: OpenCommit, dirty: set[tuple[str, str]], jobs: list[Job]) -> Plan:
        released: dict[str, int] = {}
        declared: list[tuple[int, str, int]] = []
        for uplink, name in dirty:
            lane = self.lanes[name]
            released[name] = lane.released_seq
            declared += [
                (lane.id, uplink, gap.first_seq) for gap in lane.gaps.forget_below(uplink, lane.watermark(uplink))
            ]
        for name, seq in released.items():
            lane = self.lanes[name]
            declared += [(lane.id, EVERYONE, gap.first_seq) for gap in lane.gaps.forget_below(EVERYONE, seq)]
        now_us = self._clock.now_us()
        expiry, self._expiry_due = self._expiry_due, False
        return Plan(
            lanes=[
                LanePlan(
                    stream=lane.id,
                    name=lane.name,
                    next_seq=lane.next_seq,
                    stored_end=lane.stored_end,
                    blocks=commit.blocks.get(lane.id, ()),
                    release_below=seq if (seq := released.get(lane.name, 0)) > lane.first_seq else None,
                    expire_before_us=(
                        now_us - int(lane.time_to_live_s * 1_000_000) if expiry and lane.time_to_live_s else None
                    ),
                )
                for lane in self.lanes.values()
            ],
            sessions=[(client_id, snapshot()) for client_id, snapshot in commit.sessions.items()],
            watermarks=[(uplink, self.lanes[name].id, self.lanes[name].watermark(uplink)) for uplink, name in dirty],
            gaps_declared=declared,
            jobs=jobs,
        )

    def _apply(self, commit: OpenCommit, result: Result) -> None:
        """Let the lanes say what the rows now say."""
        by_id = {lane.id: lane for lane in self.lanes.values()}
        if result.outcome is Outcome.DURABLE:
            for item in result.sealed:
                lane, block = by_id[item.stream], item.block
                if lane.first_received_at_us is None:
                    lane.first_received_at_us = block.received_at_us
                lane.next_seq = block.next_seq
                lane.stored_end += len(block.body)
                lane.accepted += block.count
                lane.tail.append((block,))
                lane.ratio += (max(0.05, len(block.body) / block.raw_size_bytes) - lane.ratio) * 0.2
            if result.sealed:
                self._was_full = False
        elif commit.blocks:
            self._refuse(sum(block.count for blocks in commit.blocks.values() for block in blocks), result.error)
        for drop in result.drops:
            lane = by_id[drop.stream]
            lane.gaps.add(drop.gap)
            lane.dropped[drop.gap.reason] += drop.gap.count
            log.warning(
                "Dropped %d records of stream %s (numbers %d to %d): %s.",
                drop.gap.count,
                lane.name,
                drop.gap.first_seq,
                drop.gap.first_seq + drop.gap.count - 1,
                "the spool is full" if drop.gap.reason == "full" else "past their time-to-live",
            )
        for stream, head in result.heads.items():
            lane = by_id[stream]
            lane.first_seq = head.first_seq
            lane.first_received_at_us = head.received_at_us
            lane.stored_start = head.stored_start
            lane.tail.forget_below(head.first_seq)

    def _refuse(self, records: int, error: SpoolFull | None) -> None:
        self.counters.refused += records
        if not self._was_full:
            log.error("%s New records are refused until there is room.", error)
        self._was_full = True

    async def _maintain(self) -> None:
        """Expire what is past its time-to-live, and see whether a full disk has room again."""
        while True:
            await asyncio.sleep(MAINTENANCE_INTERVAL_S)
            if any(lane.time_to_live_s for lane in self.lanes.values()):
                self._expiry_due = True
                self._work.set()
            if self._transactor.disk_is_full and self._folder.free_bytes() > 4 * MIB and self._folder.keep_reserve():
                self._transactor.lift_ceiling()
                self._was_full = False
                log.info("The disk has room again.")
            if self._was_full and self._settings.when_full is WhenFull.REJECT:
                self._was_full = self._folder.size_bytes() >= self._settings.max_size_bytes

    async def _sync(self, interval_s: float) -> None:
        """With `durability` as an interval: have the write-ahead log on disk this often.

        The log is a file of its own and SQLite holds no locks on it, so a descriptor of ours may come and go.
        """
        wal = Path(f"{self._folder.database}-wal")
        synced = -1
        while True:
            await asyncio.sleep(interval_s)
            if self.counters.commits != synced:
                synced = self.counters.commits
                await asyncio.to_thread(_fsync, wal)

    def now_us(self) -> int:
        """The clock's wall time."""
        return self._clock.now_us()

    def size_bytes(self) -> int:
        """The database and its log on disk."""
        return self._folder.size_bytes()


def _answer(jobs: list[tuple[Job, asyncio.Future[Any]]], result: Result) -> None:
    """Tell those who gave jobs what became of them."""
    for (_, future), value in zip(jobs, result.job_results or [None] * len(jobs), strict=True):
        if future.done():
            continue
        if result.written:
            future.set_result(value)
        else:
            future.set_exception(result.error or SpoolFull("The spool is full."))


def _fsync(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
