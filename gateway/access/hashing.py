"""Password hashes are checked here: off the event loop, on few threads, with a bounded number of those that wait.

A check holds a core for some ten milliseconds, on purpose. So the threads are fewer than the cores and yield to that of
the event loop (they are nicer than it is), the same question that is asked twice at once is worked out once (devices
that share a user come back together), and who finds too many in front of him is told so at once, not after a long wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from argon2.exceptions import VerificationError

from gateway.access.password_hash import PasswordHash

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 256
"""At 40 ms each on one thread: as long as a listener waits for a CONNECT to be settled."""
NICENESS: Final = 10


class CannotCheck(Exception):
    """There is no place for another check now, or no memory for this one: the client may try again later."""


class _Check:
    """One question at work, and how many wait for its answer."""

    __slots__ = ("future", "waiters")

    def __init__(self, future: Future[bool]) -> None:
        self.future = future
        self.waiters = 0


class HashingPool:
    """The threads, for all accesses of the gateway. Used on the event loop; `close` when no one asks any more."""

    def __init__(self, *, threads: int | None = None, max_waiting: int = MAX_WAITING) -> None:
        self._executor = ThreadPoolExecutor(
            max_workers=threads or min(2, max(1, (os.cpu_count() or 1) - 1)),
            thread_name_prefix="hashing",
            initializer=_be_nice,
        )
        self._max_waiting = max_waiting
        self._checks: dict[tuple[PasswordHash, bytes], _Check] = {}
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many checks are at work or wait."""
        return len(self._checks)

    def is_checking(self, hashed: PasswordHash, password: bytes) -> bool:
        """Whether the very same check is at work already: to wait for it costs nothing."""
        return (hashed, password) in self._checks

    async def matches(self, hashed: PasswordHash, password: bytes) -> bool:
        """Whether the hash is that of the password. Raises CannotCheck.

        A check that nobody waits for any more is taken back if it has not begun: who connects and hangs up again and
        again leaves no work behind.
        """
        key = (hashed, password)
        check = self._checks.get(key)
        if check is None:
            if self._is_closed or len(self._checks) >= self._max_waiting:
                raise CannotCheck
            check = self._checks[key] = _Check(self._executor.submit(hashed.matches, password))
        check.waiters += 1
        try:
            # Shielded: one of several that wait may go away without taking the answer from the others.
            return await asyncio.shield(asyncio.wrap_future(check.future))
        except (VerificationError, MemoryError) as error:  # argon2 found no memory; a mismatch is no error
            logger.warning("A password could not be checked: there is not enough memory for its hash. %s", error)
            raise CannotCheck from error
        finally:
            check.waiters -= 1
            if check.waiters == 0:
                check.future.cancel()
                if self._checks.get(key) is check:
                    del self._checks[key]

    def close(self) -> None:
        """Take back what has not begun, and let the threads end."""
        self._is_closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)


def _be_nice() -> None:
    """Let the event loop's thread go first. On Linux a priority belongs to a thread; elsewhere it is the process's."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
