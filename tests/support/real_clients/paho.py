"""paho-mqtt with its own network thread, as most programs use it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.support.front_door import Door
from tests.support.real_clients.peer import TIMEOUT_S, Heard, Options, Peer, Properties, Refused, Welcome

_NAMES = {
    "user_property": "UserProperty",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation_data": "CorrelationData",
    "payload_format": "PayloadFormatIndicator",
    "expiry_s": "MessageExpiryInterval",
    "alias": "TopicAlias",
    "identifiers": "SubscriptionIdentifier",
}

TRANSPORTS = {"tcp": "tcp", "tls": "tcp", "ws": "websockets", "wss": "websockets"}


def made(packet: int, **values: Any) -> PahoProperties:
    """Properties of paho's own names; those that are None are left out."""
    properties = PahoProperties(packet)
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def of_publish(properties: Properties | None) -> PahoProperties | None:
    """In paho's terms."""
    if properties is None:
        return None
    return made(PacketTypes.PUBLISH, **{_NAMES[name]: value for name, value in properties.items()})


def plain(properties: PahoProperties | None) -> dict[str, Any]:
    """In the terms of these tests."""
    return {name: getattr(properties, theirs) for name, theirs in _NAMES.items() if hasattr(properties, theirs)}


def of_connect(options: Options) -> PahoProperties:
    """Of CONNECT, in paho's terms."""
    return made(
        PacketTypes.CONNECT,
        SessionExpiryInterval=options.expiry_s or None,
        ReceiveMaximum=options.receive_maximum,
        TopicAliasMaximum=options.alias_maximum,
    )


def of_will(options: Options) -> PahoProperties | None:
    """Of the will, in paho's terms."""
    delay_s = options.will.delay_s if options.will else 0
    return made(PacketTypes.WILLMESSAGE, WillDelayInterval=delay_s) if delay_s else None


class PahoPeer(Peer):
    """Its callbacks come from a thread and are handed to the loop."""

    LACKS = frozenset({"pubrec reason"})

    def __init__(self, door: Door, client_id: str, *, version: int, options: Options) -> None:
        super().__init__(door, client_id, version=version, options=options)
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[tuple[str, int], asyncio.Future[Any]] = {}
        self._connected: asyncio.Future[Welcome] = self._loop.create_future()
        transport: Any = "unix" if door.path else TRANSPORTS[door.transport]
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=options.clean if version == 4 else None,
            protocol=MQTTProtocolVersion(version),
            transport=transport,
            reconnect_on_failure=False,
            manual_ack=options.hold,
        )
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        if (context := self.tls) is not None:
            client.tls_set_context(context)
        if will := options.will:
            properties = of_will(options) if version == 5 else None
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties)
        client.on_connect = self._in_loop(self._on_connect)
        client.on_disconnect = self._in_loop(self._on_disconnect)
        client.on_message = self._in_loop(self._on_message)
        client.on_publish = self._in_loop(lambda _c, _u, mid, reason, _p: self._done("publish", mid, reason.value))
        client.on_subscribe = self._in_loop(
            lambda _c, _u, mid, reasons, _p: self._done("subscribe", mid, reasons[0].value)
        )
        client.on_unsubscribe = self._in_loop(lambda _c, _u, mid, _r, _p: self._done("unsubscribe", mid, None))

    def _in_loop(self, function: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: Any) -> None:
            self._loop.call_soon_threadsafe(function, *arguments)

        return called

    def _on_connect(self, _client: Client, _data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(Refused(reason.value))
        else:
            keep_alive_s = getattr(properties, "ServerKeepAlive", None)
            self._connected.set_result(Welcome(session_present=flags.session_present, keep_alive_s=keep_alive_s))

    def _on_disconnect(self, _client: Client, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        told = flags.is_disconnect_packet_from_server
        if not self._connected.done():
            self._connected.set_exception(Refused(None))
        for waiter in self._waiting.values():
            waiter.set_exception(ConnectionError("gone"))
        self._waiting.clear()
        self._is_gone(reason.value if told else None)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.heard.put_nowait(
            Heard(
                topic=message.topic,
                payload=message.payload,
                qos=message.qos,
                retain=message.retain,
                properties=plain(message.properties) if self.version == 5 else {},
                handle=message.mid,
            )
        )

    def _done(self, what: str, mid: int, result: Any) -> None:
        waiter = self._waiting.pop((what, mid), None)
        if waiter is not None:
            waiter.set_result(result)

    async def _answer(self, what: str, mid: int | None) -> Any:
        assert mid is not None
        waiter = self._waiting[what, mid] = self._loop.create_future()
        async with asyncio.timeout(TIMEOUT_S):
            return await waiter

    async def connect(self) -> Welcome:
        options, client = self.options, self._client
        await asyncio.to_thread(client.loop_stop)
        client._reset_sockets(sockpair_only=True)  # `loop_start` would leave those of its last run open
        self._connected = self._loop.create_future()
        self.gone = self._loop.create_future()
        more: dict[str, Any] = {}
        if self.version == 5:
            more = {"clean_start": options.clean, "properties": of_connect(options)}
        host = str(self.door.path) if self.door.path else "127.0.0.1"
        await asyncio.to_thread(client.connect, host, self.door.port or 1, options.keep_alive_s, **more)
        client.loop_start()
        async with asyncio.timeout(TIMEOUT_S):
            return await self._connected

    async def subscribe(
        self,
        topic_filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        identifier: int | None = None,
    ) -> int:
        if self.version == 4:
            _, mid = self._client.subscribe(topic_filter, qos)
        else:
            options = SubscribeOptions(qos, no_local, retain_as_published, retain_handling)
            properties = made(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=identifier)
            _, mid = self._client.subscribe(topic_filter, options=options, properties=properties)
        reason: int = await self._answer("subscribe", mid)
        return reason

    async def unsubscribe(self, topic_filter: str) -> None:
        _, mid = self._client.unsubscribe(topic_filter)
        await self._answer("unsubscribe", mid)

    async def publish(
        self, topic: str, payload: str, qos: int = 0, *, retain: bool = False, properties: Properties | None = None
    ) -> int | None:
        info = self._client.publish(topic, payload, qos, retain, of_publish(properties))
        if info.rc:
            raise ConnectionError(f"paho says {info.rc}")
        reason: int | None = await self._answer("publish", info.mid)
        return reason

    async def acknowledge(self, heard: Heard) -> None:
        self._client.ack(heard.handle, heard.qos)

    async def disconnect(self, reason: int = 0) -> None:
        if self.version == 5:
            self._client.disconnect(reasoncode=ReasonCode(PacketTypes.DISCONNECT, identifier=reason))
        else:
            self._client.disconnect()
        await self.until_gone()
        self._client.loop_stop()

    async def cut(self) -> None:
        connection: Any = self._client.socket()
        if hasattr(connection, "_socket"):  # under paho's WebSocket
            connection = connection._socket
        connection.shutdown(socket.SHUT_RDWR)
        await self.until_gone()
        self._client.loop_stop()

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        if self._connected.done() and not self._connected.cancelled():
            self._connected.exception()
