"""A look at what flows through, for an operator (`fieldgate tail` and the like): a subscriber within the process.

    watch = broker.watch(["plant/+/temp"])
    try:
        while await watch.wait():
            for sample in watch.take(): ...
            watch.lost ...
    finally:
        watch.close()

It sees everything that its filters match, whoever published it and whatever his rights are: it is the operator's. It
sees a message when its commit is on disk, QoS 0 and what no stream takes too, and nothing of what was refused. Topics
that nobody watches cost nothing: watches are found with a topic's route.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from gateway.traffic.sample import Sample

MAX_PENDING: Final = 1000
MAX_PENDING_BYTES: Final = 1024 * 1024


class Watch:
    """Made by `Broker.watch`. What does not fit into its bounds is not kept, and counted in `lost`."""

    def __init__(
        self, filters: Sequence[str], *, max_pending: int = MAX_PENDING, max_pending_bytes: int = MAX_PENDING_BYTES
    ) -> None:
        self.filters = tuple(filters)
        self.lost = 0
        """How many it could not keep, since it began."""
        self.is_closed = False
        self._pending: deque[Sample] = deque()
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._has_news = asyncio.Event()

    async def wait(self) -> bool:
        """Wait until there is something to take or something was lost; false when it is closed."""
        await self._has_news.wait()
        return not self.is_closed

    def take(self, max_samples: int = MAX_PENDING) -> list[Sample]:
        """What waits, oldest first."""
        return []

    def close(self) -> None:
        """Watch no more; idempotent."""
        self.is_closed = True
        self._has_news.set()
