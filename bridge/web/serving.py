"""aiohttp's server with our bounds: so many connections at most, and every answer of its own as a JSON sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from bridge.web.answers import problem_response
from bridge.web.errors import Problem

MAX_CONNECTIONS: Final = 500
IDLE_S: Final = 30.0
"""Between requests, and for one to come whole up to its body."""
LINGER_S: Final = 2.0


class BoundedServer(web.Server):
    """Makes the protocols of the connections; `headers` go with answers that no handler has made."""

    def __init__(self, handler: Any, *, headers: Mapping[str, str]) -> None:
        super().__init__(handler, access_log=None)
        self.standing_headers = headers
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
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()


class _Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_headers",)

    def __init__(self, manager: BoundedServer, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._headers = manager.standing_headers

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP request, and what broke outside of every handler."""
        del request, message
        if status >= 500:
            self.log_exception("A request could not be answered.", exc_info=exc)
            sentence = "The request could not be answered; the log says why."
        else:
            sentence = "This is not a request that HTTP/1.1 knows."
        response = problem_response(Problem(status if 400 <= status <= 599 else 500, sentence))
        response.headers.update(self._headers)
        response.force_close()
        return response
