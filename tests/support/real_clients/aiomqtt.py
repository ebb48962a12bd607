"""aiomqtt: paho under asyncio, with ways of its own to tell of errors."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.support.front_door import Door
from tests.support.real_clients.paho import TRANSPORTS, made, of_connect, of_publish, of_will, plain
from tests.support.real_clients.peer import TIMEOUT_S, Heard, Options, Peer, Properties, Refused, Welcome


class AiomqttPeer(Peer):
    """A task takes its messages, and learns there that the connection has ended."""

    LACKS = frozenset({"hold", "puback reason", "pubrec reason", "welcome", "goodbye with a reason"})

    def __init__(self, door: Door, client_id: str, *, version: int, options: Options) -> None:
        super().__init__(door, client_id, version=version, options=options)
        transport: Any = "unix" if door.path else TRANSPORTS[door.transport]
        five = version == 5
        will = options.will and aiomqtt.Will(
            options.will.topic,
            options.will.payload,
            options.will.qos,
            options.will.retain,
            of_will(options) if five else None,  # type: ignore[arg-type]
        )
        self._client = aiomqtt.Client(
            str(door.path) if door.path else "127.0.0.1",
            door.port or 1,
            username=options.username,
            password=options.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            will=will,
            clean_session=None if five else options.clean,
            clean_start=options.clean if five else 3,
            transport=transport,
            keepalive=options.keep_alive_s,
            properties=of_connect(options) if five else None,
            tls_context=self.tls,
            timeout=TIMEOUT_S,
        )
        self._reader: asyncio.Task[None] | None = None

    async def connect(self) -> Welcome:
        self.gone = asyncio.get_running_loop().create_future()
        try:
            await self._client.__aenter__()
        except aiomqtt.MqttCodeError as error:
            raise Refused(error.rc.value if isinstance(error.rc, ReasonCode) else error.rc) from None
        self._reader = asyncio.create_task(self._read())
        return Welcome(session_present=False)  # it does not tell

    async def _read(self) -> None:
        reason: int | None = None
        try:
            async for message in self._client.messages:
                self.heard.put_nowait(
                    Heard(
                        topic=str(message.topic),
                        payload=bytes(message.payload),  # type: ignore[arg-type]
                        qos=message.qos,
                        retain=message.retain,
                        properties=plain(message.properties) if self.version == 5 else {},
                    )
                )
        except aiomqtt.MqttError as error:
            code = getattr(error.__cause__, "rc", None)
            if isinstance(code, ReasonCode):
                reason = code.value
        self._is_gone(reason)

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
            reasons = await self._client.subscribe(topic_filter, qos)
        else:
            options = SubscribeOptions(qos, no_local, retain_as_published, retain_handling)
            properties = made(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=identifier)
            reasons = await self._client.subscribe(topic_filter, options=options, properties=properties)
        (reason,) = reasons
        return reason.value if isinstance(reason, ReasonCode) else reason

    async def unsubscribe(self, topic_filter: str) -> None:
        await self._client.unsubscribe(topic_filter)

    async def publish(
        self, topic: str, payload: str, qos: int = 0, *, retain: bool = False, properties: Properties | None = None
    ) -> int | None:
        call = asyncio.create_task(self._client.publish(topic, payload, qos, retain, of_publish(properties)))
        await asyncio.wait({call, self.gone}, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            call.cancel()
        try:
            await call
        except (aiomqtt.MqttError, asyncio.CancelledError):
            if self.gone.done():
                raise ConnectionError("gone") from None
            raise
        return None

    async def disconnect(self, reason: int = 0) -> None:
        assert not reason
        await self._client.__aexit__(None, None, None)
        await self._rest()

    async def cut(self) -> None:
        connection: Any = self._client._client.socket()
        if hasattr(connection, "_socket"):
            connection = connection._socket
        connection.shutdown(socket.SHUT_RDWR)
        await self.until_gone()
        await self._rest()

    async def _rest(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
            self._reader = None

    async def close(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            if self._client._lock.locked():
                await self._client.__aexit__(None, None, None)
        await self._rest()
