"""gmqtt: a client of its own making, for asyncio."""

from __future__ import annotations

import asyncio
from typing import Any

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.storage import PersistentStorage

from tests.support.front_door import Door
from tests.support.real_clients.peer import TIMEOUT_S, Heard, Options, Peer, Properties, Refused, Welcome

_NAMES = {
    "user_property": "user_property",
    "content_type": "content_type",
    "response_topic": "response_topic",
    "correlation_data": "correlation_data",
    "payload_format": "payload_format_id",
    "expiry_s": "message_expiry_interval",
    "alias": "topic_alias",
    "identifiers": "subscription_identifier",
}
_LISTS = {"user_property", "identifiers"}


class _Acknowledged(PersistentStorage):  # type: ignore[misc]
    """Its store of what is not acknowledged yet is the one place where it tells."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, asyncio.Future[None]] = {}
        self.last: asyncio.Future[None] | None = None

    def push_message(self, mid: int, raw_package: bytes) -> None:
        super().push_message(mid, raw_package)
        if mid not in self.waiting:
            self.last = self.waiting[mid] = asyncio.get_running_loop().create_future()

    def remove_message_by_mid(self, mid: int) -> None:
        super().remove_message_by_mid(mid)
        if (waiter := self.waiting.pop(mid, None)) is not None and not waiter.done():
            waiter.set_result(None)


class GmqttPeer(Peer):
    """Never connects again by itself."""

    LACKS = frozenset(
        {"ws", "wss", "unix", "puback reason", "pubrec reason", "exactly once when sent again", "a narrow door"}
    )

    def __init__(self, door: Door, client_id: str, *, version: int, options: Options) -> None:
        super().__init__(door, client_id, version=version, options=options)
        self._subscribing: dict[int, asyncio.Future[int]] = {}
        self._store = _Acknowledged()
        five = version == 5
        more: dict[str, Any] = {}
        if five:
            given = {
                "session_expiry_interval": options.expiry_s or None,
                "receive_maximum": options.receive_maximum,
                "topic_alias_maximum": options.alias_maximum,
            }
            more = {name: value for name, value in given.items() if value is not None}
        will = None
        if options.will:
            delay = {"will_delay_interval": options.will.delay_s} if five and options.will.delay_s else {}
            will = gmqtt.Message(
                options.will.topic, options.will.payload, qos=options.will.qos, retain=options.will.retain, **delay
            )
        self._client = client = gmqtt.Client(
            client_id,
            clean_session=options.clean,
            optimistic_acknowledgement=not options.hold,
            will_message=will,
            persistent_storage=self._store,
            **more,
        )
        client.set_config({"reconnect_retries": -2, "reconnect_delay": 0})
        if options.username is not None:
            client.set_auth_credentials(options.username, options.password)
        self._welcome = Welcome(session_present=False)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message_held if options.hold else self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = lambda _client, mid, _reasons: self._subscribing.pop(mid).set_result(0)

    def _on_connect(self, _client: Any, flags: int, _reason: int, properties: dict[str, Any]) -> None:
        (keep_alive_s,) = properties.get("server_keep_alive", [None])
        self._welcome = Welcome(session_present=bool(flags), keep_alive_s=keep_alive_s)

    def _on_disconnect(self, _client: Any, packet: Any, _error: Any = None) -> None:
        self._is_gone(packet[0] if isinstance(packet, bytes) and packet else None)

    def _hear(self, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> Heard:
        found = {
            name: (properties[theirs] if name in _LISTS else properties[theirs][0])
            for name, theirs in _NAMES.items()
            if theirs in properties
        }
        found.pop("alias", None)
        heard = Heard(
            topic=topic,
            payload=payload,
            qos=qos,
            retain=bool(properties["retain"]),
            properties=found,
            handle=asyncio.get_running_loop().create_future(),
        )
        self.heard.put_nowait(heard)
        return heard

    def _on_message(self, _client: Any, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        self._hear(topic, payload, qos, properties)
        return 0

    async def _on_message_held(
        self, _client: Any, topic: str, payload: bytes, qos: int, properties: dict[str, Any]
    ) -> int:
        await self._hear(topic, payload, qos, properties).handle
        return 0

    def _on_subscribe(self, _client: Any, mid: int, reasons: tuple[int, ...], _properties: Any) -> None:
        self._subscribing.pop(mid).set_result(reasons[0])

    async def connect(self) -> Welcome:
        self.gone = asyncio.get_running_loop().create_future()
        version = MQTTv50 if self.version == 5 else MQTTv311
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._client.connect(
                    "127.0.0.1",
                    self.door.port,
                    ssl=self.tls or False,
                    keepalive=self.options.keep_alive_s,
                    version=version,
                )
        except MQTTConnectError as error:
            raise Refused(error._code) from None
        return self._welcome

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
        mid = self._client.subscribe(
            topic_filter,
            qos,
            no_local,
            retain_as_published,
            retain_handling,
            **({} if identifier is None else {"subscription_identifier": identifier}),
        )
        return await self._answer(mid)

    async def unsubscribe(self, topic_filter: str) -> None:
        await self._answer(self._client.unsubscribe(topic_filter))

    async def _answer(self, mid: int) -> int:
        waiter = self._subscribing[mid] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(TIMEOUT_S):
            return await waiter

    async def publish(
        self, topic: str, payload: str, qos: int = 0, *, retain: bool = False, properties: Properties | None = None
    ) -> int | None:
        given = {_NAMES[name]: value for name, value in (properties or {}).items()}
        if self.gone.done():
            raise ConnectionError("gone")
        self._client.publish(topic, payload, qos=qos, retain=retain, **given)
        if qos:
            waiter = self._store.last
            assert waiter is not None
            await asyncio.wait({waiter, self.gone}, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            if not waiter.done():
                assert self.gone.done(), "no acknowledgement came"
                raise ConnectionError("gone")
        return None

    async def acknowledge(self, heard: Heard) -> None:
        heard.handle.set_result(None)

    async def disconnect(self, reason: int = 0) -> None:
        await self._client.disconnect(reason_code=reason)

    async def cut(self) -> None:
        self._client._connection._transport.abort()
        await self.until_gone()

    async def close(self) -> None:
        if self._client._connection is not None and not self._client._connection.is_closing():
            await self._client.disconnect()
