"""What is to be done later: delayed wills, sessions that expire, tries that are made again."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Hashable
from functools import partial
from itertools import count
from typing import Any, Final

from gateway.spool.ports import Outcome

logger = logging.getLogger(__name__)

TRY_AGAIN_AFTER_S: Final = 1.0
"""When what the disk did not take is taken to it again."""


class Agenda:
    """Things to do at a time, each under a key, so that it can be called off. Times are monotonic seconds."""

    __slots__ = ("_entries", "_heap", "_number")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Hashable]] = []
        self._entries: dict[Hashable, tuple[int, Callable[[], None], float]] = {}
        self._number = count()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, key: Hashable, due_s: float, action: Callable[[], None]) -> None:
        """Have `action` done at `due_s`; it takes the place of what stood under the key."""
        number = next(self._number)
        self._entries[key] = (number, action, due_s)
        heapq.heappush(self._heap, (due_s, number, key))
        # Entries called off stay in the heap until they are due; many of them are cleared away in one go.
        if len(self._heap) > 64 + 2 * len(self._entries):
            self._heap = [item for item in self._heap if self._is_current(item[2], item[1])]
            heapq.heapify(self._heap)

    def due_s(self, key: Hashable) -> float | None:
        """When what stands under the key is to be done; None when nothing does."""
        entry = self._entries.get(key)
        return None if entry is None else entry[2]

    def cancel(self, key: Hashable) -> bool:
        """Call it off; false when nothing stood under the key."""
        return self._entries.pop(key, None) is not None

    def hurry(self, key: Hashable) -> None:
        """Do now what stands under the key, if anything does."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry[1]()

    def take_due(self, now_s: float, at_most: int) -> list[Callable[[], None]]:
        """The actions whose time has come, oldest first; they are off the agenda."""
        due: list[Callable[[], None]] = []
        while self._heap and self._heap[0][0] <= now_s and len(due) < at_most:
            _, number, key = heapq.heappop(self._heap)
            if self._is_current(key, number):
                due.append(self._entries.pop(key)[1])
        return due

    def _is_current(self, key: Hashable, number: int) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry[0] == number


def do_safely(action: Callable[[], None]) -> None:
    """Do one of many things; an error of one is told, and the others go on."""
    try:
        action()
    except Exception:  # Whatever is wrong with one of them, the others, and the store's commits, go on.
        logger.exception("A will, an expiry or a second try has failed.")


def soon(action: Callable[[], None]) -> None:
    """Have `action` done when others had their turn; at once where no loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        action()
    else:
        loop.call_soon(do_safely, action)


class Actions:
    """Waits for commits (`gateway.spool.ports.Waiter`); what it is given to wait with are functions of the outcome."""

    __slots__ = ()

    def on_commit(self, items: list[Any], outcome: Outcome) -> None:
        """A commit has ended: do what was to be done then."""
        for action in items:
            do_safely(partial(action, outcome))
