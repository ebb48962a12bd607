"""aiohttp's server with our bounds: so many connections at most, and every answer of its own as a JSON sentence.

A connection has its place from the moment that it is taken, so one that never ends its TLS handshake counts like any
other. A change of address, or from or to TLS, retires those that are there: what is asked is answered, and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from bridge.web.answers import problem_response
from bridge.web.callers import is_in
from bridge.web.errors import Problem
from bridge.web.headers import standing_headers
from bridge.web.tries import one_address
from config.settings import Network

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

MAX_CONNECTIONS: Final = 500
MAX_OF_ADDRESS: Final = 250
"""From one address: a stranger at one machine must not keep everybody else out. A trusted proxy is many callers."""
IDLE_S: Final = 30.0
"""Between requests, and for one to come whole up to its body."""
HANDSHAKE_S: Final = 10.0
"""For that of TLS."""
SHUTDOWN_S: Final = 1.0
LINGER_S: Final = 2.0
LEAVE_S: Final = 0.5
"""When the server closes: for what was written to leave, and for the end of TLS. Then it is cut."""
STALL_S: Final = 60.0
"""Who takes nothing of an answer for so long is cut off, or he would hold his connection for ever."""


class BoundedServer(web.Server):
    """Makes the protocols of the connections. `context` and `proxies` hold for those that are taken from then on."""

    def __init__(
        self, handler: Handler, *, context: ssl.SSLContext | None = None, proxies: Sequence[Network] = ()
    ) -> None:
        super().__init__(self._take_turn, access_log=None)
        self._handler = handler
        self.context = context
        self.proxies = proxies
        self._of_address: Counter[str] = Counter()
        self._beginning: dict[asyncio.Task[None], tuple[_Connection, socket.socket]] = {}
        self._loop_of_connections = asyncio.get_running_loop()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    async def _take_turn(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request a turn of the loop.

        From Python 3.12 on aiohttp begins a request within the step that ended the one before: whoever sends thousands
        at once, a stranger too, would have nobody else served, devices neither, until all of them are answered.
        """
        await asyncio.sleep(0)
        return await self._handler(request)

    @property
    def places(self) -> int:
        """How many are taken: connections, and those whose handshake is under way."""
        return len(self.connections) + len(self._beginning)

    def take(self, sock: socket.socket, address: str) -> None:
        """Serve a connection from an address; one too many is cut off."""
        group = one_address(address)
        is_bounded = not is_in(address, self.proxies)
        if self.places >= MAX_CONNECTIONS or (is_bounded and self._of_address[group] >= MAX_OF_ADDRESS):
            sock.close()
            return
        self._of_address[group] += 1
        connection = _Connection(
            self,
            group,
            loop=self._loop_of_connections,
            access_log=None,
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,  # nobody sends compressed requests here, and a bomb would be one
        )
        task = self._loop_of_connections.create_task(self._begin(connection, sock), name="connection that begins")
        self._beginning[task] = connection, sock
        self._sockets.add(sock)
        task.add_done_callback(self._begun)

    async def _begin(self, connection: _Connection, sock: socket.socket) -> None:
        context = self.context
        connection.is_begun = True
        await self._loop_of_connections.connect_accepted_socket(
            lambda: connection,
            sock,
            ssl=context,
            ssl_handshake_timeout=None if context is None else HANDSHAKE_S,
        )

    def _begun(self, task: asyncio.Task[None]) -> None:
        connection, sock = self._beginning.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        if connection.is_begun:
            _cut(sock)
        else:
            sock.close()
        self._leave(connection)
        if isinstance(error, OSError):  # what TLS says of a bad handshake is one
            log.debug("A connection broke before it began: %s", error)
        elif error is not None:
            log.error("A connection could not be begun.", exc_info=error)

    def _leave(self, connection: _Connection) -> None:
        """Give its place back; idempotent."""
        if not connection.has_place:
            return
        connection.has_place = False
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """As aiohttp does."""
        super().connection_lost(handler, exc)
        self._leave(cast("_Connection", handler))

    def retire(self) -> None:
        """Have all that are there end: at once, or with the answer that they are at."""
        for task in self._beginning:
            task.cancel()
        for connection in self.connections:
            cast("_Connection", connection).retire()

    async def close(self) -> None:
        """End all connections; requests that are under way have SHUTDOWN_S. Idempotent; no socket is left then."""
        beginning = list(self._beginning)
        for task in beginning:
            task.cancel()
        await asyncio.gather(*beginning, return_exceptions=True)
        await asyncio.sleep(0)  # requests that have come have begun then, and are no idle connections
        self.pre_shutdown()
        await self.shutdown(SHUTDOWN_S)
        # aiohttp has them close, and does not wait; a reader who is slow or silent would hold his socket for long.
        await self._wait_till_closed()
        for sock in list(self._sockets):
            _cut(sock)
        await self._wait_till_closed()

    async def _wait_till_closed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                while any(sock.fileno() != -1 for sock in self._sockets):  # noqa: ASYNC110 - no transport tells of it
                    await asyncio.sleep(0.002)


def _cut(sock: socket.socket) -> None:
    """End it, so that its transport sees that and closes it.

    To close it under the transport would leave its number with the loop, and the next connection gets that; and one of
    TLS that was closed twice, as aiohttp does it, can't be aborted any more.
    """
    with contextlib.suppress(OSError):  # it is closed, or the caller has ended it
        sock.shutdown(socket.SHUT_RDWR)


class _Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_cut", "_headers", "address", "has_place", "is_begun", "is_retired")

    def __init__(self, manager: BoundedServer, address: str, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._headers = standing_headers(is_tls=manager.context is not None)
        self._cut: asyncio.TimerHandle | None = None
        self.address = address
        """Whose it is: an address, or all that one customer has."""
        self.has_place = True
        self.is_begun = False
        """Whether it has a transport, which closes the socket."""
        self.is_retired = False

    def retire(self) -> None:
        """Answer what is asked, and end."""
        self.is_retired = True
        if self._request_in_progress:
            self.close()
        else:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp does."""
        self._takes()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """As aiohttp does; he may not stay so for long."""
        super().pause_writing()
        self._cut_later()

    def resume_writing(self) -> None:
        """As aiohttp does."""
        super().resume_writing()
        self._takes()

    async def start(self) -> None:
        """As aiohttp does; what is left to send at the end may not take long either."""
        if self.transport is None:  # it was cut off before it began
            return
        transport = self.transport
        try:
            await super().start()
        finally:
            # Not by isinstance: uvloop's transports are none of asyncio's classes.
            line = cast("asyncio.WriteTransport", transport)
            if line.get_write_buffer_size():
                self._loop.call_later(STALL_S, line.abort)

    def _cut_later(self) -> None:
        if self._cut is None and self.transport is not None:
            self._cut = self._loop.call_later(STALL_S, cast("asyncio.WriteTransport", self.transport).abort)

    def _takes(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP request, and what broke outside of every handler."""
        del request, message
        if isinstance(exc, ConnectionError):  # the caller has gone: no error of ours, and nobody reads the answer
            sentence = "The caller has gone."
        elif status >= 500:
            self.log_exception("A request could not be answered.", exc_info=exc)
            sentence = "The request could not be answered; the log says why."
        else:
            sentence = "This is not a request that HTTP/1.1 knows."
        response = problem_response(Problem(status if 400 <= status <= 599 else 500, sentence))
        response.headers.update(self._headers)
        response.force_close()
        return response


def is_retired(request: web.BaseRequest) -> bool:
    """Whether its connection came in by what holds no more: nothing may be followed over it any longer."""
    protocol = request.protocol
    return isinstance(protocol, _Connection) and protocol.is_retired
