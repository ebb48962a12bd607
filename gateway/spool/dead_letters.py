"""Dead letters: what could not be delivered, kept with its reason until somebody replays or discards it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gateway.spool.stored_record import StoredRecord


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
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A letter that was not replayed; `message` is a sentence."""

    id: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of a replay."""

    letters: int = 0
    records: int = 0
    refused: tuple[Refused, ...] = ()


class DeadLetters:
    """`spool.dead_letters`."""

    letters: int
    records: int

    async def list(
        self,
        before: int | None = None,
        limit: int = 50,
        uplink: str | None = None,
        stream: str | None = None,
        reason: str | None = None,
    ) -> list[DeadLetter]:
        """Newest first, those with an id below `before`."""
        raise NotImplementedError

    async def one(self, number: int) -> DeadLetter | None:
        """One letter; None when there is none with this id."""
        raise NotImplementedError

    async def read(self, number: int, limit: int | None = None) -> Sequence[StoredRecord]:
        """The records of a letter; empty when there is no such letter. Raises BlockError when it can't be read."""
        raise NotImplementedError

    async def replay(self, ids: Sequence[int]) -> Replayed:
        """Have the records in their streams again, as new ones, each letter in one transaction with its own end."""
        raise NotImplementedError

    async def discard(self, ids: Sequence[int]) -> int:
        """Give letters up; returns how many there were. Their records are counted as dropped."""
        raise NotImplementedError

    async def find(
        self, uplink: str | None = None, stream: str | None = None, reason: str | None = None
    ) -> Sequence[int]:
        """The ids of all letters that match, oldest first: for `replay` and `discard` of many."""
        raise NotImplementedError

    def export(self, ids: Sequence[int] | None = None) -> AsyncIterator[tuple[DeadLetter, StoredRecord]]:
        """The records of these letters (None: of all), oldest first, a letter at a time in memory."""
        raise NotImplementedError
