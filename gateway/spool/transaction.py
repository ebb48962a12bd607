"""One commit, as the database's thread carries it out.

The event loop says what is to be written (`Plan`) and learns what became of it (`Result`); nothing is shared.
Order inside the transaction: what is released goes first, since it makes room; then what is expired, then the broker's
rows that are to go (before the rows that are kept: one that was removed may be among them again); then, when
the new blocks still don't fit, the policy: the oldest blocks go, or the new ones are refused. Whatever the policy says,
releases, removals and notes are never lost to a refusal: they are tried again on their own. Dead letters go back into
their streams only where there is room for them; rows that are kept lazily, last of all, only where nothing has to go
for them.

A full disk is a full spool: on SQLITE_FULL the reserve is given back, which is room enough for a checkpoint to bring
all of the write-ahead log into the database and for the log to begin anew; the database may have no more pages than it
has then (and than what is left of the reserve can hold), and the same policy is applied under that ceiling.
`lift_ceiling` undoes it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from bridge.crashpoints import reach
from bridge.database import BUSY_TIMEOUT_S, in_transaction
from gateway.spool import tables
from gateway.spool.errors import SpoolBusy, SpoolFull, translate
from gateway.spool.folder import DataFolder
from gateway.spool.plan import Plan, Result
from gateway.spool.ports import Outcome, Table
from gateway.spool.removals import Key
from gateway.spool.replay import Replay, take
from gateway.spool.retention import (
    DEAD_LETTER_SHARE,
    MARGIN_PAGES,
    ROW_OVERHEAD_BYTES,
    bound_dead_letters,
    expire,
    make_room,
    pages_for,
    used_pages,
)
from gateway.spool.rows import (
    INSERT_BLOCK,
    Head,
    block_row,
    dead_letter_total,
    delete_below,
    head_of,
    note_gap,
)
from gateway.spool.schema import PAGE_SIZE_BYTES
from gateway.spool.sealer import SealedBlock, Sealer
from gateway.spool.size import Size

SHRINK_PAGES: Final = 4096
"""By so much, about, a spool that is to be smaller shrinks with each commit."""


class Transactor:
    """Carries plans out; belongs to the database's thread."""

    def __init__(self, folder: DataFolder, size: Size) -> None:
        self._folder = folder
        self._size = self._new_size = size
        self._max_pages = size.max_pages
        self._ceiling: int | None = None
        self._used_pages: int | None = None
        self._sealer = Sealer()

    @property
    def disk_is_full(self) -> bool:
        """Whether the disk, rather than the configured size, is what limits the spool now."""
        return self._ceiling is not None

    @property
    def used_bytes(self) -> int | None:
        """What held something before the last commit; None until there was one. Safe from any thread."""
        return None if self._used_pages is None else self._used_pages * PAGE_SIZE_BYTES

    @property
    def ceiling_bytes(self) -> int:
        """What it may come to, but for the log. Safe from any thread."""
        pages = self._max_pages if self._ceiling is None else min(self._ceiling, self._max_pages)
        return pages * PAGE_SIZE_BYTES

    def lift_ceiling(self) -> None:
        """The disk has room again."""
        self._ceiling = None

    def resize(self, size: Size) -> None:
        """From the next commit on the spool is of another size. Safe from any thread."""
        self._new_size = size

    def carry_out(self, connection: sqlite3.Connection, plan: Plan) -> Result:
        """Write the plan. Raises SpoolCorrupt or SpoolUnusable; for a lack of room it returns Outcome.FULL, and
        Outcome.FAILED when another program holds the database."""
        sealed = self._seal(plan)
        try:
            self._follow_size(connection)
            return self._attempt(connection, plan, sealed)
        except SpoolBusy as busy:
            return Result(outcome=Outcome.FAILED, written=False, error=busy)
        except SpoolFull as error:
            full = error
        if self._disk_said_no(full):
            self._live_within_the_disk(connection)
            try:
                return self._attempt(connection, plan, sealed)
            except (SpoolFull, SpoolBusy) as error:
                if isinstance(error, SpoolFull):
                    full = error
        try:
            # On a full disk a row that nobody misses must not be what keeps a release from being written.
            result = self._attempt(connection, plan.without_records(lazy=not self._disk_said_no(full)), [])
        except (SpoolFull, SpoolBusy):
            return Result(outcome=Outcome.FULL, written=False, error=full)
        result.outcome = Outcome.FULL
        result.error = full
        if self._disk_said_no(full):
            result.lazy_lost = sum(map(len, plan.lazy.values()))
        return result

    def _follow_size(self, connection: sqlite3.Connection) -> None:
        try:
            self._resize(connection)
        except sqlite3.Error as error:
            raise translate(error) from error

    def _resize(self, connection: sqlite3.Connection) -> None:
        size = self._new_size  # which may be another one at any moment
        if size is not self._size:
            size.bound_log(connection)
            self._size = size
            if self._folder.wal_size_bytes() > 2 * self._size.wal_bytes:
                _shorten_log(connection)
            self._max_pages = max(self._max_pages, self._size.max_pages)
        if self._max_pages > self._size.max_pages:
            # A spool that is to be smaller loses its oldest records step by step: no acknowledgement waits for all.
            # Commits without records drop nothing, so it is what is there that counts, not what there may be already.
            smaller = min(self._max_pages, used_pages(connection) - SHRINK_PAGES)
            self._max_pages = max(self._size.max_pages, smaller)

    def _live_within_the_disk(self, connection: sqlite3.Connection) -> None:
        """Give the reserve back, have the write-ahead log begin anew, and set the ceiling."""
        self._folder.give_reserve()
        with contextlib.suppress(sqlite3.OperationalError):  # not even room for that: the next commit tries again
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
        room_bytes = self._folder.free_bytes() - max(0, self._size.wal_bytes - self._folder.wal_size_bytes())
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
        result = Result(outcome=Outcome.DURABLE, sealed=[*sealed])

        def write(connection: sqlite3.Connection) -> None:
            self._write(connection, plan, result)
            reach("gateway.before_commit")
            if result.replayed is not None:
                reach("gateway.before_replay")

        try:
            in_transaction(connection, write)
        except sqlite3.Error as error:
            raise translate(error) from error
        reach("gateway.after_commit")
        if result.replayed is not None:
            reach("gateway.after_replay")
        if any(lane.release_below is not None for lane in plan.lanes):
            reach("gateway.after_release")
        return result

    def _write(self, connection: sqlite3.Connection, plan: Plan, result: Result) -> None:
        # First of all: a gap that was declared goes before a new drop beside it could make its row grow.
        connection.executemany("DELETE FROM gap WHERE stream = ? AND uplink = ? AND first_seq = ?", plan.gaps_declared)
        touched = {lane.stream for lane in plan.lanes} if plan.jobs else set()
        for lane in plan.lanes:
            if lane.release_below is not None:
                delete_below(connection, lane.stream, lane.release_below)
                touched.add(lane.stream)
            if lane.expiry is not None:
                result.drops += expire(connection, lane.stream, lane.name, lane.expiry)
        if plan.removals:
            tables.discard(connection, plan.removals)
        if plan.replay is not None:
            self._replay(connection, plan, plan.replay, result)
        if result.sealed or plan.kept.keys() - plan.notes.keys():
            self._make_room(connection, plan, result)
        touched |= {drop.stream for drop in result.drops}
        for lane in plan.lanes:
            if lane.stream in touched:
                connection.execute(
                    "UPDATE stream SET next_seq = ?, stored_end = ? WHERE id = ?",
                    (lane.next_seq, lane.stored_end, lane.stream),
                )
        stored_end = {lane.stream: lane.stored_end for lane in plan.lanes}
        rows = []
        for item in result.sealed:
            stored_end[item.stream] += len(item.block.body)
            rows.append(block_row(item.stream, item.block, stored_end=stored_end[item.stream], crc=item.crc))
        connection.executemany(INSERT_BLOCK, rows)
        for stream, uplink, gap in result.replayed.gaps if result.replayed is not None else ():
            note_gap(connection, stream, gap, uplink)
        self._write_of_broker(connection, plan)
        connection.executemany("INSERT OR REPLACE INTO watermark VALUES (?, ?, ?)", plan.watermarks)
        self._do_jobs(connection, plan, result)
        by_stream = {lane.stream: lane for lane in plan.lanes}
        for stream in touched:
            result.heads[stream] = head_of(connection, stream) or Head(
                first_seq=by_stream[stream].next_seq, received_at_us=None, stored_start=stored_end[stream]
            )
        self._write_lazy(connection, plan, result)

    def _do_jobs(self, connection: sqlite3.Connection, plan: Plan, result: Result) -> None:
        if plan.jobs:
            result.job_results = [job(connection) for job in plan.jobs]
            result.discarded += bound_dead_letters(connection, self._max_letters_bytes)
        if plan.jobs or result.discarded or result.replayed is not None:
            result.dead_letters = dead_letter_total(connection)

    @staticmethod
    def _write_of_broker(connection: sqlite3.Connection, plan: Plan) -> None:
        for table, kept in plan.kept.items():
            tables.keep(connection, table, kept)
        for client_id, snapshot in plan.sessions:
            if snapshot is None:
                connection.execute("DELETE FROM session WHERE client_id = ?", (client_id,))
            else:
                connection.execute("INSERT OR REPLACE INTO session VALUES (?, ?)", (client_id, snapshot))

    def _replay(self, connection: sqlite3.Connection, plan: Plan, replay: Replay, result: Result) -> None:
        """Let dead letters go back, all that are asked for now or none: nothing is dropped for them."""
        next_seqs = {lane.stream: lane.next_seq + sum(block.count for block in lane.blocks) for lane in plan.lanes}
        connection.execute("SAVEPOINT replay")
        taken = take(connection, replay, next_seqs)
        sealed = [*result.sealed, *taken.blocks]
        if taken.blocks and not self._fits(connection, pages_for(_size_bytes(plan, sealed)) + MARGIN_PAGES):
            connection.execute("ROLLBACK TO replay")
        else:
            result.replayed, result.sealed = taken, sealed
        connection.execute("RELEASE replay")

    def _write_lazy(self, connection: sqlite3.Connection, plan: Plan, result: Result) -> None:
        """Keep the rows that may be lost, where there is room: the margin that records leave is theirs, too."""
        if not plan.lazy:
            return
        if self._fits(connection, pages_for(_kept_bytes(plan.lazy))):
            for table, rows in plan.lazy.items():
                tables.keep(connection, table, rows)
        else:
            result.lazy_lost = sum(map(len, plan.lazy.values()))

    @property
    def _max_letters_bytes(self) -> int:
        return self._max_pages * PAGE_SIZE_BYTES // DEAD_LETTER_SHARE

    def _fits(self, connection: sqlite3.Connection, pages: int) -> bool:
        return used_pages(connection) + pages <= self._ceiling_pages()

    def _ceiling_pages(self) -> int:
        ceiling = self._max_pages if self._ceiling is None else min(self._ceiling, self._max_pages)
        # A log that has outgrown its share (another program reads the database, so it can't begin anew) counts, too.
        return ceiling - max(0, self._folder.wal_size_bytes() - 2 * self._size.wal_bytes) // PAGE_SIZE_BYTES

    def _make_room(self, connection: sqlite3.Connection, plan: Plan, result: Result) -> None:
        result.drops += make_room(
            connection,
            streams={lane.stream: lane.name for lane in plan.lanes},
            size_bytes=_size_bytes(plan, result.sealed),
            ceiling_pages=self._ceiling_pages(),
            max_letters_bytes=self._max_letters_bytes,
            when_full=self._size.when_full,
            discarded=result.discarded,
            on_used=self._note_used,
        )

    def _note_used(self, pages: int) -> None:
        self._used_pages = pages


def _shorten_log(connection: sqlite3.Connection) -> None:
    """Have the log begin anew, as short as it may be now; not where another program reads: nobody waits for that."""
    connection.execute("PRAGMA busy_timeout = 0")
    with contextlib.suppress(sqlite3.OperationalError):  # the ceiling counts what is too long of it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")


def _size_bytes(plan: Plan, sealed: Sequence[SealedBlock]) -> int:
    """What a plan writes, about."""
    size = sum(len(item.block.body) + ROW_OVERHEAD_BYTES for item in sealed) + len(sealed) * PAGE_SIZE_BYTES
    size += sum(len(snapshot or b"") + ROW_OVERHEAD_BYTES for _, snapshot in plan.sessions)
    return size + _kept_bytes(plan.kept)


def _kept_bytes(tables_kept: Mapping[Table, Mapping[Key, bytes]]) -> int:
    size = 0
    for kept in tables_kept.values():
        body_bytes = sum(map(len, kept.values()))
        # What stays free in pages of rows that are not full, or behind a body that has pages of its own.
        size += body_bytes + min(body_bytes, len(kept) * PAGE_SIZE_BYTES) + len(kept) * ROW_OVERHEAD_BYTES
    return size
