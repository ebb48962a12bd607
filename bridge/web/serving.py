"""aiohttp's server with our bounds: so many connections at most, and every answer of its own as a JSON sentence."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from bridge.web.answers import problem_response
from bridge.web.errors import Problem
from bridge.web.tries import one_address
from config.settings import Address

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

MAX_CONNECTIONS: Final = 500
MAX_OF_ADDRESS: Final = 250
"""From one address: a stranger at one machine must not keep everybody else out."""
IDLE_S: Final = 30.0
"""Between requests, and for one to come whole up to its body."""
HANDSHAKE_S: Final = 10.0
"""For that of TLS."""
SHUTDOWN_S: Final = 1.0
LINGER_S: Final = 2.0
STALL_S: Final = 60.0
"""Who takes nothing of an answer for so long is cut off, or he would hold his connection for ever."""


async def listen(
    handler: Handler, bind: Address, *, context: ssl.SSLContext | None, headers: Mapping[str, str]
) -> tuple[web.ServerRunner, asyncio.Server]:
    """Have requests to an address handled. Raises OSError and OverflowError where it can't be had."""
    connections = BoundedServer(handler, headers=headers)
    runner = web.ServerRunner(connections, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        # Not by aiohttp's TCPSite: a stranger who says nothing could stay within its handshake for a minute.
        listening = await asyncio.get_running_loop().create_server(
            connections,
            bind.host,
            bind.port,
            ssl=context,
            ssl_handshake_timeout=None if context is None else HANDSHAKE_S,
        )
    except (OSError, OverflowError):
        await runner.cleanup()
        raise
    return runner, listening


class BoundedServer(web.Server):
    """Makes the protocols of the connections; `headers` go with answers that no handler has made."""

    def __init__(self, handler: Handler, *, headers: Mapping[str, str]) -> None:
        super().__init__(handler, access_log=None)
        self.standing_headers = headers
        self._of_address: Counter[str] = Counter()
        self._loop_of_connections = asyncio.get_running_loop()

    def __call__(self) -> RequestHandler:
        return _Connection(
            self,
            loop=self._loop_of_connections,
            access_log=None,
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,  # nobody sends compressed requests here, and a bomb would be one
        )

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """As aiohttp does; one too many is cut off."""
        super().connection_made(handler, transport)
        address = _address_of(handler)
        self._of_address[address] += 1
        if len(self.connections) > MAX_CONNECTIONS or self._of_address[address] > MAX_OF_ADDRESS:
            transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """As aiohttp does."""
        super().connection_lost(handler, exc)
        address = _address_of(handler)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]


class _Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_cut", "_headers", "address")

    def __init__(self, manager: BoundedServer, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._headers = manager.standing_headers
        self._cut: asyncio.TimerHandle | None = None
        self.address = ""
        """Whose it is: an address, or all that one customer has."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As aiohttp does."""
        peer = transport.get_extra_info("peername")
        self.address = one_address(peer[0]) if isinstance(peer, tuple) else ""
        super().connection_made(transport)

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


def _address_of(handler: RequestHandler) -> str:
    return handler.address if isinstance(handler, _Connection) else ""
