"""How much of the event loop the making of bodies may take, so that devices are served while many look at much.

After a body has been made the next one waits for GAP times as long, so all of them together take a fifth of the loop
at most, however many ask. Who comes first goes first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

GAP: Final = 4.0
MOST_S: Final = 0.1
"""A body counts as no longer than this: most of what takes longer is a wait for the disk."""


class Pace:
    """One for a server. `now_s` is a monotonic clock."""

    def __init__(self, *, gap: float = GAP, now_s: Callable[[], float] = time.monotonic) -> None:
        self._gap = gap
        self._now_s = now_s
        self._free_s = 0.0
        """When the next body may be begun."""
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def body(self) -> AsyncIterator[None]:
        """Wait for one's turn; make a body within."""
        async with self._turn:
            while (wait_s := self._free_s - self._now_s()) > 0:  # noqa: ASYNC110 - a time that moves, and no event
                await asyncio.sleep(wait_s)
        began_s = self._now_s()
        try:
            yield
        finally:
            now_s = self._now_s()
            self._free_s = max(self._free_s, now_s + self._gap * min(MOST_S, now_s - began_s))
