"""What the receiver needs from a system that takes its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.receiver.batch import Batch, Refusal
from bridge.receiver.ledger import Ledger


class Sink(Protocol):
    """One place where records go.

    Whoever drives it calls `open`, then `write` one at a time. After an error it calls `close` and `open` again, and
    what `open` returns decides what is written next: so an interrupted write needs no guess about how far it came.
    """

    @property
    def name(self) -> str:
        """What it is and where: unique among the sinks, the same in every life; it owns the sink's ledger."""

    async def open(self) -> Ledger:
        """Get ready; returns what is durably in the sink.

        Raises SinkUnavailable when it is down for now, SinkRefused when it can't be used as it is configured.
        """

    async def write(self, batch: Batch) -> Sequence[Refusal]:
        """Write the records and the ledger rows; returns when both are durable, with the records it will never take.

        Those it has set aside in the receiver's state (`State.save_progress`) in the transaction that makes the rows
        durable: between the two a crash would lose them, as the ledger says that the sink has them.

        Raises SinkUnavailable or SinkRefused: then nothing of it may count as written.
        """

    async def close(self) -> None:
        """Let go of everything; idempotent."""
