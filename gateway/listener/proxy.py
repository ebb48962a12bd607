"""The layer that reads a PROXY header, and then gets out of the way."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from gateway.listener.connection import Connection
from gateway.listener.door import Door
from gateway.listener.layer import Above
from gateway.listener.proxy_header import MAX_HEADER_BYTES, ProxyHeaderInvalid, read_proxy_header

BAD_HEADER: Final = "proxy_header"
"""Why the connection is refused, in the counters."""


class ProxyLayer(asyncio.BufferedProtocol):
    """Between a load balancer's connection and what is above it (TLS comes behind the header, not before it)."""

    def __init__(self, above: asyncio.BufferedProtocol, connection: Connection, door: Door) -> None:
        self._protocol = above
        self._above = cast("Above", above)
        self._connection = connection
        self._head = b""
        self._door = door
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._above.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's wish does not matter
        """Where the next read goes."""
        return self._door.read_buffer[:MAX_HEADER_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self.data_received(bytes(self._door.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Some of the header came, or all of it with what follows."""
        if self._connection.has_ended:
            return
        self._head += data
        try:
            header = read_proxy_header(self._head)
        except ProxyHeaderInvalid as error:
            self._connection.turn_away(BAD_HEADER, str(error))
            self._connection.abort()
            return
        if header is None or not self._connection.located(header.peer):
            return
        # From here on the socket speaks with what is above; uvloop looks at the protocol only when reading begins.
        transport = self._transport
        transport.pause_reading()
        transport.set_protocol(self._protocol)
        transport.resume_reading()
        rest = self._head[header.size_bytes :]
        if rest:
            self._above.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone before the header was there."""
        self._above.connection_lost(exc)
