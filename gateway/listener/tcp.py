"""The plain TCP listener."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from config.settings import Address, Listener
from gateway.broker.broker import Broker
from gateway.broker.connack import Terms
from gateway.listener.connection import READ_BYTES, Connection
from gateway.listener.errors import listener_error

logger = logging.getLogger(__name__)

BACKLOG: Final = 1024
CLOSE_WITHIN_S: Final = 2.0


class TcpListener:
    """One door: `start`, `stop_accepting`, `close`, in this order. Works on asyncio's loop and on uvloop."""

    def __init__(self, settings: Listener, broker: Broker) -> None:
        self.terms = Terms(
            receive_maximum=settings.receive_maximum, max_packet_size_bytes=settings.max_packet_size_bytes
        )
        self.connect_timeout_s = settings.connect_timeout_s
        self.read_buffer = memoryview(bytearray(READ_BYTES))
        self.name = settings.name
        self.address = settings.bind
        """Where it listens; with the port that was found free, once it is started with port 0."""
        self._max_connections = settings.max_connections
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._connections)

    @property
    def is_listening(self) -> bool:
        """Whether new connections are taken."""
        return self._server is not None and self._server.is_serving()

    async def start(self) -> None:
        """Listen. Raises ListenerError, with a sentence, where that is not possible."""
        bind = self.address
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Connection(self._broker, self), bind.host or None, bind.port, backlog=BACKLOG
            )
        except OSError as error:
            raise listener_error(self.name, bind, error) from error
        port = int(self._server.sockets[0].getsockname()[1])
        self.address = Address(host=bind.host, port=port)
        logger.info("The listener %r listens on %s.", self.name, self.address)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open stay. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """End every connection that is still open, within two seconds. Idempotent."""
        self.stop_accepting()
        for connection in tuple(self._connections):
            connection.close()
        try:
            await asyncio.wait_for(self._is_empty.wait(), CLOSE_WITHIN_S)
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort()

    def opened(self, connection: Connection) -> bool:
        """A connection was made (`gateway.listener.connection.Door`)."""
        if len(self._connections) >= self._max_connections:
            self._broker.counters.refused_connects["max_connections"] += 1
            logger.warning(
                "The listener %r closes a new connection from %s: it has its %d connections (max_connections).",
                self.name,
                connection.peer,
                self._max_connections,
            )
            return False
        self._connections.add(connection)
        self._is_empty.clear()
        return True

    def closed(self, connection: Connection) -> None:
        """A connection is gone (`gateway.listener.connection.Door`)."""
        self._connections.discard(connection)
        if not self._connections:
            self._is_empty.set()
