"""One commit, as the database's thread carries it out.

The event loop says what is to be written (`Plan`) and learns what became of it (`Result`); nothing is shared.
Order inside the transaction: what is released goes first, since it makes room; then what is expired; then, when
the new blocks still don't fit, the policy: the oldest blocks go, or the new ones are refused. Whatever the policy says,
releases are never lost to a refusal: they are tried again on their own.

A full disk is a full spool: on SQLITE_FULL the reserve is given back, which is room enough for a checkpoint to bring
all of the write-ahead log into the database and for the log to begin anew; the database may have no more pages than it
has then (and than what is left of the reserve can hold), and the same policy is applied under that ceiling.
`lift_ceiling` undoes it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bridge.crashpoints import reach
from bridge.database import in_transaction
from bridge.ports import Gap
from bridge.record import BlockBuilder
from config.settings import WhenFull
from gateway.spool.errors import SpoolFull, translate
from gateway.spool.folder import DataFolder
from gateway.spool.gaps import EVERYONE
from gateway.spool.ports import Outcome
from gateway.spool.schema import PAGE_SIZE_BYTES, key_of, seq_of
from gateway.spool.sealer import SealedBlock, Sealer

Job = Callable[[sqlite3.Connection], Any]
"""Something else to be written with the commit."""

_ROW_OVERHEAD_BYTES: Final = 96
_MARGIN_PAGES: Final = 16
_DROP_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePlan:
    """What the commit is to do to one stream."""

    stream: int
    name: str
    next_seq: int
    """The number that the first new record gets."""
    stored_end: int
    blocks: Sequence[BlockBuilder] = ()
    release_below: int | None = None
    """Blocks that end at or below are delivered everywhere."""
    expire_before_us: int | None = None
    """Blocks received before are past their time-to-live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one commit is to write."""

    lanes: Sequence[LanePlan] = ()
    sessions: Sequence[tuple[str, bytes | None]] = ()
    watermarks: Sequence[tuple[str, int, int]] = ()
    """(uplink, stream, sequence number)"""
    gaps_declared: Sequence[tuple[int, str, int]] = ()
    """(stream, uplink, first sequence number) of gaps that nobody needs to be told of any more."""
    jobs: Sequence[Job] = ()

    def without_records(self) -> Plan:
        """The same, without what devices sent."""
        return replace(self, lanes=[replace(lane, blocks=()) for lane in self.lanes], sessions=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first block that a stream has after the commit."""

    first_seq: int
    received_at_us: int | None
    stored_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Blocks that a policy removed."""

    stream: int
    gap: Gap


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of a plan. `outcome` is about the records and sessions; the rest was written in any case."""

    outcome: Outcome
    written: bool = True
    """False when not even releases could be written; they stay to be done."""
    sealed: list[SealedBlock] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    heads: dict[int, Head] = field(default_factory=dict)
    job_results: list[Any] = field(default_factory=list)
    error: SpoolFull | None = None


class Transactor:
    """Carries plans out; belongs to the database's thread."""

    def __init__(self, folder: DataFolder, *, max_pages: int, wal_pages: int, when_full: WhenFull) -> None:
        """`wal_pages`: beyond this size a commit is followed by a checkpoint of the write-ahead log."""
        self._folder = folder
        self._max_pages = max_pages
        self._wal_bytes = wal_pages * 3 // 2 * PAGE_SIZE_BYTES
        """What the log takes at most, the commit that goes beyond `wal_pages` included."""
        self._ceiling: int | None = None
        self._when_full = when_full
        self._sealer = Sealer()

    @property
    def disk_is_full(self) -> bool:
        """Whether the disk, rather than the configured size, is what limits the spool now."""
        return self._ceiling is not None

    def lift_ceiling(self) -> None:
        """The disk has room again."""
        self._ceiling = None

    def carry_out(self, connection: sqlite3.Connection, plan: Plan) -> Result:
        """Write the plan. Raises SpoolCorrupt or SpoolUnusable; for a lack of room it returns Outcome.FULL."""
        sealed = self._seal(plan)
        try:
            return self._attempt(connection, plan, sealed)
        except SpoolFull as error:
            full = error
        if self._disk_said_no(full):
            self._live_within_the_disk(connection)
            try:
                return self._attempt(connection, plan, sealed)
            except SpoolFull as error:
                full = error
        try:
            result = self._attempt(connection, plan.without_records(), [])
        except SpoolFull:
            return Result(outcome=Outcome.FULL, written=False, error=full)
        result.outcome = Outcome.FULL
        result.error = full
        return result

    def _live_within_the_disk(self, connection: sqlite3.Connection) -> None:
        """Give the reserve back, have the write-ahead log begin anew, and set the ceiling."""
        self._folder.give_reserve()
        with contextlib.suppress(sqlite3.OperationalError):  # not even room for that: the next commit tries again
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
        room_bytes = self._folder.free_bytes() - max(0, self._wal_bytes - self._folder.wal_size_bytes())
        self._ceiling = pages + max(0, room_bytes // PAGE_SIZE_BYTES)

    @staticmethod
    def _disk_said_no(error: SpoolFull) -> bool:
        return error.__cause__ is not None

    def _seal(self, plan: Plan) -> list[SealedBlock]:
        sealed = []
        for lane in plan.lanes:
            seq = lane.next_seq
            for builder in lane.blocks:
                sealed.append(self._sealer.seal(lane.stream, builder, seq))
                seq += builder.count
        return sealed

    def _attempt(self, connection: sqlite3.Connection, plan: Plan, sealed: list[SealedBlock]) -> Result:
        result = Result(outcome=Outcome.DURABLE, sealed=sealed)

        def write(connection: sqlite3.Connection) -> None:
            self._write(connection, plan, result)
            reach("gateway.before_commit")

        try:
            in_transaction(connection, write)
        except sqlite3.Error as error:
            raise translate(error) from error
        reach("gateway.after_commit")
        if any(lane.release_below is not None for lane in plan.lanes):
            reach("gateway.after_release")
        return result

    def _write(self, connection: sqlite3.Connection, plan: Plan, result: Result) -> None:
        touched = {lane.stream for lane in plan.lanes} if plan.jobs else set()
        for lane in plan.lanes:
            if lane.release_below is not None:
                _delete_below(connection, lane.stream, lane.release_below)
                touched.add(lane.stream)
            if lane.expire_before_us is not None:
                expired = _blocks_received_before(connection, lane.stream, lane.expire_before_us)
                self._drop(connection, lane, expired, "expired", result)
                touched.add(lane.stream)
        if result.sealed:
            touched |= self._make_room(connection, plan, result)
        for lane in plan.lanes:
            if lane.stream in touched:
                connection.execute(
                    "UPDATE stream SET next_seq = ?, stored_end = ? WHERE id = ?",
                    (lane.next_seq, lane.stored_end, lane.stream),
                )
        stored_end = {lane.stream: lane.stored_end for lane in plan.lanes}
        rows = []
        for item in result.sealed:
            block = item.block
            stored_end[item.stream] += len(block.body)
            rows.append(
                (
                    key_of(item.stream, block.first_seq),
                    block.count,
                    block.received_at_us,
                    block.raw_size_bytes,
                    block.plain_size_bytes,
                    block.compressed,
                    stored_end[item.stream],
                    item.crc,
                    block.body,
                )
            )
        connection.executemany("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        for client_id, snapshot in plan.sessions:
            if snapshot is None:
                connection.execute("DELETE FROM session WHERE client_id = ?", (client_id,))
            else:
                connection.execute("INSERT OR REPLACE INTO session VALUES (?, ?)", (client_id, snapshot))
        connection.executemany("INSERT OR REPLACE INTO watermark VALUES (?, ?, ?)", plan.watermarks)
        connection.executemany("DELETE FROM gap WHERE stream = ? AND uplink = ? AND first_seq = ?", plan.gaps_declared)
        result.job_results = [job(connection) for job in plan.jobs]
        by_stream = {lane.stream: lane for lane in plan.lanes}
        for stream in touched:
            end = stored_end[stream]
            result.heads[stream] = head_of(connection, stream) or Head(
                first_seq=by_stream[stream].next_seq, received_at_us=None, stored_start=end
            )

    def _make_room(self, connection: sqlite3.Connection, plan: Plan, result: Result) -> set[int]:
        """Have the pages that the new blocks need; returns the streams that lost blocks for it."""
        size = sum(len(item.block.body) + _ROW_OVERHEAD_BYTES for item in result.sealed)
        size += sum(len(snapshot or b"") + _ROW_OVERHEAD_BYTES for _, snapshot in plan.sessions)
        needed = size // (PAGE_SIZE_BYTES - _ROW_OVERHEAD_BYTES) + len(result.sealed) + _MARGIN_PAGES
        ceiling = self._max_pages if self._ceiling is None else min(self._ceiling, self._max_pages)
        short = _used_pages(connection) + needed - ceiling
        if short <= 0:
            return set()
        if self._when_full is WhenFull.REJECT:
            raise SpoolFull("The spool is full, and spool.when_full is reject.")
        if needed > ceiling:
            raise SpoolFull(f"One commit needs {needed} pages, and the spool may have {ceiling}.")
        lose_until = ceiling - needed - min(ceiling // 64, 1024)
        lanes = {lane.stream: lane for lane in plan.lanes}
        touched = set()
        while _used_pages(connection) > lose_until:
            oldest = _oldest_blocks(connection, lanes, _used_pages(connection) - lose_until)
            if oldest:
                stream = oldest[0][0] >> 48
                self._drop(connection, lanes[stream], oldest, "full", result)
                touched.add(stream)
            elif not connection.execute(
                "DELETE FROM dead_letter WHERE id = (SELECT min(id) FROM dead_letter)"
            ).rowcount:
                if _used_pages(connection) + needed > ceiling:
                    raise SpoolFull("The spool is full, and there is nothing left to drop.")
                break
        return touched

    def _drop(
        self,
        connection: sqlite3.Connection,
        lane: LanePlan,
        blocks: Sequence[tuple[int, int]],
        reason: str,
        result: Result,
    ) -> None:
        """Delete blocks, given as (key, count), and note the gap that they leave."""
        if not blocks:
            return
        first_seq = seq_of(blocks[0][0])
        count = seq_of(blocks[-1][0]) + blocks[-1][1] - first_seq
        connection.execute("DELETE FROM block WHERE key BETWEEN ? AND ?", (blocks[0][0], blocks[-1][0]))
        gap = Gap(first_seq=first_seq, count=count, reason=reason)
        note_gap(connection, lane.stream, gap)
        connection.execute(
            "INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            (lane.name, f"dropped_{reason}", sum(n for _, n in blocks)),
        )
        result.drops.append(Drop(stream=lane.stream, gap=gap))


def note_gap(connection: sqlite3.Connection, stream: int, gap: Gap, uplink: str = EVERYONE) -> None:
    """Add a gap's row, or let the one before it grow."""
    grown = connection.execute(
        "UPDATE gap SET count = count + ? WHERE stream = ? AND uplink = ? AND reason = ? AND first_seq + count = ?",
        (gap.count, stream, uplink, gap.reason, gap.first_seq),
    ).rowcount
    if not grown:
        connection.execute(
            "INSERT INTO gap VALUES (?, ?, ?, ?, ?)", (stream, uplink, gap.first_seq, gap.count, gap.reason)
        )


def head_of(connection: sqlite3.Connection, stream: int) -> Head | None:
    """The first block of a stream; None when it has none."""
    row = connection.execute(
        "SELECT key, received_at_us, stored_end - length(body) FROM block"
        " WHERE key >= ? AND key < ? ORDER BY key LIMIT 1",
        (key_of(stream, 0), key_of(stream + 1, 0)),
    ).fetchone()
    return row and Head(first_seq=seq_of(row[0]), received_at_us=row[1], stored_start=row[2])


def _used_pages(connection: sqlite3.Connection) -> int:
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return pages - free


def _delete_below(connection: sqlite3.Connection, stream: int, seq: int) -> None:
    """Delete the blocks that end at or below `seq`: all that begin below it but, perhaps, the last."""
    low, high = key_of(stream, 0), key_of(stream, seq)
    last = connection.execute(
        "SELECT key, count FROM block WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1", (low, high)
    ).fetchone()
    if last and last[0] + last[1] > high:
        high = last[0]
    connection.execute("DELETE FROM block WHERE key >= ? AND key < ?", (low, high))


def _blocks_received_before(connection: sqlite3.Connection, stream: int, before_us: int) -> list[tuple[int, int]]:
    rows = connection.execute(
        "SELECT key, count, received_at_us FROM block WHERE key >= ? AND key < ? ORDER BY key",
        (key_of(stream, 0), key_of(stream + 1, 0)),
    )
    found = []
    for key, count, received_at_us in rows:
        if received_at_us >= before_us:
            break
        found.append((key, count))
    return found


def _oldest_blocks(connection: sqlite3.Connection, lanes: dict[int, LanePlan], pages: int) -> list[tuple[int, int]]:
    """(key, count) of the first blocks of the stream whose first block is the oldest of all: about so many pages."""
    heads = [(head.received_at_us or 0, stream) for stream in lanes if (head := head_of(connection, stream))]
    if not heads:
        return []
    _, stream = min(heads)
    found: list[tuple[int, int]] = []
    size = 0
    for key, count, length in connection.execute(
        "SELECT key, count, length(body) FROM block WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
        (key_of(stream, 0), key_of(stream + 1, 0), _DROP_AT_ONCE),
    ):
        found.append((key, count))
        size += length + _ROW_OVERHEAD_BYTES
        if size >= pages * PAGE_SIZE_BYTES:
            break
    return found
