"""Password hashes are checked here: off the event loop, on few threads, with a bounded number of those that wait.

A check holds a core for some ten milliseconds, on purpose. So the threads are fewer than the cores and yield to that of
the event loop (they are nicer than it is), the same question that is asked twice at once is worked out once (devices
that share a user come back together), and who would wait longer than a client does is told so at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from argon2.exceptions import VerificationError

from gateway.access.password_hash import PasswordHash

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 1024
MAX_WAIT_S: Final = 5.0
"""Half of the time that a listener gives to a CONNECT: longer lines are work that nobody sees the end of."""
MIN_WAITING: Final = 8
NICENESS: Final = 10
"""Beside what the process has already: under `nice` its threads have to yield, too."""
LEAST: Final = 19
"""There is no lower priority."""
_SMOOTHING: Final = 0.2

Late = Callable[[bool], None]


class CannotCheck(Exception):
    """There is no place for another check now, or no memory for this one: the client may try again later."""


class _Check:
    """One question at work: `answer` is for all who wait, `late` for those who went away meanwhile."""

    __slots__ = ("answer", "late", "waiters", "work")

    def __init__(self, work: Future[tuple[bool, float]], answer: asyncio.Future[bool]) -> None:
        self.work = work
        self.answer = answer
        self.waiters = 0
        self.late: list[Late] = []


class HashingPool:
    """The threads, for all accesses of the gateway. Used on the event loop; `close` when no one asks any more."""

    def __init__(self, *, threads: int | None = None, max_waiting: int = MAX_WAITING) -> None:
        self._threads = threads or min(2, max(1, (os.cpu_count() or 1) - 1))
        self._executor = ThreadPoolExecutor(
            max_workers=self._threads, thread_name_prefix="hashing", initializer=_be_nice
        )
        self._max_waiting = max_waiting
        self._check_s = 0.0
        self._checks: dict[tuple[PasswordHash, bytes], _Check] = {}
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many checks are at work or wait."""
        return len(self._checks)

    @property
    def max_waiting(self) -> int:
        """How many may: as many as are done in MAX_WAIT_S, by what a check took of late."""
        if self._check_s * self._max_waiting <= MAX_WAIT_S * self._threads:
            return self._max_waiting
        return min(self._max_waiting, max(MIN_WAITING, int(MAX_WAIT_S * self._threads / self._check_s)))

    def is_checking(self, hashed: PasswordHash, password: bytes) -> bool:
        """Whether the very same check is at work already: to wait for it costs nothing."""
        return (hashed, password) in self._checks

    async def matches(self, hashed: PasswordHash, password: bytes, *, late: Late | None = None) -> bool:
        """Whether the hash is that of the password. Raises CannotCheck.

        When the caller is cancelled: a check that has not begun and that nobody else waits for is taken back, so who
        connects and hangs up again and again leaves no work behind; one that has begun goes on, and `late` is told.
        """
        key = (hashed, password)
        check = self._checks.get(key)
        if check is None:
            if self._is_closed or len(self._checks) >= self.max_waiting:
                raise CannotCheck
            check = self._begin(key)
        check.waiters += 1
        try:
            # Shielded: one of several that wait may go away without taking the answer from the others.
            return await asyncio.shield(check.answer)
        except asyncio.CancelledError:
            if late is not None and not check.answer.done():
                check.late.append(late)
            raise
        except (VerificationError, MemoryError) as error:  # argon2 found no memory; a mismatch is no error
            logger.warning("A password could not be checked: there is not enough memory for its hash. %s", error)
            raise CannotCheck from error
        finally:
            check.waiters -= 1
            if check.waiters == 0 and check.work.cancel() and self._checks.get(key) is check:
                del self._checks[key]

    def close(self) -> None:
        """Take back what has not begun, and let the threads end."""
        self._is_closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: tuple[PasswordHash, bytes]) -> _Check:
        loop = asyncio.get_running_loop()
        check = _Check(self._executor.submit(_timed, *key), loop.create_future())
        self._checks[key] = check

        def on_done(_: Future[tuple[bool, float]]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._finish, key, check)

        check.work.add_done_callback(on_done)
        return check

    def _finish(self, key: tuple[PasswordHash, bytes], check: _Check) -> None:
        if self._checks.get(key) is check:
            del self._checks[key]
        if check.work.cancelled():
            check.answer.cancel()
            return
        error = check.work.exception()
        if error is not None:
            check.answer.set_exception(error)
            check.answer.exception()  # it is seen, also when nobody waits any more
            return
        matches, check_s = check.work.result()
        self._check_s += (_SMOOTHING if self._check_s else 1.0) * (check_s - self._check_s)
        check.answer.set_result(matches)
        for late in check.late:
            late(matches)


def _timed(hashed: PasswordHash, password: bytes) -> tuple[bool, float]:
    """Whether it matches, and how long that took, in seconds."""
    began_s = time.monotonic()
    matches = hashed.matches(password)
    return matches, time.monotonic() - began_s


def _be_nice() -> None:
    """Let the event loop's thread go first. On Linux a priority belongs to a thread; elsewhere it is the process's."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(own + NICENESS, LEAST))
