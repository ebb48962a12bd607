"""The sockets that the HTTP interface listens at: taken first, and answered later, so that a change can be prepared."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from bridge.listening import hosts_of, listen
from config.settings import Address

log = logging.getLogger(__name__)

AT_ONCE: Final = 32
"""Connections that are taken in one turn of the loop."""
EXHAUSTED_WAIT_S: Final = 1.0

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Take = Callable[[socket.socket, str], None]
"""Has a new connection and the address that it comes from."""


class Door:
    """An address that is taken. `open` once; `close` any number of times."""

    def __init__(self, bind: Address, sockets: list[socket.socket]) -> None:
        self.address = Address(host=bind.host, port=int(sockets[0].getsockname()[1]))
        """Where it really listens: port 0 became a free one."""
        self._sockets = sockets
        self._take: Take | None = None
        self._pausing: asyncio.TimerHandle | None = None

    @classmethod
    async def take(cls, bind: Address) -> Door:
        """Have the address; whoever knocks waits. Raises OSError and OverflowError where it can't be had."""
        hosts = await asyncio.get_running_loop().run_in_executor(None, hosts_of, bind)  # a resolver may take long
        return cls(bind, listen(bind, hosts))

    def open(self, take: Take) -> None:
        """Have `take` called for each connection."""
        self._take = take
        self._listen()

    def close(self) -> None:
        """Take nothing more; those who wait in the queue are refused. Idempotent."""
        self._leave()
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    def _listen(self) -> None:
        self._pausing = None
        for sock in self._sockets:
            asyncio.get_running_loop().add_reader(sock.fileno(), self._on_knock, sock)

    def _leave(self) -> None:
        for sock in self._sockets if self._take is not None else ():
            asyncio.get_running_loop().remove_reader(sock.fileno())

    def _on_knock(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    continue  # that one connection broke before it was taken
                log.error(
                    "The HTTP interface takes no connections for a moment: the operating system says %s. Raise the "
                    "limit of open files.",
                    error.strerror,
                )
                self._leave()
                self._pausing = asyncio.get_running_loop().call_later(EXHAUSTED_WAIT_S, self._listen)
                return
            accepted.setblocking(False)
            if self._take is not None:
                self._take(accepted, _host_of(address))


def _host_of(address: Any) -> str:
    return str(address[0]) if isinstance(address, tuple) else ""
