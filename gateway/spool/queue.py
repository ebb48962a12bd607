"""The queue: what waits in a stream, looked at by sequence number, without taking anything away."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bridge.errors import BlockError
from gateway.spool.errors import translate
from gateway.spool.lane import Lane
from gateway.spool.ports import Reader
from gateway.spool.rows import BLOCK_COLUMNS, is_body_sound, is_row_sound
from gateway.spool.schema import key_of, seq_of
from gateway.spool.stored_record import StoredRecord, block_in, inflated, size_bytes

log = logging.getLogger(__name__)

PAGE_RECORDS: Final = 1000
PAGE_BYTES: Final = 4 * 1024 * 1024
"""Records together after which a page ends, whatever was asked for; it has one record at least."""
PAGE_BLOCKS: Final = 1000
"""Blocks that are looked at for one page, damaged ones among them: the uplinks read with the same connection."""


@dataclass(slots=True)
class _Page:
    records: list[StoredRecord] = field(default_factory=list)
    next_seq: int = 0
    """Where the next page begins."""
    is_last: bool = False
    damaged: int = 0
    """Blocks that were passed over."""


class Queue:
    """`spool.queue`. The numbers that a stream keeps now: `lanes[stream].first_seq` up to below `next_seq`."""

    def __init__(self, *, reader: Reader, lanes: Mapping[str, Lane]) -> None:
        self._reader = reader
        self._lanes = lanes

    async def peek(self, stream: str, from_seq: int | None = None, limit: int = 100) -> list[StoredRecord]:
        """The first records at or after `from_seq` (None: from the first one kept): `limit` at most, and fewer where
        they are large (PAGE_BYTES).

        Blocks that are damaged are passed over, with a line in the log. Raises KeyError for an unknown stream.
        """
        lane = self._lanes[stream]
        records: list[StoredRecord] = []
        async for page in self._pages(lane, from_seq, None, limit):
            records = page.records
            if records:
                break
        return records

    async def export(
        self, stream: str, from_seq: int | None = None, to_seq: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """All records from `from_seq` to `to_seq`, both included; a page at a time in memory.

        It ends with the last record that was there when it began, so that it ends at all. Otherwise as `peek`.
        """
        lane = self._lanes[stream]
        last = lane.next_seq - 1 if to_seq is None else min(to_seq, lane.next_seq - 1)
        async for page in self._pages(lane, from_seq, last, PAGE_RECORDS):
            for record in page.records:
                yield record

    async def _pages(self, lane: Lane, from_seq: int | None, last: int | None, limit: int) -> AsyncIterator[_Page]:
        seq = lane.first_seq if from_seq is None else max(from_seq, lane.first_seq)
        while seq < lane.next_seq and (last is None or seq <= last):
            try:
                page = await self._reader.run(partial(_page, stream=lane.id, from_seq=seq, last=last, limit=limit))
            except sqlite3.Error as error:
                raise translate(error) from error
            if page.damaged:
                log.warning(
                    "%d blocks of stream %s behind number %d are damaged, and were passed over.",
                    page.damaged, lane.name, seq,
                )  # fmt: skip
            yield page
            if page.is_last:
                return
            seq = page.next_seq


def _page(connection: sqlite3.Connection, *, stream: int, from_seq: int, last: int | None, limit: int) -> _Page:
    """On the reader's thread: records from `from_seq` to `last`, within the bounds; it may be none though there are."""
    page = _Page(next_seq=from_seq)
    size = 0
    query = connection.execute(
        f"SELECT {BLOCK_COLUMNS} FROM block"  # noqa: S608 - a constant
        " WHERE key >= coalesce((SELECT max(key) FROM block WHERE key BETWEEN ? AND ?), ?) AND key < ? ORDER BY key",
        (key_of(stream, 0), key_of(stream, from_seq), key_of(stream, from_seq), key_of(stream + 1, 0)),
    )
    with contextlib.closing(query) as rows:  # an open query would keep the write-ahead log from beginning anew
        for looked_at, row in enumerate(rows):
            first_seq = seq_of(row[0])
            if last is not None and first_seq > last:
                break
            if looked_at >= PAGE_BLOCKS:
                page.next_seq = max(page.next_seq, first_seq)
                return page
            if not (is_row_sound(row) and is_body_sound(row)):
                page.damaged += 1
                continue
            if first_seq + row[1] <= from_seq:
                continue
            try:
                block = block_in(inflated(row[9], is_compressed=bool(row[5])), first_seq=first_seq)
            except BlockError:
                page.damaged += 1
                continue
            stop = len(block) if last is None else min(len(block), last + 1 - first_seq)
            for record in block.records(max(0, from_seq - first_seq), stop):
                page.records.append(record)
                page.next_seq = record.seq + 1
                size += size_bytes(record)
                if len(page.records) >= limit or size >= PAGE_BYTES:
                    return page
    page.is_last = True
    return page
