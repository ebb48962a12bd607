"""An event loop whose clock jumps: when every task waits for a time, that time is now.

So a test of back-off and time-outs runs in no time, and no sleep stands for an event. Only for code without threads
and sockets.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Never waits: tells the loop's clock to go on instead."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits and nothing is due: the code under test is stuck")
        if timeout > 0:
            self._advance(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its `time()` is virtual, in seconds from 1000."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        super().__init__(_Selector(self._advance))

    def _advance(self, seconds: float) -> None:
        self._now_s += seconds

    def time(self) -> float:
        return self._now_s


class VirtualClock:
    """`bridge.ports.Clock` over a virtual loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def monotonic_s(self) -> float:
        return self._loop.time()

    def now_us(self) -> int:
        return 1_700_000_000_000_000 + int(self._loop.time() * 1e6)


def run_virtual(make: Callable[[VirtualClock], Coroutine[Any, Any, None]]) -> None:
    """Run `make(clock)` to its end on a virtual loop of its own, with no task left behind."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(make(VirtualClock(loop)))
        assert not asyncio.all_tasks(loop), "tasks were left behind"
    finally:
        # After a failure: end what still runs, so that the failure is all there is to read.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()
