"""The cloud's broker: amqtt, embedded, made to keep what it has acknowledged.

amqtt 0.12 as it comes loses acknowledged messages: it forgets an anonymous subscriber as soon as it is away; it gives
a delivery up when the PUBACK takes longer than 5 s or the subscriber disconnects before it; after a take-over it holds
the connected subscriber for disconnected and sends it nothing more; and it can drop what it has acknowledged but not
handed on when the publisher disconnects. It also never closes a connection that fell silent, and does not answer a
CONNECT of version 5. `_Broker` here, `Handler` and `Outbox` (cloud_session.py) and `Reader` (cloud_version.py) mend
these.

What stays: MQTT 3.1.1 only (a CONNECT of version 5 is refused with return code 1), QoS 1 at most towards subscribers,
everything in memory, so that a restart begins empty. What waits for subscribers is bounded; above the bound a publisher
is disconnected without an acknowledgement, and tries again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.errors import BrokerError
from amqtt.session import Session

from simulators.cloud_session import Anyone, Connection, Handler, Outbox, Writer
from simulators.cloud_version import Reader
from simulators.units import Endpoint

MAX_WAITING_BYTES = 1024 * 1024 * 1024
_MAX_QOS = 1


class CloudBroker:
    """A broker on an address of its own; anonymous clients are welcome. `stop` forgets everything."""

    def __init__(self, bind: Endpoint, *, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._bind = bind
        self._max_waiting_bytes = max_waiting_bytes
        self._broker: _Broker | None = None

    @property
    def address(self) -> Endpoint:
        """Where it listens, with the port that it really has. Raises RuntimeError before `start`."""
        if self._broker is None:
            raise RuntimeError("The cloud broker is not started.")
        return Endpoint(host=self._bind.host, port=self._broker.port)

    @property
    def waiting(self) -> int:
        """Messages that wait for a subscriber or for its acknowledgement."""
        return 0 if self._broker is None else sum(len(outbox) for outbox in self._broker.outboxes.values())

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        listener = ListenerConfig(bind=str(self._bind))
        config = BrokerConfig(listeners={"default": listener}, plugins={f"{Anyone.__module__}.{Anyone.__name__}": {}})
        broker = _Broker(config, self._max_waiting_bytes)
        try:
            await broker.start()
        except BrokerError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise
        self._broker = broker

    async def stop(self) -> None:
        """Close every connection and the listener; idempotent."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.drop_connections()
            await broker.shutdown()


class _Broker(Broker):  # type: ignore[misc]  # amqtt is not typed
    """amqtt's broker with an outbox for each subscriber."""

    def __init__(self, config: BrokerConfig, max_waiting_bytes: int) -> None:
        super().__init__(config)
        self.outboxes: dict[str, Outbox] = {}
        self._connections: dict[str, Connection] = {}
        self._writers: set[Writer] = set()
        self._room_bytes = max_waiting_bytes

    @property
    def port(self) -> int:
        """The port of the listener."""
        return int(self._servers["default"].instance.sockets[0].getsockname()[1])

    def drop_connections(self) -> None:
        """Close every socket now, whatever waits in it."""
        for writer in tuple(self._writers):
            writer.abort()

    # What the handlers and outboxes ask for (Room).

    def take_room(self, size_bytes: int) -> None:
        self._room_bytes -= size_bytes

    def accept(self, topic: str, data: bytes, qos: int, *, retain: bool) -> bool:
        """Put a publish into the outbox of each subscriber; False when there is no room."""
        if len(data) > self._room_bytes:
            return False
        granted: dict[str, int] = {}
        for topic_filter, subscriptions in self.subscriptions.items():
            if subscriptions and self._matches(topic, topic_filter):
                for session, subscribed_qos in subscriptions:
                    client_id = session.client_id or ""
                    granted[client_id] = max(granted.get(client_id, 0), subscribed_qos)
        for client_id, subscribed_qos in granted.items():
            if (outbox := self.outboxes.get(client_id)) is not None:
                outbox.put(topic, data, min(qos, subscribed_qos), retain=False)
        if retain and data:
            self._retained_messages[topic] = RetainedApplicationMessage(None, topic, data, qos)
        elif retain:
            self._retained_messages.pop(topic, None)  # [MQTT-3.3.1-10]
        return True

    async def _broadcast_message(
        self,
        session: Session | None,  # noqa: ARG002 -- the base class's parameter
        topic: str | None,
        data: Any,
        force_qos: int | None = None,
    ) -> None:
        """A will, as the base class sends it."""
        if topic and data is not None:
            self.accept(topic, bytes(data), force_qos or 0, retain=False)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        topic_filter, qos = subscription
        self._del_subscription(topic_filter, session)  # the base class would keep the old QoS [MQTT-3.8.4-3]
        granted: int = await super().add_subscription((topic_filter, min(qos, _MAX_QOS)), session)
        return granted

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """To a session that really has this subscription; the base class also calls it for everyone else's."""
        topic_filter, qos = subscription
        outbox = self.outboxes.get(session.client_id or "")
        if outbox is not None and any(owner is session for owner, _ in self.subscriptions.get(topic_filter, ())):
            for topic, retained in self.retained_messages.items():
                if self._matches(topic, topic_filter):
                    outbox.put(topic, bytes(retained.data), min(qos, retained.qos or 0, _MAX_QOS), retain=True)

    # A connection's life.

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        adapter = Writer(writer)
        guarded = Reader(reader, adapter)
        self._writers.add(adapter)
        try:
            await self._client_connected(listener_name, guarded, adapter)
        finally:
            self._writers.discard(adapter)
            if not guarded.has_refused:  # the refusal must still leave; the socket closes behind it
                adapter.abort()

    async def _handle_client_session(
        self, reader: Any, writer: Any, client_session: Session, handler: Any, server: Any, listener_name: str
    ) -> None:
        client_id = client_session.client_id or ""
        while (before := self._connections.get(client_id)) is not None:  # take-over [MQTT-3.1.4-2]
            before.writer.abort()
            await before.ended.wait()
        if client_session.parent and self._sessions.get(client_id, (None, None))[0] is not client_session:
            # The base class found a clean session that was just about to end; this client asked for one that lasts.
            client_session.parent = 0
            client_session.clean_session = False
        here = self._connections[client_id] = Connection(writer)
        if client_session.clean_session:
            self.outboxes.pop(client_id, None)
        client_session.keep_alive = client_session.keep_alive * 3 // 2  # [MQTT-3.1.2-24]
        handler = Handler(self, self.plugins_manager, writer, self.outboxes.setdefault(client_id, Outbox(self)))
        try:
            await super()._handle_client_session(reader, writer, client_session, handler, server, listener_name)
        finally:
            handler.outbox.disconnected()
            if client_session.clean_session:
                self.outboxes.pop(client_id, None)
                handler.outbox.clear()
                if self._sessions.get(client_id, (None, None))[0] is client_session:
                    await self._delete_session(client_id)
            del self._connections[client_id]
            here.ended.set()
