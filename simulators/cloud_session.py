"""What each client of the cloud broker has: a socket that can be dropped, an outbox that loses nothing, a handler.

The handler does an incoming publish in one step: into every subscriber's outbox, then PUBACK or PUBREC. The outbox
keeps a message until the subscriber's PUBACK, over as many connections as that takes, with a bounded number in flight,
and repeats what was in flight first, in order and with DUP [MQTT-4.4.0-1, MQTT-4.6.0-1].
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from amqtt.adapters import StreamWriterAdapter
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

WINDOW = 64


class Anyone(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is not typed
    """Lets everyone in, and unlike amqtt's own does not mark the session as one that keeps nothing."""

    async def authenticate(self, *, session: Session) -> bool:  # noqa: ARG002 -- anyone
        """Yes."""
        return True


class Writer(StreamWriterAdapter):  # type: ignore[misc]  # amqtt is not typed
    """A writer that never waits for the other side to end."""

    def abort(self) -> None:
        """Close the socket now."""
        self.is_closed = True
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the socket after what was written, if the other side takes it."""
        if not self.is_closed:
            self.is_closed = True
            self._writer.close()


@dataclass(slots=True)
class Connection:
    """A client that is there, until `ended`."""

    writer: Writer
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Room(Protocol):
    """Who counts what waits, and takes what was published."""

    def take_room(self, size_bytes: int) -> None:
        """So much more waits, or less when negative."""

    def accept(self, topic: str, data: bytes, qos: int, *, retain: bool) -> bool:
        """Put a publish into the outbox of each subscriber; False when there is no room."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    data: bytes
    retain: bool


class Outbox:
    """What a client is still to get, and the QoS 2 packet identifiers it has not released."""

    def __init__(self, room: Room) -> None:
        self.unreleased: set[int] = set()
        self._room = room
        self._writer: Writer | None = None
        self._waiting: deque[_Waiting] = deque()
        self._in_flight: dict[int, _Waiting] = {}
        self._packet_id = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, topic: str, data: bytes, qos: int, *, retain: bool) -> None:
        """QoS 0: now or never; QoS 1: until it is acknowledged."""
        message = _Waiting(topic, data, retain)
        if qos:
            self._room.take_room(len(data))
            self._waiting.append(message)
            self._pump()
        elif self._writer is not None:
            self._write(message, None, dup=False)

    def connected(self, writer: Writer) -> None:
        """The client is there: first what was in flight, then what waits."""
        self._writer = writer
        for packet_id, message in self._in_flight.items():
            self._write(message, packet_id, dup=True)
        self._pump()

    def disconnected(self) -> None:
        """The client is gone; everything stays."""
        self._writer = None

    def acknowledged(self, packet_id: int) -> None:
        """A PUBACK came."""
        message = self._in_flight.pop(packet_id, None)
        if message is not None:
            self._room.take_room(-len(message.data))
            self._pump()

    def clear(self) -> None:
        """Forget everything: the session is over."""
        for message in (*self._waiting, *self._in_flight.values()):
            self._room.take_room(-len(message.data))
        self._waiting.clear()
        self._in_flight.clear()
        self.unreleased.clear()

    def _pump(self) -> None:
        while self._writer is not None and self._waiting and len(self._in_flight) < WINDOW:
            while (packet_id := self._next_packet_id()) in self._in_flight:
                continue
            message = self._in_flight[packet_id] = self._waiting.popleft()
            self._write(message, packet_id, dup=False)

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % 65535 + 1
        return self._packet_id

    def _write(self, message: _Waiting, packet_id: int | None, *, dup: bool) -> None:
        if self._writer is not None:
            packet = PublishPacket.build(
                message.topic, message.data, packet_id, dup, 0 if packet_id is None else 1, message.retain
            )
            self._writer.write(packet.to_bytes())


class Handler(BrokerProtocolHandler):  # type: ignore[misc]  # amqtt is not typed
    """amqtt's protocol handler, but for publishes and their acknowledgements."""

    def __init__(self, room: Room, plugins_manager: Any, writer: Writer, outbox: Outbox) -> None:
        super().__init__(plugins_manager)
        self.outbox = outbox
        self._room = room
        self._socket = writer

    async def handle_publish(self, publish_packet: PublishPacket) -> None:
        """Hand it on, then answer."""
        topic, data, qos = publish_packet.topic_name, publish_packet.data, publish_packet.qos
        packet_id = publish_packet.packet_id if qos else 0
        if not topic or "+" in topic or "#" in topic or topic.startswith("$") or data is None or packet_id is None:
            self._socket.abort()  # [MQTT-3.3.2-2]; and $ topics are the broker's own
            return
        if qos == 2 and packet_id in self.outbox.unreleased:
            accepted = True
        else:
            accepted = self._room.accept(topic, bytes(data), qos or 0, retain=publish_packet.retain_flag)
        if not accepted:
            self._socket.abort()
        elif qos == 1:
            self._socket.write(PubackPacket.build(packet_id).to_bytes())
        elif qos == 2:
            self.outbox.unreleased.add(packet_id)
            self._socket.write(PubrecPacket.build(packet_id).to_bytes())

    async def handle_pubrel(self, pubrel: Any) -> None:
        """The end of a QoS 2 exchange."""
        self.outbox.unreleased.discard(pubrel.packet_id)
        self._socket.write(PubcompPacket.build(pubrel.packet_id).to_bytes())

    async def handle_puback(self, puback: PubackPacket) -> None:
        """A subscriber has a message."""
        if puback.packet_id is not None:
            self.outbox.acknowledged(puback.packet_id)

    def handle_read_timeout(self) -> None:
        """Nothing came for one and a half keep-alives [MQTT-3.1.2-24]."""
        self._socket.abort()

    async def _retry_deliveries(self) -> None:
        self.outbox.connected(self._socket)
