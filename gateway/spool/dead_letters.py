"""Dead letters: what could not be delivered, kept with its reason until somebody replays or discards it.

They are bounded: they may take one part in `retention.DEAD_LETTER_SHARE` of the spool. Beyond it the oldest are
discarded, counted and logged; live data always goes first.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bridge.database import Database
from gateway.spool.committer import Committer
from gateway.spool.errors import SpoolBusy, SpoolFull
from gateway.spool.lane import Lane
from gateway.spool.lane_update import count_dropped
from gateway.spool.letters import Letters
from gateway.spool.replay import MAX_LETTERS, Refused
from gateway.spool.retention import lost_with
from gateway.spool.rows import add_to_counter

GIVEN_UP: Final = "discarded_by_operator"
"""The reason under which the records of a letter are counted that somebody discards."""
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of a replay."""

    letters: int = 0
    records: int = 0
    refused: tuple[Refused, ...] = ()


class DeadLetters(Letters):
    """`spool.dead_letters`."""

    def __init__(self, *, committer: Committer, reader: Database, lanes: Mapping[str, Lane]) -> None:
        super().__init__(reader=reader, total=lambda: committer.dead_letters)
        self._committer = committer
        self._lanes = lanes
        self._changing = asyncio.Lock()

    async def replay(self, ids: Sequence[int], to: str | None = None) -> Replayed:
        """Have the records in their streams again, as new ones with new numbers, and the letters gone.

        Each letter goes in the transaction that brings its records back. When there is no room, what is left of them
        is refused, and stays; so does a letter whose uplink is gone, until somebody chooses another: `to`. All other
        uplinks that carry the stream are told of a gap: they have had these records.
        """
        letters = records = 0
        refused: list[Refused] = []
        left: Sequence[int] = list(dict.fromkeys(ids))
        async with self._changing:
            while left:
                portion, rest = left[:MAX_LETTERS], left[MAX_LETTERS:]
                try:
                    taken = await self._committer.replay(portion, to)
                except (SpoolFull, SpoolBusy) as error:
                    message = f"{error} The letter was kept; replay it when there is room."
                    refused += [Refused(id=number, message=message) for number in left]
                    break
                letters += len(taken.ids)
                records += taken.records
                refused += taken.refused
                left = [*taken.left, *rest]
        return Replayed(letters=letters, records=records, refused=tuple(refused))

    async def discard(self, ids: Sequence[int]) -> int:
        """Give letters up; returns how many there were. Their records are counted as dropped, those of damaged blocks
        not once more.

        Raises SpoolFull or SpoolBusy when that can't be written now.
        """
        numbers = list(dict.fromkeys(ids))
        gone = 0
        async with self._changing:
            for start in range(0, len(numbers), _AT_ONCE):
                job = partial(_discard, numbers=numbers[start : start + _AT_ONCE])
                gone += len(await self._committer.do(job, self._count))
        return gone

    def _count(self, given_up: Sequence[tuple[str, int]]) -> None:
        for stream, count in given_up:
            count_dropped(self._lanes, stream, GIVEN_UP, count)


def _discard(connection: sqlite3.Connection, *, numbers: Sequence[int]) -> list[tuple[str, int]]:
    """The stream of each letter that was there, and how many records are lost with it."""
    gone = []
    for number in numbers:
        row = connection.execute("SELECT stream, reason, count FROM dead_letter WHERE id = ?", (number,)).fetchone()
        if row is not None:
            connection.execute("DELETE FROM dead_letter WHERE id = ?", (number,))
            lost = lost_with(row[1], row[2])
            if lost:
                add_to_counter(connection, row[0], f"dropped_{GIVEN_UP}", lost)
            gone.append((row[0], lost))
    return gone
