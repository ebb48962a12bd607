"""Which blocks go when there is no room, or when they are too old: the operator's policy, inside a transaction.

Whatever is removed here is counted, leaves a gap with its reason, and is told to the event loop as a `Drop`.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.ports import Gap
from config.settings import WhenFull
from gateway.spool.ages import Expiry
from gateway.spool.errors import SpoolCorrupt, SpoolFull
from gateway.spool.gaps import CORRUPT
from gateway.spool.rows import add_to_counter, dead_letter_total, head_of, last_block, note_gap
from gateway.spool.schema import PAGE_SIZE_BYTES, key_of, seq_of

log = logging.getLogger(__name__)

ROW_OVERHEAD_BYTES: Final = 96
MARGIN_PAGES: Final = 16
DEAD_LETTER_SHARE: Final = 8
"""Dead letters may take one part in so many of the spool; beyond it the oldest go, so that live data can stay."""
DISCARDED: Final = "discarded_dead_letter"
"""The reason under which the records of such a letter are counted."""
_BLOCKS_AT_ONCE: Final = 64
EXPIRED_AT_ONCE: Final = 512
"""Blocks that one commit lets expire, so that no acknowledgement waits for a great cleaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Blocks that a policy removed: their range, and how many records were in it."""

    stream: int
    gap: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """A dead letter that went for lack of room."""

    stream: str
    count: int
    """Of its records, those that are lost with it."""
    size_bytes: int


def pages_for(size_bytes: int) -> int:
    """The pages that so many bytes of new rows fill."""
    return size_bytes // (PAGE_SIZE_BYTES - ROW_OVERHEAD_BYTES)


def make_room(
    connection: sqlite3.Connection,
    *,
    streams: dict[int, str],
    size_bytes: int,
    ceiling_pages: int,
    max_letters_bytes: int,
    when_full: WhenFull,
    discarded: list[Discarded],
    on_used: Callable[[int], None] = lambda _pages: None,
) -> list[Drop]:
    """Have the pages that so many bytes of new rows need, by id and name of the streams. Raises SpoolFull.

    `max_letters_bytes`: what dead letters may keep when something has to go. Those that went for it are added to
    `discarded`; `on_used` is told how many pages held something before.
    """
    needed = pages_for(size_bytes) + MARGIN_PAGES
    used = used_pages(connection)
    on_used(used)
    if used + needed <= ceiling_pages:
        return []
    if when_full is WhenFull.REJECT:
        raise SpoolFull("The spool is full, and spool.when_full is reject.")
    if needed > ceiling_pages:
        raise SpoolFull(f"One commit needs {needed} pages, and the spool may have {ceiling_pages}.")
    # First of all letters beyond their share, as there are after the spool was made smaller: live data goes first.
    discarded += bound_dead_letters(connection, max_letters_bytes)
    # Some more than needed, so that not every commit has to.
    goal = ceiling_pages - needed - min(ceiling_pages // 64, 1024)
    drops: list[Drop] = []
    while (short := used_pages(connection) - goal) > 0:
        oldest = _oldest_blocks(connection, streams, short)
        if oldest:
            stream = oldest[0][0] >> 48
            drops += drop(connection, stream, streams[stream], oldest, "full")
        elif (letter := _discard_dead_letter(connection)) is not None:
            discarded.append(letter)
        else:
            if used_pages(connection) + needed > ceiling_pages:
                raise SpoolFull("The spool is full, and there is nothing left to drop.")
            break
    return drops


def expire(connection: sqlite3.Connection, stream: int, name: str, expiry: Expiry) -> list[Drop]:
    """Drop the first blocks of a stream, as far as their time-to-live is over: at most EXPIRED_AT_ONCE of them."""
    expired = []
    with contextlib.closing(_first_blocks(connection, stream, EXPIRED_AT_ONCE)) as blocks:
        for block in blocks:
            if not expiry.has_taken(seq_of(block.key) + block.count, block.received_at_us):
                break
            expired.append((block.key, block.count))
    return drop(connection, stream, name, expired, "expired")


def drop(
    connection: sqlite3.Connection, stream: int, name: str, blocks: Sequence[tuple[int, int]], reason: str
) -> list[Drop]:
    """Delete blocks, given as (key, count) in order, and note the gaps that they leave: one for each run of numbers."""
    drops = []
    for run in _runs(blocks):
        connection.execute("DELETE FROM block WHERE key BETWEEN ? AND ?", (run[0][0], run[-1][0]))
        gap = Gap(first_seq=seq_of(run[0][0]), count=sum(count for _, count in run), reason=reason)
        note_gap(connection, stream, gap)
        add_to_counter(connection, name, f"dropped_{reason}", gap.count)
        drops.append(Drop(stream=stream, gap=gap))
    return drops


def _runs(blocks: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Blocks that follow each other without a hole; what lies in a hole was counted when the hole was made."""
    run: list[tuple[int, int]] = []
    for block in blocks:
        if run and run[-1][0] + run[-1][1] != block[0]:
            yield run
            run = []
        run.append(block)
    if run:
        yield run


def used_pages(connection: sqlite3.Connection) -> int:
    """Pages of the database that hold something."""
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return pages - free


def _oldest_blocks(connection: sqlite3.Connection, streams: dict[int, str], pages: int) -> list[tuple[int, int]]:
    """(key, count) of the first blocks of the stream whose first block is the oldest of all: about so many pages."""
    heads = [(head.received_at_us or 0, stream) for stream in streams if (head := head_of(connection, stream))]
    if not heads:
        return []
    _, stream = min(heads)
    found: list[tuple[int, int]] = []
    size = 0
    with contextlib.closing(_first_blocks(connection, stream, _BLOCKS_AT_ONCE)) as blocks:
        for block in blocks:
            found.append((block.key, block.count))
            size += block.size_bytes + ROW_OVERHEAD_BYTES
            if size >= pages * PAGE_SIZE_BYTES:
                break
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """What a policy looks at of a block."""

    key: int
    count: int
    received_at_us: int
    size_bytes: int


def _first_blocks(connection: sqlite3.Connection, stream: int, limit: int) -> Generator[_Block, None, None]:
    """The first blocks of a stream. Raises SpoolCorrupt when nobody can tell where it ends.

    A count that was changed on the disk would make a gap of numbers that are other blocks', or are given to none yet:
    a block has no more than there are up to the next one.
    """
    rows = connection.execute(
        "SELECT key, count, received_at_us, length(body) FROM block WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
        (key_of(stream, 0), key_of(stream + 1, 0), limit + 1),
    )
    with contextlib.closing(rows):
        row, place = rows.fetchone(), 0
        while row is not None and place < limit:
            after, place = rows.fetchone(), place + 1
            key, count, received_at_us, length = row
            if after is not None:
                most = after[0] - key
                count = count if isinstance(count, int) and 0 < count <= most else most
            elif (last := last_block(connection, stream)) is not None and not last.is_sound:
                raise SpoolCorrupt("The last row of a stream is not what was written.")
            at_us = received_at_us if isinstance(received_at_us, int) else 0
            yield _Block(key=key, count=count, received_at_us=at_us, size_bytes=length)
            row = after


def bound_dead_letters(connection: sqlite3.Connection, max_bytes: int) -> list[Discarded]:
    """Discard the oldest dead letters until what is kept is within the bound; returns them."""
    gone: list[Discarded] = []
    size = dead_letter_total(connection).size_bytes
    while size > max_bytes and (letter := _discard_dead_letter(connection)) is not None:
        gone.append(letter)
        size -= letter.size_bytes
    return gone


def _discard_dead_letter(connection: sqlite3.Connection) -> Discarded | None:
    """Discard the oldest dead letter; None when there was none."""
    row = connection.execute(
        "SELECT id, stream, first_seq, count, reason, length(body) FROM dead_letter ORDER BY id LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    number, stream, first_seq, count, reason, size = row
    connection.execute("DELETE FROM dead_letter WHERE id = ?", (number,))
    lost = lost_with(reason, count)
    if lost:
        add_to_counter(connection, stream, f"dropped_{DISCARDED}", lost)
    log.warning(
        "Discarded a dead letter for lack of room: %d records of stream %s from number %d (%s).",
        count,
        stream,
        first_seq,
        reason,
    )
    return Discarded(stream=stream, count=lost, size_bytes=size)


def lost_with(reason: str, count: int) -> int:
    """How many records are lost with a dead letter: those of a damaged block were counted when that was found."""
    return 0 if reason == CORRUPT else count
