"""Takes new connections from listening sockets, no more a second than allowed; the others wait in the system's queue.

The event loop's own servers accept whatever comes, as fast as it comes, and can't be told to wait.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.listener.rates import TokenBucket

logger = logging.getLogger(__name__)

AT_ONCE: Final = 64
"""Connections that one turn of the loop takes from one socket, so that those who are in are not kept waiting."""
EXHAUSTED_WAIT_S: Final = 0.5
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Calls `take(socket, address)` for each new connection. `rate`: a second; None for no bound."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        take: Callable[[socket.socket, Any], None],
        *,
        name: str,
        rate: int | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._sockets = list(sockets)
        self._take = take
        self._name = name
        self._loop = loop
        self.limit(rate)
        self._pausing: asyncio.TimerHandle | None = None
        self._listen()

    def limit(self, rate: int | None) -> None:
        """Take so many a second from now on; None for no bound."""
        self._bucket = None if rate is None else TokenBucket(rate, now_s=self._loop.time())

    def close(self) -> None:
        """Take nothing more, and close the sockets; those who wait in the queue are refused. Idempotent."""
        self._leave()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None

    def _listen(self) -> None:
        self._pausing = None
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._on_knock, sock)

    def _leave(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())

    def _pause(self, wait_s: float) -> None:
        self._leave()
        self._pausing = self._loop.call_later(wait_s, self._listen)

    def _on_knock(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if self._pausing is not None or sock.fileno() < 0:
                return
            try:
                accepted, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    logger.error(
                        "The listener %r takes no connections for a moment: the operating system says %s. Raise the "
                        "limit of open files, or lower max_connections.",
                        self._name,
                        error.strerror,
                    )
                    self._pause(EXHAUSTED_WAIT_S)
                    return
                continue  # that one connection broke before it was taken
            accepted.setblocking(False)
            if self._bucket is not None:
                wait_s = self._bucket.take(1, self._loop.time())
                if wait_s:
                    self._pause(wait_s)
            self._take(accepted, address)
