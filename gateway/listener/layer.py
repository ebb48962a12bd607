"""What may lie between a socket and a connection: the PROXY header, TLS, WebSocket.

A layer is an asyncio protocol for what is below it (the socket, or another layer) and an asyncio transport for what is
above it (the connection, or another layer). Without layers the socket talks to the connection itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from gateway.listener.door import Door

if TYPE_CHECKING:
    from gateway.listener.connection import Connection

READ_BYTES: Final = 16 * 1024
"""Bytes that a read takes below a layer: what it makes of them may cost much more than the bytes did (frames of no
bytes), and other connections have to wait for it."""


class Above(Protocol):
    """What a layer, or the socket, brings its bytes to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class Layer(asyncio.BufferedProtocol, asyncio.Transport):
    """A layer that hands on everything but bytes; those are `data_received` and `write` of the layers themselves."""

    def __init__(self, above: Above, connection: Connection, door: Door) -> None:
        super().__init__()
        self._above = above
        self._connection = connection
        self._door = door
        self._below: asyncio.Transport
        self._is_shut = False

    # ---- for what is below ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._below = cast("asyncio.Transport", transport)
        self._above.connection_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next read goes: into a part of what the connection would have it in."""
        return self._connection.get_buffer(sizehint)[:READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self.data_received(bytes(self._door.read_buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._door.partials.release(self)
        self._above.connection_lost(exc)

    def pause_writing(self) -> None:
        """The socket's buffer is over its mark."""
        self._above.pause_writing()

    def resume_writing(self) -> None:
        """It is below it again."""
        self._above.resume_writing()

    def give_up(self) -> None:
        """There is no memory for what is half here (`gateway.listener.partials.Holder`)."""
        self._connection.give_up()

    # ---- for the layers themselves --------------------------------------------------------------------------------

    def _put(self, data: bytes) -> None:
        """Send bytes on, as long as there is a way."""
        if not self._is_shut and not self._below.is_closing():
            self._below.write(data)

    def _shut(self) -> None:
        """Nothing more is sent; idempotent."""
        if not self._is_shut and not self._below.is_closing():
            self._is_shut = True
            try:
                self._below.write_eof()
            except OSError:  # reset by the client, and the loop has not told of it yet
                self._below.abort()

    # ---- for what is above ----------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Read nothing more."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._below.resume_reading()

    def is_closing(self) -> bool:
        """Whether the end has begun."""
        return self._below.is_closing()

    def can_write_eof(self) -> bool:
        """Whether the other side can be told that nothing more comes."""
        return True

    def close(self) -> None:
        """End after what was written."""
        self._below.close()

    def abort(self) -> None:
        """End now."""
        self._below.abort()

    def get_write_buffer_size(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self._below.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The marks of the socket's buffer."""
        self._below.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the socket knows."""
        return self._below.get_extra_info(name, default)
