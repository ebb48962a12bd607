"""One timer for all connections of a listener.

Ten thousand idle connections each have a time at which to look after them: that of CONNECT first, then the keep alive.
Here they lie in slots of an eighth of a second, and the event loop has one timer: that of the first slot that is not
empty. A timer of the loop for each would take more memory, and more time at each CONNECT.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from typing import Final, Protocol

logger = logging.getLogger(__name__)

STEP_S: Final = 0.125
NOWHERE: Final = -1


class Timed(Protocol):
    """Something to be looked after. `wheel_slot` belongs to the wheel; it starts as NOWHERE."""

    wheel_slot: int

    def on_due(self, now_s: float) -> None:
        """Its time has come; it is not on the wheel any more, and may be put there again."""


class Wheel:
    """Times are those of the event loop. What is put is looked after at its time or up to STEP_S later."""

    __slots__ = ("_loop", "_slots", "_timer", "_timer_slot", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, set[Timed]] = {}
        self._waiting: list[int] = []
        """The numbers of the slots, as a heap; and of some that are gone."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_slot = NOWHERE

    def put(self, item: Timed, due_s: float) -> None:
        """Look after it at `due_s`, and not before."""
        number = math.ceil(due_s / STEP_S)
        if item.wheel_slot == number:
            return
        self.remove(item)
        item.wheel_slot = number
        slot = self._slots.get(number)
        if slot is not None:
            slot.add(item)
            return
        self._slots[number] = {item}
        heapq.heappush(self._waiting, number)
        if self._timer is None or number < self._timer_slot or len(self._waiting) > 64 + 2 * len(self._slots):
            self._set_timer()

    def remove(self, item: Timed) -> None:
        """Look after it no more; idempotent. One whose time is just now may still be looked after."""
        slot = self._slots.get(item.wheel_slot)
        if slot is not None:
            slot.discard(item)
            if not slot:
                del self._slots[item.wheel_slot]
        item.wheel_slot = NOWHERE

    def stop(self) -> None:
        """Forget everything; idempotent."""
        for slot in self._slots.values():
            for item in slot:
                item.wheel_slot = NOWHERE
        self._slots.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = self._waiting
        if len(waiting) > 64 + 2 * len(self._slots):  # clients that come and go leave the numbers of empty slots
            waiting[:] = sorted(self._slots)
        while waiting and waiting[0] not in self._slots:
            heapq.heappop(waiting)
        if waiting:
            self._timer_slot = waiting[0]
            self._timer = self._loop.call_at(self._timer_slot * STEP_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        # A loop's timers are as exact as its clock: this one may come a moment early.
        last = max(self._timer_slot, int(now_s / STEP_S))
        due: list[Timed] = []
        while self._waiting and self._waiting[0] <= last:
            due += self._slots.pop(heapq.heappop(self._waiting), ())
        for item in due:
            item.wheel_slot = NOWHERE
        for item in due:
            try:
                item.on_due(now_s)
            except Exception:  # Whatever is wrong with one connection, the others have their times too.
                logger.exception("A connection could not be looked after.")
        if self._timer is None:
            self._set_timer()
