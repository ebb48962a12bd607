"""The queue: what waits in a stream, looked at by sequence number, without taking anything away."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway.spool.stored_record import StoredRecord


class Queue:
    """`spool.queue`."""

    async def peek(self, stream: str, from_seq: int | None = None, limit: int = 100) -> list[StoredRecord]:
        """The first `limit` records at or after `from_seq` (None: from the first one kept). Raises KeyError for an
        unknown stream."""
        raise NotImplementedError

    def export(
        self, stream: str, from_seq: int | None = None, to_seq: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """All records from `from_seq` to `to_seq`, both included, a few blocks at a time in memory."""
        raise NotImplementedError
