"""The tasks of the composition root, by name: each has an owner, and one that ends on its own stops the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from gateway.errors import GatewayError

logger = logging.getLogger(__name__)


class Tasks:
    """`own` a task, `release` it before it is told to end; `ended` returns when another has ended."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._has_ended = asyncio.Event()

    def own(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run it until it is released or all are cancelled; a name is used once at a time."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_done)
        self._tasks[name] = task

    def fail(self, name: str, error: Exception) -> None:
        """A part without a task of its own has failed: `ended` returns, and `check` raises the error."""

        async def end() -> None:
            raise error

        self.own(name, end())

    def release(self, name: str) -> asyncio.Task[None] | None:
        """It may end from now on: whoever takes it awaits it."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.remove_done_callback(self._on_done)
        return task

    def is_running(self, name: str) -> bool:
        """Whether there is such a task, and it has not ended."""
        task = self._tasks.get(name)
        return task is not None and not task.done()

    async def ended(self) -> None:
        """Wait until one of them has ended."""
        await self._has_ended.wait()

    def check(self, *, may_end: bool) -> None:
        """Raise the error of a task that has ended on its own; `may_end`: they were told to."""
        for task in self._tasks.values():
            if task.done() and not task.cancelled():
                error = task.exception()
                if error is not None:
                    raise error
                if not may_end:
                    raise GatewayError(f"The part '{task.get_name()}' has ended, and nobody told it to.")

    async def while_running(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, but no longer than the task `name` lives: without it the work would never end.

        It is of a stop, which goes on whatever went wrong: an error is in the log.
        """
        waiting = asyncio.ensure_future(work)
        owner = self._tasks.get(name)
        try:
            await asyncio.wait({waiting} if owner is None else {waiting, owner}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            (result,) = await asyncio.gather(waiting, return_exceptions=True)
            if isinstance(result, Exception):
                logger.error("A step of the stop has failed; the others follow.", exc_info=result)

    async def cancel(self) -> None:
        """Cancel all, and await them; `check` still tells what they raised."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _on_done(self, _task: asyncio.Task[None]) -> None:
        self._has_ended.set()
