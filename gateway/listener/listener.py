"""One door for devices: its sockets, its connections, and what holds for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from bridge.listening import hosts_of, listen
from config.settings import Listener, ProxyProtocol, UnixPath
from gateway.access.ports import Credentials, Entry, Verdict
from gateway.broker.broker import Broker
from gateway.broker.connack import Terms
from gateway.listener.acceptor import Acceptor
from gateway.listener.certificate_watch import CertificateWatch, read_certificates
from gateway.listener.connection import Connection
from gateway.listener.door import READ_BYTES, Guest
from gateway.listener.errors import listener_error
from gateway.listener.guests import Guests
from gateway.listener.layer import Layer
from gateway.listener.line import Line
from gateway.listener.partials import Partials
from gateway.listener.peer import PeerCertificate, peer_of
from gateway.listener.places import Places
from gateway.listener.proxy import ProxyLayer
from gateway.listener.rates import Throttle
from gateway.listener.unix_socket import SocketFile, listen_unix
from gateway.listener.wheel import Wheel

if TYPE_CHECKING:
    from gateway.listener.certificates import Certificates

logger = logging.getLogger(__name__)

CLOSE_WITHIN_S: Final = 2.0
LEAST_READ_BYTES: Final = 2 * 1024
MAX_WRITE_BUFFER_BYTES: Final = 256 * 1024
MIN_WRITE_BUFFER_BYTES: Final = 16 * 1024
WRITE_BUFFERS_BYTES: Final = 64 * 1024 * 1024
"""What is shared out among the connections."""
STALL_LOOKS: Final = 4
"""How often in the stall time-out every connection is looked at."""


class MqttListener:
    """`start`, `stop_accepting`, `close`, in this order. Works on asyncio's loop and on uvloop.

    `entry` decides who may come in. `partials` is the bound for half-received packets, and `places` the one for
    connections, that all listeners share.
    """

    def __init__(
        self,
        settings: Listener,
        broker: Broker,
        *,
        entry: Entry,
        partials: Partials | None = None,
        places: Places | None = None,
    ) -> None:
        self.name = settings.name
        self.address = settings.bind
        """Where it listens; with the port that was found free, once it is started with port 0."""
        self.entry = entry
        self.partials = partials or Partials()
        self.line = Line()
        self.wheel: Wheel
        self.is_local = settings.is_local
        self.read_buffer = memoryview(bytearray(READ_BYTES))
        self._follow(settings)
        self._broker = broker
        self._guests = Guests(settings, broker, places or Places())
        self._certificates = CertificateWatch(self._guests, broker.clock)
        self._sockets: list[socket.socket] = []
        self._acceptor: Acceptor | None = None
        self._file: SocketFile | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def _follow(self, settings: Listener) -> None:
        """Take what holds for new connections from the settings."""
        receive_maximum = settings.receive_maximum
        if settings.max_message_rate is not None:  # it is told by this, as far as MQTT can tell it (§3.3.4)
            receive_maximum = max(1, min(receive_maximum, settings.max_message_rate))
        self.terms = Terms(
            receive_maximum=receive_maximum,
            max_packet_size_bytes=settings.max_packet_size_bytes,
            max_keep_alive_s=settings.max_keep_alive_s,
            topic_alias_maximum=settings.topic_alias_maximum,
            listener=settings.name,
        )
        self.connect_timeout_s = settings.connect_timeout_s
        self.max_connect_size_bytes = settings.max_connect_size_bytes
        self.stall_timeout_s = settings.stall_timeout_s
        self.first_buffer = self.read_buffer[: max(LEAST_READ_BYTES, settings.max_connect_size_bytes)]
        self.later_buffer = self.read_buffer
        if settings.max_byte_rate is not None:
            self.later_buffer = self.read_buffer[: max(LEAST_READ_BYTES, settings.max_byte_rate // 8)]
        if settings.max_message_rate is not None:
            self.later_buffer = self.later_buffer[: max(LEAST_READ_BYTES, settings.max_message_rate * 16)]
        self._settings = settings

    # ---- life -----------------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._guests)

    @property
    def is_listening(self) -> bool:
        """Whether new connections are taken."""
        return self._acceptor is not None

    @property
    def settings(self) -> Listener:
        """What holds for new connections."""
        return self._settings

    async def start(self) -> None:
        """Listen. Raises ListenerError, with a sentence, where that is not possible."""
        await self.open()
        self.accept()

    async def open(self) -> None:
        """Take the address, so that it is sure; whoever knocks waits. Raises ListenerError."""
        self._certificates.adopt(await asyncio.to_thread(self.prepare, self._settings))
        bind = self._settings.bind
        try:
            if isinstance(bind, UnixPath):
                sock, self._file = listen_unix(bind)
                self._sockets = [sock]
            else:
                # A resolver may take seconds, and a running gateway may open one more.
                self._sockets = listen(bind, await asyncio.to_thread(hosts_of, bind))
                self.address = replace(bind, port=int(self._sockets[0].getsockname()[1]))
        except OSError as error:
            raise listener_error(self.name, bind, error) from error

    def accept(self) -> None:
        """Let clients in."""
        loop = asyncio.get_running_loop()
        self.wheel = Wheel(loop)
        sockets, self._sockets = self._sockets, []
        self._acceptor = Acceptor(sockets, self._take, name=self.name, rate=self._settings.max_connect_rate, loop=loop)
        self._look_for_stalls()
        self._certificates.start()
        logger.info("The listener %r listens on %s.", self.name, self.address)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open stay. Idempotent."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        for sock in self._sockets:
            sock.close()
        self._sockets = []
        if self._file is not None:
            self._file.remove()
            self._file = None

    async def close(self) -> None:
        """End every connection that is still open, within two seconds. Idempotent."""
        self.stop_accepting()
        self._certificates.stop()
        if self._looking is not None:
            self._looking.cancel()
        for guest in self._guests:
            guest.close()
        try:
            await self._guests.all_left(CLOSE_WITHIN_S)
        except TimeoutError:
            for guest in self._guests:
                guest.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):  # the loop tells of each that was aborted
            await self._guests.all_left(CLOSE_WITHIN_S)
        if self._looking is not None:
            self.wheel.stop()

    def _look_for_stalls(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(self.stall_timeout_s / STALL_LOOKS, self._look_for_stalls)
        now_s = loop.time()
        for guest in self._guests:
            guest.look_for_stall(now_s)

    # ---- certificates ---------------------------------------------------------------------------------------------

    @property
    def certificate_expires_at(self) -> datetime | None:
        """When the certificate ends, in UTC; None without TLS."""
        return self._certificates.expires_at

    def prepare(self, settings: Listener) -> Certificates | None:
        """Read the certificates that the settings name; nothing has changed then. Raises ListenerError."""
        return read_certificates(settings)

    def adopt(self, settings: Listener, certificates: Certificates | None) -> None:
        """Have new settings (of the same name, transport, address and access) hold for new connections.

        Those that are connected stay, unless their own certificate was revoked.
        """
        before = self._settings
        self._follow(settings)
        if settings.max_connect_rate != before.max_connect_rate and self._acceptor is not None:
            self._acceptor.limit(settings.max_connect_rate)
        self._guests.follow(settings)
        if certificates is not None:
            logger.info(
                "The listener %r has read its certificate; it holds until %s.",
                self.name,
                certificates.current.expires_at.date(),
            )
        self._certificates.adopt(certificates)

    # ---- new connections ------------------------------------------------------------------------------------------

    def _take(self, sock: socket.socket, address: Any) -> None:
        peer = peer_of(address)
        if not self._guests.may_come(peer):
            sock.close()
            return
        connection = Connection(self._broker, self, peer)
        self._guests.add(connection)
        self._own(self._connect(connection, sock))

    async def _connect(self, connection: Connection, sock: socket.socket) -> None:
        try:
            protocol = self._protocol(connection)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, sock)
        except BaseException as error:  # raised again, but for the usual ones: it must not keep its place
            sock.close()
            connection.connection_lost(None)
            if not isinstance(error, OSError):
                raise
            logger.info("The connection from %s broke before it began: %s.", connection.peer, error)

    def _protocol(self, connection: Connection) -> asyncio.BufferedProtocol:
        """What the socket speaks with: the lowest of the layers, or the connection."""
        lowest: Connection | Layer | ProxyLayer = connection
        settings = self._settings
        if settings.transport.is_websocket:
            from gateway.listener.websocket import WebSocketLayer

            lowest = WebSocketLayer(lowest, connection, self, settings=settings)
        context = self._certificates.context
        if context is not None:
            from gateway.listener.tls import TlsLayer

            lowest = TlsLayer(
                lowest,
                connection,
                self,
                context=context,
                username_from=settings.tls.username_from,
            )
        if settings.proxy_protocol is not ProxyProtocol.OFF:
            lowest = ProxyLayer(lowest, connection, self)
        return lowest

    def _own(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ---- gateway.listener.door.Door ------------------------------------------------------------------------------

    @property
    def write_buffer_bytes(self) -> int:
        """The more connections there are, the less may wait for each: none of them may be reading."""
        share = WRITE_BUFFERS_BYTES // max(1, len(self._guests))
        return max(MIN_WRITE_BUFFER_BYTES, min(MAX_WRITE_BUFFER_BYTES, share))

    def throttle(self, now_s: float) -> Throttle | None:
        """The rates of a new client; None where it has none."""
        settings = self._settings
        if settings.max_message_rate is None and settings.max_byte_rate is None:
            return None
        return Throttle(messages=settings.max_message_rate, size_bytes=settings.max_byte_rate, now_s=now_s)

    def has_revoked(self, certificate: PeerCertificate, *, since: ssl.SSLContext) -> bool:
        """Whether a client's certificate was revoked after its handshake began, which goes on by that context."""
        return self._certificates.has_revoked(certificate, since=since)

    def located(self, guest: Guest) -> bool:
        """A load balancer has said who is behind it; false when there is no place for it."""
        return self._guests.located(guest)

    def decide(self, credentials: Credentials) -> asyncio.Task[Verdict]:
        """Ask `entry.decide` in a task that the listener owns."""
        return self._own(self.entry.decide(credentials))

    def closed(self, guest: Guest) -> None:
        """The connection is gone."""
        self._guests.remove(guest)
