"""The open commit: all that will be written, and everyone who waits for it, until it closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.block_builder import BlockBuilder
from bridge.record import Properties
from gateway.spool.ports import Table, Waiter
from gateway.spool.removals import Key, Removals

MAX_BLOCK_BYTES: Final = 1024 * 1024
"""Raw size at which a block is closed whatever its compression promises; bounds what a reader inflates at once."""
KEPT_ROW_BYTES: Final = 96
"""What a row of the broker's takes in memory and on disk beside its body, about."""

_NOTHING: Final[Mapping[Table, Mapping[Key, bytes]]] = {}


@dataclass(slots=True)
class Columns:
    """One client's publishes to one stream, oldest first (see `BlockBuilder.extend`)."""

    client: str
    now_us: int
    topics: Sequence[bytes]
    payloads: Sequence[bytes]
    flags: bytes | bytearray
    plain_size_bytes: int
    properties: Sequence[Properties | None] | None

    def halves(self) -> tuple[Columns, Columns]:
        """The same in two parts; there are at least two publishes."""
        half = len(self.payloads) // 2
        share = self.plain_size_bytes * sum(map(len, self.payloads[:half])) // max(1, sum(map(len, self.payloads)))
        return self._part(slice(0, half), share), self._part(slice(half, None), self.plain_size_bytes - share)

    def _part(self, part: slice, plain_size_bytes: int) -> Columns:
        return Columns(
            self.client,
            self.now_us,
            self.topics[part],
            self.payloads[part],
            self.flags[part],
            plain_size_bytes,
            None if self.properties is None else self.properties[part],
        )


class OpenCommit:
    """Collects publishes into blocks, sessions to remember, rows to keep or to remove, and waiters.

    Removals are carried out before rows are kept: of the two, for one key, the later one therefore holds when a removal
    takes back what was to be kept. Rows that are kept lazily come last. Nothing here blocks or fails.
    """

    __slots__ = ("_last", "blocks", "kept", "lazy", "removals", "sessions", "size_bytes", "waiters")

    def __init__(self) -> None:
        self.blocks: dict[int, list[BlockBuilder]] = {}
        self._last: dict[int, BlockBuilder] = {}
        self.sessions: dict[str, Callable[[], bytes | None]] = {}
        self.waiters: dict[Waiter, list[Any]] = {}
        self.kept: dict[Table, dict[Key, bytes]] = {}
        """A table has rows here, or is not here."""
        self.lazy: dict[Table, dict[Key, bytes]] = {}
        """Likewise; rows that may wait, and be lost when there is no room."""
        self.removals = Removals()
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.blocks or self.sessions or self.waiters or self.kept or self.lazy or self.removals)

    def keep(self, table: Table, key: Key, body: bytes) -> None:
        """Have a row written, in the place of one with this key."""
        if table in self.lazy:
            self.lazy[table].pop(key, None)
        rows = self.kept.get(table)
        if rows is None:
            rows = self.kept[table] = {}
        elif key in rows:
            self.size_bytes -= len(rows[key]) + KEPT_ROW_BYTES
        rows[key] = body
        self.size_bytes += len(body) + KEPT_ROW_BYTES

    def keep_lazily(self, table: Table, key: Key, body: bytes) -> None:
        """Have a row written that may wait, and be lost."""
        self.lazy.setdefault(table, {})[key] = body

    def put_back(
        self, lazy: Mapping[Table, Mapping[Key, bytes]], kept: Mapping[Table, Mapping[Key, bytes]] = _NOTHING
    ) -> None:
        """Have rows of a commit that failed wait again, but for those that something here came after.

        First those kept lazily, also where the same commit kept a row of that key: they came after it. For the same
        reason what is kept again takes no lazy row away.
        """
        for table, rows in lazy.items():
            for key, body in rows.items():
                if key in self.kept.get(table, ()) or self.removals.has(table, key):
                    continue
                self.lazy.setdefault(table, {}).setdefault(key, body)
        for table, rows in kept.items():
            for key, body in rows.items():
                if key in self.kept.get(table, ()) or self.removals.has(table, key):
                    continue
                self.kept.setdefault(table, {})[key] = body
                self.size_bytes += len(body) + KEPT_ROW_BYTES

    def discard(self, table: Table, key: Key) -> None:
        """Have a row removed, also one that an earlier commit wrote or is writing."""
        if table in self.kept:
            self._take_back(table, [key])
        if table in self.lazy:
            self.lazy[table].pop(key, None)
        self.removals.add(table, key)

    def discard_range(self, table: Table, first: int, last: int) -> None:
        """The same for all keys from `first` to `last`."""
        if table in self.kept:
            self._take_back(table, [key for key in self.kept[table] if isinstance(key, int) and first <= key <= last])
        if table in self.lazy:
            for key in [key for key in self.lazy[table] if isinstance(key, int) and first <= key <= last]:
                del self.lazy[table][key]
        self.removals.ranges.add((table, first, last))

    def _take_back(self, table: Table, keys: list[Key]) -> None:
        rows = self.kept[table]
        for key in keys:
            body = rows.pop(key, None)
            if body is not None:
                self.size_bytes -= len(body) + KEPT_ROW_BYTES
        if not rows:
            del self.kept[table]

    def append(self, stream: int, columns: Columns, *, max_records: int, max_bytes: int) -> None:
        """Add publishes to the stream's open block; at its bounds it is closed and the next one opened.

        A single publish larger than `max_bytes` gets a block of its own.
        """
        n = len(columns.payloads)
        size = columns.plain_size_bytes
        if n > 1 and (n > max_records or size > max_bytes):
            for half in columns.halves():
                self.append(stream, half, max_records=max_records, max_bytes=max_bytes)
            return
        block = self._last.get(stream)
        if block is None or block.count + n > max_records or (block.count and block.size_bytes + size > max_bytes):
            block = self._last[stream] = BlockBuilder(columns.now_us)
            self.blocks.setdefault(stream, []).append(block)
        before = block.size_bytes
        block.extend(
            client=columns.client,
            now_us=columns.now_us,
            topics=columns.topics,
            payloads=columns.payloads,
            flags=columns.flags,
            plain_size_bytes=size,
            properties=columns.properties,
        )
        self.size_bytes += block.size_bytes - before
