"""A line for work that takes long: of all connections together, a little of it is done in each turn of the event loop.

A TLS handshake takes the server as long as a hundred packets. Five hundred clients that come back at once, or that mean
harm, may all be readable in one turn; without the line everybody who is in would wait for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4


class Line:
    """First come, first served. It is as long as there are connections: each stands in it once."""

    __slots__ = ("_is_moving", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_moving = False

    def enter(self, work: Callable[[], None]) -> None:
        """Do it when its turn has come."""
        self._waiting.append(work)
        if not self._is_moving:
            self._is_moving = True
            asyncio.get_running_loop().call_soon(self._move)

    def _move(self) -> None:
        for _ in range(min(AT_ONCE, len(self._waiting))):
            try:
                self._waiting.popleft()()
            except Exception:  # Whatever is wrong with one connection, the others have their turns too.
                logger.exception("Work for a connection could not be done.")
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._move)
        else:
            self._is_moving = False
