"""Dead letters, as they are read: listed, looked into, exported. What is done to them: `gateway.spool.dead_letters`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import msgpack
import zstandard

from bridge.errors import BlockError
from gateway.spool.errors import translate
from gateway.spool.ports import Reader
from gateway.spool.rows import DeadLetterTotal
from gateway.spool.stored_record import StoredRecord, block_in, inflated

T = TypeVar("T")

TOPICS: Final = 3
_LOOK_BYTES: Final = 64 * 1024
"""How far a body is read for its topics."""
_EXPLANATIONS: Final = {
    "too_large": "The record is larger than the cloud's broker takes.",
    "refused": "The cloud's broker refused these records, and would do so each time.",
    "corrupt": "These records were found damaged on the disk; what is left of them is kept here.",
}
_COLUMNS: Final = "id, at_us, uplink, stream, epoch, first_seq, count, reason, length(body), compressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One letter, without its records."""

    id: int
    at_us: int
    """When it was put here."""
    uplink: str | None
    """Which uplink could not deliver it; None: nobody could have (it is damaged)."""
    stream: str
    epoch: str
    first_seq: int
    count: int
    reason: str
    size_bytes: int
    """As stored."""
    topics: tuple[str, ...]
    """Up to three of its topics; empty when it can't be read."""

    @property
    def explanation(self) -> str:
        """A sentence for people."""
        return _EXPLANATIONS.get(self.reason, "These records could not be delivered.")


class Letters:
    """The letters of a database; `total` says how many there are."""

    def __init__(self, *, reader: Reader, total: Callable[[], DeadLetterTotal]) -> None:
        self._reader = reader
        self._total = total

    @property
    def letters(self) -> int:
        """How many there are, from memory."""
        return self._total().letters

    @property
    def records(self) -> int:
        """How many records are in them, from memory."""
        return self._total().records

    async def list(
        self,
        before: int | None = None,
        limit: int = 50,
        uplink: str | None = None,
        stream: str | None = None,
        reason: str | None = None,
    ) -> list[DeadLetter]:
        """Newest first, those with an id below `before`, `limit` of them at most."""
        where, values = _matching(uplink=uplink, stream=stream, reason=reason)
        if before is not None:
            where, values = f"{where} AND id < ?", [*values, before]
        query = f"SELECT {_COLUMNS} FROM dead_letter WHERE {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - constants
        return await self._read(partial(_letters, query=query, values=[*values, limit]))

    async def one(self, number: int) -> DeadLetter | None:
        """One letter; None when there is none with this id."""
        query = f"SELECT {_COLUMNS} FROM dead_letter WHERE id = ?"  # noqa: S608 - a constant
        found = await self._read(partial(_letters, query=query, values=[number]))
        return found[0] if found else None

    async def read(self, number: int, limit: int | None = None) -> Sequence[StoredRecord]:
        """The records of a letter, the first `limit` of them; empty when there is no such letter.

        Raises BlockError when what is kept can't be read any more.
        """
        return await self._read(partial(_records, number=number, limit=limit))

    async def find(
        self, uplink: str | None = None, stream: str | None = None, reason: str | None = None
    ) -> Sequence[int]:
        """The ids of all letters that match, oldest first: for `replay` and `discard` of many."""
        where, values = _matching(uplink=uplink, stream=stream, reason=reason)
        query = f"SELECT id FROM dead_letter WHERE {where} ORDER BY id"  # noqa: S608 - constants
        return await self._read(lambda connection: [row[0] for row in connection.execute(query, values).fetchall()])

    async def export(self, ids: Sequence[int] | None = None) -> AsyncIterator[tuple[DeadLetter, StoredRecord]]:
        """The records of these letters (None: of all), oldest first, one letter at a time in memory.

        A letter that can't be read is passed over; one that is replayed or discarded meanwhile, too.
        """
        for number in await self.find() if ids is None else ids:
            letter = await self.one(number)
            if letter is None:
                continue
            with contextlib.suppress(BlockError):
                for record in await self.read(number):
                    yield letter, record

    async def _read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._reader.run(fn)
        except sqlite3.Error as error:
            raise translate(error) from error


def _matching(**wanted: str | None) -> tuple[str, list[Any]]:
    given = {name: value for name, value in wanted.items() if value is not None}
    return " AND ".join(["1", *(f"{name} = ?" for name in given)]), list(given.values())


def _letters(connection: sqlite3.Connection, *, query: str, values: Sequence[Any]) -> list[DeadLetter]:
    return [
        DeadLetter(
            id=row[0],
            at_us=row[1],
            uplink=row[2] or None,
            stream=row[3],
            epoch=row[4],
            first_seq=row[5],
            count=row[6],
            reason=row[7],
            size_bytes=row[8],
            topics=_topics(connection, row[0], is_compressed=bool(row[9])),
        )
        for row in connection.execute(query, values).fetchall()
    ]


def _topics(connection: sqlite3.Connection, number: int, *, is_compressed: bool) -> tuple[str, ...]:
    """The first topics in a body, of which only the beginning is read: it may hold megabytes of payload."""
    try:
        with connection.blobopen("dead_letter", "body", number, readonly=True) as blob:
            start = blob.read(_LOOK_BYTES)
    except sqlite3.OperationalError:
        return ()  # it was replayed or discarded a moment ago, or what is there is no body
    unpacker = msgpack.Unpacker(max_buffer_size=2 * _LOOK_BYTES)
    topics: list[str] = []
    try:
        if is_compressed:
            start = zstandard.ZstdDecompressor().stream_reader(start).read(_LOOK_BYTES)
        unpacker.feed(start)
        unpacker.read_array_header()
        unpacker.unpack()
        for _ in range(min(TOPICS, unpacker.read_array_header())):
            topic = unpacker.unpack()
            if isinstance(topic, str):
                topics.append(topic)
    except (zstandard.ZstdError, msgpack.UnpackException, ValueError):
        pass  # it is damaged, or the topics are longer than what was read: those that were found are enough
    return tuple(topics)


def _records(connection: sqlite3.Connection, *, number: int, limit: int | None) -> Sequence[StoredRecord]:
    row = connection.execute("SELECT first_seq, compressed, body FROM dead_letter WHERE id = ?", (number,)).fetchone()
    if row is None:
        return ()
    block = block_in(inflated(row[2], is_compressed=bool(row[1])), first_seq=row[0])
    return list(block.records(0, len(block) if limit is None else min(limit, len(block))))
