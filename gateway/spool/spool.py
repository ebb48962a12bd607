"""The spool: takes publishes from the broker, gives blocks to the uplinks, and forgets only what may be forgotten.

This file opens and closes it and is its face to the broker (`gateway.spool.ports.Store`); the work is done by the
commit loop (`committer`), on the database's thread (`transaction`), and by each uplink's view (`outbox`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from bridge.ports import Clock
from bridge.record import Properties
from config.settings import MIB, GatewaySettings, Uplink
from config.settings import Spool as SpoolSettings
from gateway.spool.committer import Committer, Counters
from gateway.spool.dead_letters import DeadLetters
from gateway.spool.errors import SpoolCorrupt, SpoolError
from gateway.spool.lane import TAIL_MAX_BYTES, Tail
from gateway.spool.open_commit import MAX_BLOCK_BYTES, Columns
from gateway.spool.opening import Opened, open_parts
from gateway.spool.outbox import UplinkOutbox
from gateway.spool.ports import Table, Waiter
from gateway.spool.queue import Queue
from gateway.spool.recovery import mark_damaged
from gateway.spool.removals import Key
from gateway.spool.rerouting import new_lanes, reroute
from gateway.spool.size import Size
from gateway.spool.tables import Loaded
from gateway.spool.upkeep import maintain, sync

log = logging.getLogger(__name__)

CONGESTED_BYTES: Final = 4 * MIB


class Spool:
    """See above. Made by `Spool.open`; `run` is owned by the composition root."""

    def __init__(self, settings: GatewaySettings, opened: Opened, *, clock: Clock) -> None:
        self._settings = settings.spool
        self._folder = opened.folder
        self._writer = opened.writer
        self._reader = opened.reader
        self._transactor = opened.transactor
        self._sessions = opened.sessions
        self._tables = opened.tables
        self.damaged_rows = sum(loaded.damaged for loaded in opened.tables.values())
        """Rows of the broker's tables that were left out at the opening, because they were not what was written."""
        self.clock = clock
        self._committer = Committer(
            opened.writer,
            opened.transactor,
            opened.lanes,
            clock,
            is_synced_by_commit=self._settings.durability_s is None,
        )
        self.salvage = opened.salvage
        self.failure: str | None = None
        """What ended the commit loop; None while the store can be trusted."""
        self.lanes = {lane.name: lane for lane in opened.lanes}
        self._streams = [self.lanes[stream.name] for stream in settings.streams]
        self._fit_blocks(settings)
        self._committer.streams = {stream.name for stream in settings.streams}
        self._committer.dead_letters = opened.dead_letters
        self.dead_letters = DeadLetters(committer=self._committer, reader=opened.reader, lanes=self.lanes)
        self.queue = Queue(reader=opened.reader, lanes=self.lanes)
        self._congested_bytes = min(CONGESTED_BYTES, settings.spool.max_size_bytes // 16)

    @classmethod
    async def open(cls, settings: GatewaySettings, *, clock: Clock) -> Spool:
        """Lock the folder, open (or save from) the database, read where every stream stands; see `opening`.

        Raises DataFolderInUse, SpoolVersionError, SpoolFull, SpoolBusy, SpoolUnusable, and SpoolCorrupt, after which
        the next opening saves what can be read. Takes the same time whatever the backlog; the broker's own tables,
        which the broker bounds, are read whole.
        """
        return cls(settings, await open_parts(settings), clock=clock)

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
        self._committer.open.append(
            lane.id,
            Columns(client, now_us, topics, payloads, flags, plain_size_bytes, properties),
            max_records=self._max_records,
            max_bytes=min(MAX_BLOCK_BYTES, int(self._frame_bytes / lane.ratio)),
        )
        self._committer.work.set()

    def remember(self, client_id: str, snapshot: Callable[[], bytes | None]) -> None:
        self._committer.open.sessions[client_id] = snapshot
        self._committer.work.set()

    def keep(self, table: Table, key: Key, body: bytes) -> None:
        self._committer.open.keep(table, key, body)
        self._committer.work.set()

    def keep_lazily(self, table: Table, key: Key, body: bytes) -> None:
        """`keep` for a row that nobody waits for: it goes along with the next commit, or with one of its own after
        LAZY_LINGER_S, or with the last one.

        It never makes a record go, nor has one refused: where there is no room, it is lost (and counted).
        """
        self._committer.keep_lazily(table, key, body)

    def discard(self, table: Table, key: Key) -> None:
        self._committer.open.discard(table, key)
        self._committer.linger()

    def discard_range(self, table: Table, first: int, last: int) -> None:
        self._committer.open.discard_range(table, first, last)
        self._committer.linger()

    def load(self, table: Table) -> list[tuple[Key, bytes]]:
        return self._tables.pop(table, Loaded()).rows

    def after_commit(self, waiter: Waiter, item: Any, *, held_bytes: int = 0) -> None:
        self._committer.open.size_bytes += held_bytes
        waiters = self._committer.open.waiters
        items = waiters.get(waiter)
        if items is None:
            waiters[waiter] = [item]
        else:
            items.append(item)
        self._committer.work.set()

    @property
    def has_room(self) -> bool:
        return self._committer.has_room

    @property
    def is_congested(self) -> bool:
        return self._committer.open.size_bytes >= self._congested_bytes

    def on_relief(self, callback: Callable[[], None]) -> None:
        self._committer.on_relief.append(callback)

    def sessions(self) -> dict[str, bytes]:
        sessions, self._sessions = self._sessions, {}
        return sessions

    # What the uplinks and the status use.

    def outbox(self, uplink: Uplink) -> UplinkOutbox:
        """The view of one uplink; it carries the streams that the settings name, and old ones that match."""
        lanes = [lane for lane in self.lanes.values() if uplink.name in lane.watermarks]
        return UplinkOutbox(uplink.name, lanes, committer=self._committer, reader=self._reader, clock=self.clock)

    async def add_streams(self, settings: GatewaySettings) -> list[str]:
        """Make room for the streams that are new, and name them; nothing goes there before `order_streams`.

        Raises SpoolFull."""
        added: list[str] = []
        if any(stream.name not in self.lanes for stream in settings.streams):
            for lane in await self._committer.do(new_lanes(settings, self.lanes)):
                self.lanes[lane.name] = lane
                lane.tail = Tail(TAIL_MAX_BYTES // len(self.lanes))
                self._committer.add_lane(lane)
                added.append(lane.name)
        return added

    async def take_back(self, streams: Sequence[str]) -> None:
        """Undo `add_streams`; their rows stay, with nothing in them."""

        def drop() -> None:
            for name in streams:
                self._committer.drop_lane(name)
                del self.lanes[name]

        if streams:
            await self._committer.between_commits(drop)

    def order_streams(self, settings: GatewaySettings) -> None:
        """From now on a stream's place is that in these settings; all of them have been added."""
        self._streams = [self.lanes[stream.name] for stream in settings.streams]
        self._committer.streams = {stream.name for stream in settings.streams}
        for stream in settings.streams:
            self.lanes[stream.name].time_to_live_s = stream.time_to_live_s

    async def reroute(self, settings: GatewaySettings) -> None:
        """Have every stream wait for the uplinks of these settings. Those that are others must not run meanwhile."""
        self._fit_blocks(settings)
        await reroute(settings, self.lanes.values(), self._committer)

    def _fit_blocks(self, settings: GatewaySettings) -> None:
        """A block is to fit a frame of every uplink."""
        self._max_records = min((uplink.batch.max_records for uplink in settings.uplinks), default=2000)
        self._frame_bytes = min((uplink.batch.max_size_bytes for uplink in settings.uplinks), default=128 * 1024)

    def resize(self, settings: SpoolSettings) -> tuple[str, ...]:
        """Be of another size, and do something else when full, from the next commit on; returns the names of what
        holds from the next start on only: durability.

        A smaller spool gives its oldest records up step by step, with the commits that follow; the file on the disk
        stays as large as it was, and what is free in it is used first.
        """
        size = Size.of(settings)
        self._folder.reserve_bytes = size.reserve_bytes
        self._transactor.resize(size)
        self._congested_bytes = min(CONGESTED_BYTES, settings.max_size_bytes // 16)
        self._committer.work.set()
        return ("durability",) if settings.durability_s != self._settings.durability_s else ()

    @property
    def counters(self) -> Counters:
        """Totals since the start."""
        return self._committer.counters

    @property
    def is_refusing(self) -> bool:
        """Whether new records are refused for lack of room."""
        return self._committer.is_refusing

    @property
    def disk_is_full(self) -> bool:
        """Whether it is the disk that limits it now, rather than its own size."""
        return self._transactor.disk_is_full

    @property
    def used_bytes(self) -> int | None:
        """What of the database held something before the last commit; None until there was one."""
        return self._transactor.used_bytes

    @property
    def ceiling_bytes(self) -> int:
        """How much of that there may be: beyond it the policy for a full spool holds."""
        return self._transactor.ceiling_bytes

    def size_bytes(self) -> int:
        """The database and its log on disk."""
        return self._folder.size_bytes()

    # Its life.

    async def run(self) -> None:
        """Commit until cancelled. Raises SpoolCorrupt or SpoolUnusable: nothing more can be promised then."""
        loop = asyncio.get_running_loop()
        upkeep = maintain(
            committer=self._committer,
            transactor=self._transactor,
            folder=self._folder,
            lanes=self.lanes,
        )
        tasks = [
            loop.create_task(self._committer.run(), name="spool commits"),
            loop.create_task(upkeep, name="spool upkeep"),
        ]
        if self._settings.durability_s is not None:
            work = sync(
                self._settings.durability_s,
                committer=self._committer,
                lanes=self.lanes,
                database=self._folder.database,
            )
            tasks.append(loop.create_task(work, name="spool sync"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except SpoolError as error:
            self.failure = str(error)
            if isinstance(error, SpoolCorrupt):
                self.condemn(error)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def condemn(self, error: SpoolCorrupt) -> None:
        """Have the next opening set the database aside: somebody who read from it found it damaged."""
        self.failure = str(error)
        mark_damaged(self._folder)

    async def probe(self) -> None:
        """Return when the store has made progress: the commit that is being written has ended, whatever came of it,
        and the database's thread has answered. A disk that does not answer holds it up; one that is full does not."""
        await self._committer.settled()
        await self._writer.run(lambda _connection: None)

    async def written(self) -> None:
        """Wait until what was given up to now is on disk.

        Raises SpoolFull or SpoolBusy where that can't be; removals and notes are then tried again with each commit.
        """
        await self._committer.do(lambda _connection: None)

    async def flush(self) -> None:
        """Wait until all that was given is committed; `run` must be running, and nobody giving more."""
        await self._committer.flush()

    async def close(self) -> None:
        """Close the store and unlock the folder; `run` has ended before."""
        if self.failure is None:
            await self._committer.write_lazy()
        await self._reader.close()
        with contextlib.suppress(Exception):  # a store that failed is closed all the same; `run` has told why
            await self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await self._writer.close()
        self._folder.keep_reserve()  # if it was given away, and there is room now: the next start may need it
        self._folder.close()
