"""One uplink's view of the spool (bridge.ports.Outbox)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import zstandard

from bridge.block import decode_blocks
from bridge.database import Database
from bridge.ports import Backlog, Clock, Gap, Peek, StoredBlock
from gateway.spool.asked import Then
from gateway.spool.committer import Committer
from gateway.spool.errors import SpoolBusy, SpoolFull, translate
from gateway.spool.gaps import CORRUPT, EVERYONE
from gateway.spool.lane import Lane
from gateway.spool.plan import Job
from gateway.spool.rows import (
    BLOCK_COLUMNS,
    add_to_counter,
    block_of,
    is_body_sound,
    is_row_sound,
    lost_from,
    note_gap,
)
from gateway.spool.schema import key_of, seq_of

log = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 1.0


class BlockDamaged(Exception):
    """A block's row does not match its checksums."""

    def __init__(self, key: int) -> None:
        super().__init__(key)
        self.key = key


class UplinkOutbox:
    """What of the spool concerns one uplink. Gaps of everyone's and its own are left out of what it peeks."""

    def __init__(
        self, uplink: str, lanes: Sequence[Lane], *, committer: Committer, reader: Database, clock: Clock
    ) -> None:
        self._uplink = uplink
        self._lanes = {lane.name: lane for lane in lanes}
        self._committer = committer
        self._reader = reader
        self._clock = clock

    @property
    def streams(self) -> Sequence[str]:
        return list(self._lanes)

    def epoch(self, stream: str) -> str:
        return self._lanes[stream].epoch

    def backlog(self, stream: str) -> Backlog:
        lane = self._lanes[stream]
        mark = lane.watermark(self._uplink)
        oldest: int | None = None
        if mark < lane.synced_seq:
            oldest = lane.tail.received_at_us(mark) or lane.first_received_at_us
        return Backlog(
            next_to_deliver_seq=mark,
            next_seq=max(mark, lane.synced_seq),
            oldest_received_at_us=oldest,
            size_bytes=lane.stored_bytes,
        )

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._committer.on_change.append(callback)
        return lambda: self._committer.on_change.remove(callback)

    async def peek(self, stream: str, from_seq: int, *, max_records: int, max_bytes: int) -> Peek:
        lane = self._lanes[stream]
        looked_for = -1
        while True:
            end = lane.synced_seq
            start, gaps = self._past_gaps(lane, from_seq, end)
            if start >= end:
                return Peek(gaps=gaps)
            found = lane.tail.since(start, max_records=max_records, max_bytes=max_bytes)
            if found is None:
                try:
                    found = await self._reader.run(
                        partial(_read, stream=lane.id, start=start, max_records=max_records, max_bytes=max_bytes)
                    )
                except BlockDamaged as damage:
                    await self._set_aside(lane, damage)
                    continue
                except sqlite3.Error as error:
                    raise translate(error) from error
            if found and found[0].first_seq <= start:
                return Peek(blocks=self._cut(lane, found, start, end), gaps=gaps)
            if looked_for != start:
                looked_for = start
                await self._committer.settled()  # a policy may have dropped them, and the lane not know it yet
                continue
            await self._declare_lost(lane, start)

    def _past_gaps(self, lane: Lane, seq: int, end: int) -> tuple[int, list[Gap]]:
        """The first number at or after `seq` that lies in no gap, and the gaps before it."""
        passed = []
        for gap in lane.gaps.between(seq, end, self._uplink):
            gap_end = gap.first_seq + gap.count
            if gap.first_seq > seq:
                break
            if gap_end > seq:
                passed.append(Gap(first_seq=seq, count=gap_end - seq, reason=gap.reason))
                seq = gap_end
        return seq, passed

    def _cut(self, lane: Lane, found: Sequence[StoredBlock], start: int, end: int) -> list[StoredBlock]:
        """The blocks as far as they follow each other, from `start` to the next gap, and not beyond `end`."""
        gaps = lane.gaps.between(start, end, self._uplink)
        stop = gaps[0].first_seq if gaps else end
        blocks: list[StoredBlock] = []
        seq = start
        for block in found:
            if block.first_seq > seq or seq >= stop:
                break
            block_end = min(block.next_seq, stop)
            blocks.append(part_of(block, seq, block_end))
            seq = block_end
        return blocks

    async def release(self, stream: str, next_seq: int) -> None:
        self._committer.note_watermark(self._uplink, self._lanes[stream], next_seq)

    async def dead_letter(self, stream: str, first_seq: int, count: int, *, reason: str) -> None:
        lane = self._lanes[stream]
        seq, end = first_seq, first_seq + count
        parts: list[StoredBlock] = []
        while seq < end:
            peek = await self.peek(stream, seq, max_records=end - seq, max_bytes=1 << 30)
            if not peek.blocks or peek.blocks[0].first_seq >= end:
                break  # a policy has dropped the rest meanwhile
            parts += [
                part_of(block, block.first_seq, min(end, block.next_seq))
                for block in peek.blocks
                if block.first_seq < end
            ]
            seq = peek.blocks[-1].next_seq
        gap = Gap(first_seq=first_seq, count=count, reason="dead_letter")
        at_us = self._clock.now_us()
        rows = [
            (self._uplink, stream, lane.epoch, part.first_seq, part.count, reason, at_us, part.compressed, part.body)
            for part in parts
        ]

        def then(_: None) -> None:
            lane.gaps.add(gap, self._uplink)

        await self._insist(_letters(rows, lane.id, gap, self._uplink), then)
        log.warning(
            "%d records of stream %s (from number %d) can't go through uplink %s and are kept as dead letters: %s",
            count, stream, first_seq, self._uplink, reason,
        )  # fmt: skip

    async def _insist(self, job: Job, then: Then) -> Any:
        """Have a job written; on a full disk, try again until there is room: nothing is forgotten for lack of it."""
        while True:
            try:
                return await self._committer.do(job, then)
            except (SpoolFull, SpoolBusy):
                await asyncio.sleep(TRY_AGAIN_S)

    async def _set_aside(self, lane: Lane, damage: BlockDamaged) -> None:
        """Move a damaged block out of the stream; its numbers, up to the next block's, become a gap for everyone."""
        first_seq = seq_of(damage.key)
        at_us = self._clock.now_us()

        def move(connection: sqlite3.Connection) -> bool:
            _, following = lost_from(connection, lane.id, first_seq)
            most = (lane.next_seq if following is None else following) - first_seq
            connection.execute(
                "INSERT INTO dead_letter SELECT NULL, '', ?, ?, ?,"
                " CASE WHEN typeof(count) = 'integer' AND count BETWEEN 1 AND ? THEN count ELSE ? END,"
                " ?, ?, compressed, body FROM block WHERE key = ?",
                (lane.name, lane.epoch, first_seq, most, most, CORRUPT, at_us, damage.key),
            )
            return bool(connection.execute("DELETE FROM block WHERE key = ?", (damage.key,)).rowcount)

        await self._lose(lane, first_seq, move)

    async def _declare_lost(self, lane: Lane, start: int) -> None:
        """Records that should be in the database are not: their numbers become a gap for everyone."""
        await self._lose(lane, start, lambda _connection: True)

    async def _lose(self, lane: Lane, first_seq: int, job: Callable[[sqlite3.Connection], bool]) -> None:
        def write(connection: sqlite3.Connection) -> tuple[Gap, bool] | None:
            if not job(connection):
                return None  # another uplink was there first
            known, following = lost_from(connection, lane.id, first_seq)
            if known is not None:
                return known, False
            count = (lane.next_seq if following is None else following) - first_seq
            gap = Gap(first_seq=first_seq, count=count, reason=CORRUPT)
            note_gap(connection, lane.id, gap)
            add_to_counter(connection, lane.name, f"dropped_{CORRUPT}", count)
            return gap, True

        def then(found: tuple[Gap, bool] | None) -> None:
            if found is None:
                return
            gap, is_new = found
            if not is_new:  # another uplink met the same: it is counted, and known here but after a failed commit
                if not lane.gaps.between(first_seq, first_seq + 1, EVERYONE):
                    lane.gaps.add(gap)
                return
            lane.gaps.add(gap)
            lane.dropped[CORRUPT] = lane.dropped.get(CORRUPT, 0) + gap.count
            log.error(
                "Records %d to %d of stream %s can't be read any more; what is left of them is kept as a dead letter.",
                gap.first_seq, gap.first_seq + gap.count - 1, lane.name,
            )  # fmt: skip

        await self._insist(write, then)


def _letters(rows: Sequence[tuple[object, ...]], stream: int, gap: Gap, uplink: str) -> Job:
    def write(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT INTO dead_letter VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        note_gap(connection, stream, gap, uplink)

    return write


def _read(
    connection: sqlite3.Connection, *, stream: int, start: int, max_records: int, max_bytes: int
) -> list[StoredBlock]:
    """Blocks from the one that holds `start`, on the reader's thread. Raises BlockDamaged for one that is not sound."""
    query = connection.execute(
        f"SELECT {BLOCK_COLUMNS} FROM block"  # noqa: S608 - a constant
        " WHERE key >= coalesce((SELECT max(key) FROM block WHERE key BETWEEN ? AND ?), ?) AND key < ? ORDER BY key",
        (key_of(stream, 0), key_of(stream, start), key_of(stream, start), key_of(stream + 1, 0)),
    )
    found: list[StoredBlock] = []
    records = size = 0
    with contextlib.closing(query) as rows:  # an open query would keep the write-ahead log from beginning anew
        for row in rows:
            is_sound = is_row_sound(row) and is_body_sound(row)
            if is_sound and seq_of(row[0]) + row[1] <= start:
                continue
            if not is_sound:
                if found:
                    break
                raise BlockDamaged(row[0])
            block = block_of(row)
            records += block.count
            size += len(block.body)
            if found and (records > max_records or size > max_bytes):
                break
            found.append(block)
    return found


def part_of(block: StoredBlock, start: int, stop: int) -> StoredBlock:
    """The records [start, stop) of a block, which is the block itself when that is all of them."""
    if start <= block.first_seq and stop >= block.next_seq:
        return block
    raw = block.body
    if block.compressed:
        raw = zstandard.ZstdDecompressor().decompress(raw, max_output_size=block.raw_size_bytes)
    whole = next(decode_blocks(raw, block.first_seq))
    body = whole.part(start - block.first_seq, stop - block.first_seq)
    return StoredBlock(
        first_seq=start,
        count=stop - start,
        received_at_us=block.received_at_us,
        raw_size_bytes=len(body),
        plain_size_bytes=block.plain_size_bytes * (stop - start) // block.count,
        compressed=False,
        body=body,
    )
