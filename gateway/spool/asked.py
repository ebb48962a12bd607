"""What is asked of the next commit by those who wait for its answer: jobs, and a replay of dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.spool.errors import SpoolFull
from gateway.spool.plan import Job, Result
from gateway.spool.replay import Replay, Road, Taken

Then = Callable[[Any], None]
"""Carries what a job has written over to memory."""


class Asked:
    """Collected until a commit takes it; then answered once."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Job, asyncio.Future[Any], Then | None]] = []
        self._replay: tuple[Sequence[int], str | None, asyncio.Future[Taken]] | None = None

    def __bool__(self) -> bool:
        return bool(self._jobs) or self._replay is not None

    def take_jobs(self) -> list[Job]:
        """In the order given; those that nobody waits for any more are left out, now and from the answers."""
        self._jobs = [asked for asked in self._jobs if not asked[1].cancelled()]
        return [job for job, _, _ in self._jobs]

    def replay_over(self, roads: Callable[[], Mapping[str, Road]]) -> Replay | None:
        """The letters that are to go back, with the streams that there are; None where nobody asked for it."""
        return None if self._replay is None else Replay(ids=self._replay[0], to=self._replay[1], roads=roads())

    def do(self, job: Job, then: Then | None) -> asyncio.Future[Any]:
        """Have a job written; the future has what it returned. `then` is called with it in any case: whoever waits may
        have been cancelled while the job was written."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, future, then))
        return future

    def replay(self, ids: Sequence[int], to: str | None) -> asyncio.Future[Taken]:
        """Have dead letters go back. One at a time can be asked for: `DeadLetters` sees to that."""
        future: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._replay = (ids, to, future)
        return future

    def answer(self, result: Result) -> None:
        """Tell them what became of it."""
        error = result.error or SpoolFull("The spool is full.")
        values = result.job_results if result.written else [error] * len(self._jobs)
        for (_, future, then), value in zip(self._jobs, values, strict=True):
            if then is not None and result.written:
                then(value)
            _set(future, value)
        if self._replay is not None:
            _set(self._replay[2], error if result.replayed is None or not result.written else result.replayed)

    def fail(self, error: BaseException) -> None:
        """Tell them that nothing more can be done."""
        for _, future, _ in self._jobs:
            _set(future, error)
        if self._replay is not None:
            _set(self._replay[2], error)


def _set(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
