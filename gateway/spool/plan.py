"""What one commit is to write, as the event loop says it, and what became of it, as the database's thread tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.block_builder import BlockBuilder
from gateway.spool.ages import Expiry
from gateway.spool.errors import SpoolBusy, SpoolFull
from gateway.spool.ports import Outcome, Table
from gateway.spool.removals import Key, Removals
from gateway.spool.replay import Replay, Taken
from gateway.spool.retention import Discarded, Drop
from gateway.spool.rows import DeadLetterTotal, Head
from gateway.spool.sealer import SealedBlock

Job = Callable[[sqlite3.Connection], Any]
"""Something else to be written with the commit."""


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
    expiry: Expiry | None = None
    """What is past its time-to-live; None: that is not to be looked at now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one commit is to write."""

    lanes: Sequence[LanePlan] = ()
    sessions: Sequence[tuple[str, bytes | None]] = ()
    watermarks: Sequence[tuple[str, int, int]] = ()
    """(uplink, stream, sequence number)"""
    gaps_declared: Sequence[tuple[int, str, int]] = ()
    """(stream, uplink, first sequence number) of gaps that nobody needs to be told of any more."""
    kept: Mapping[Table, Mapping[Key, bytes]] = field(default_factory=dict)
    removals: Removals = field(default_factory=Removals)
    """Carried out before rows are kept."""
    jobs: Sequence[Job] = ()
    replay: Replay | None = None
    """Dead letters that are to go back into their streams."""
    lazy: Mapping[Table, Mapping[Key, bytes]] = field(default_factory=dict)
    """Rows that may be lost when there is no room."""

    @property
    def notes(self) -> Mapping[Table, Mapping[Key, bytes]]:
        """Of the rows kept, those that are written however full the spool is: what an operator was promised."""
        return {table: rows for table, rows in self.kept.items() if table is Table.NOTE}

    def without_records(self, *, lazy: bool) -> Plan:
        """The same without what devices sent; notes are kept, and what is to be forgotten or removed still is.

        `lazy`: with those rows.
        """
        return replace(
            self,
            lanes=[replace(lane, blocks=()) for lane in self.lanes],
            sessions=[(client_id, None) for client_id, snapshot in self.sessions if snapshot is None],
            kept=self.notes,
            replay=None,
            lazy=self.lazy if lazy else {},
        )


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of a plan. `outcome` is about records, sessions and rows kept; the rest was written in any case."""

    outcome: Outcome
    written: bool = True
    """False when not even releases and removals could be written; they stay to be done."""
    sealed: list[SealedBlock] = field(default_factory=list)
    """What devices sent, then what was replayed."""
    drops: list[Drop] = field(default_factory=list)
    heads: dict[int, Head] = field(default_factory=dict)
    job_results: list[Any] = field(default_factory=list)
    replayed: Taken | None = None
    """None when there was no room to replay."""
    discarded: list[Discarded] = field(default_factory=list)
    dead_letters: DeadLetterTotal | None = None
    """How many there are now; None when nothing about them has changed."""
    lazy_lost: int = 0
    """Rows kept lazily for which there was no room."""
    error: SpoolFull | SpoolBusy | None = None
