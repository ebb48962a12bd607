"""The connection to a cloud broker: paho-mqtt behind `bridge.ports.Link`, and nothing else.

Theory of operation. paho's `loop_start` thread is not used; the event loop watches paho's socket and calls `loop_read`,
`loop_write` and `loop_misc` itself (link_watch.py). Three reasons: paho's own loops wait with select(), which fails for
good once the socket's number is 1024 or more (a gateway with a thousand devices has that); a second thread must win the
interpreter lock for each of the four reads that a PUBACK takes while the hot path holds it; and with one thread the
order of events is simply the order of the bytes. Only connecting (name, TCP, TLS) blocks, so that runs in a thread of
its own (link_opening.py).

What paho does that shapes this file (2.1 and 2.2; see also paho_client.py):

- It calls back from inside its locks: so events are collected while paho runs and handed on when it has returned.
- It answers QoS 2 with PUBREC before the application has seen the message, whatever `manual_ack` says; a crash after
  that loses it. So a subscription here is QoS 1 at most [MQTT-4.3.2-4].
- It goes on with PUBREL after a PUBREC that refuses (MQTT 5 §4.3.3): the refusal of a QoS 2 publish shows as the
  PUBCOMP's 0x92 (packet identifier not found), its reason is gone.
- It says nothing about a keep-alive that was not answered for up to twice its length: an owner with something in
  flight has its own time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import LinkError, LinkLost, LinkRefused, LinkUnreachable
from bridge.flow.reasons import describe, describe_connect
from bridge.link_opening import open_client
from bridge.link_settings import LinkSettings
from bridge.link_watch import LinkWatch
from bridge.paho_client import WaryClient, drop, new_client, publish_properties
from bridge.ports import Delivery, LinkEvents, LinkLimits, Publish
from config.settings import Protocol

__all__ = ["LinkSettings", "MqttLink"]

_CLOSE_TIMEOUT_S: Final = 1.0


class MqttLink:
    """One connection to one broker; implements `bridge.ports.Link`.

    Every method is called on the event loop and every event is told there, in the order in which it came.
    """

    def __init__(self, settings: LinkSettings, events: LinkEvents) -> None:
        self._settings = settings
        self._events = events
        self._client = self._new_client()
        self._watch = LinkWatch(self._client, self._settle)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected = False
        self._ended = False
        self._told = False
        self._pending: list[Callable[[], None]] = []
        self._connack: asyncio.Future[LinkLimits] | None = None
        self._subacks: dict[int, asyncio.Future[int]] = {}
        self._drained: asyncio.Future[None] | None = None
        self._unsent_bytes = 0
        self._lost_reason = "the connection ended"
        self._lost_code: int | None = None
        self._lost_silent = False

    # -- connecting ------------------------------------------------------------------------------------------------

    def _new_client(self) -> WaryClient:
        client = new_client(self._settings)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        return client

    async def connect(self) -> LinkLimits:
        """Resolve, connect, TLS, CONNECT, CONNACK; at most `connect_timeout_s`. Raises LinkUnreachable, LinkRefused."""
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        self._connack = self._loop.create_future()
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                await open_client(self._client, settings)
                self._watch.begin()
                return await self._connack
        except TimeoutError:
            self._end()
            raise LinkUnreachable(
                f"{settings.url} did not answer within {settings.connect_timeout_s:g} s. "
                "Is a firewall in between, or the broker overloaded?"
            ) from None
        except LinkLost as error:
            self._end()
            raise LinkUnreachable(
                f"{settings.url} closed the connection before it answered CONNECT: {error}"
            ) from error
        except (LinkError, asyncio.CancelledError):
            self._end()
            raise

    # -- the owner's side ------------------------------------------------------------------------------------------

    @property
    def unsent_bytes(self) -> int:
        """Payload bytes that were given to `publish` and have not all gone to the socket."""
        return self._unsent_bytes if self._client.want_write() else 0

    def publish(self, message: Publish) -> int:
        """Queue a PUBLISH; it leaves at the end of this turn of the event loop. Returns its packet id, 0 for QoS 0.

        Raises LinkLost; also when more than `max_unsent_bytes` wait, after giving the connection up.
        """
        if self._ended or self._client.socket() is None:
            raise LinkLost(f"The link to {self._settings.url} is gone.")
        if self._unsent_bytes and not self._client.want_write():
            self._unsent_bytes = 0
        if self._unsent_bytes > self._settings.max_unsent_bytes:
            self._lost_silent = True
            self._lost_reason = f"the broker left {self._unsent_bytes} bytes unread"
            self._give_up()
            raise LinkLost(f"{self._settings.url} does not read what is sent; the connection was given up.")
        properties = publish_properties(message) if self._settings.protocol is not Protocol.V311 else None
        # A packet id whose acknowledgement is still due is passed over (MQTT 5 §2.2.1); paho would refuse it.
        for _ in range(65535):
            info = self._client.publish(message.topic, message.payload, message.qos, message.retain, properties)
            if info.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                break
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkLost(f"The link to {self._settings.url} took no message: {paho.error_string(info.rc)}")
        self._unsent_bytes += len(message.payload)
        return info.mid if message.qos else 0

    async def drain(self) -> None:
        """Return when what was published has gone to the socket, or the link is gone: for senders of QoS 0."""
        if self._loop is None or self._ended or not self._client.want_write():
            return
        if self._drained is None:
            self._drained = self._loop.create_future()
        await asyncio.shield(self._drained)

    async def subscribe(self, topic_filter: str, *, qos: int) -> None:
        """Returns when the broker granted it, at that QoS. Raises LinkRefused, LinkLost; ValueError for QoS 2."""
        if qos > 1:
            raise ValueError("a subscription is QoS 1 at most: with 2 a crash after PUBREC would lose the message")
        if self._loop is None or self._ended:
            raise LinkLost(f"The link to {self._settings.url} is gone.")
        self._client.takes_messages = True
        code, packet_id = self._client.subscribe(topic_filter, qos)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or packet_id is None:
            raise LinkLost(f"The link to {self._settings.url} took no SUBSCRIBE: {paho.error_string(code)}")
        granted = self._subacks[packet_id] = self._loop.create_future()
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                reason_code = await granted
        except TimeoutError:
            raise LinkLost(f"{self._settings.url} did not answer SUBSCRIBE to {topic_filter}.") from None
        finally:
            self._subacks.pop(packet_id, None)
        if reason_code >= 0x80:
            raise LinkRefused(
                f"{self._settings.url} refused the subscription to {topic_filter}: {describe(reason_code)}",
                reason_code=reason_code,
            )
        if reason_code < qos:
            raise LinkRefused(
                f"{self._settings.url} granted only QoS {reason_code} for {topic_filter}; {qos} is needed",
                reason_code=reason_code,
            )

    def acknowledge(self, delivery: Delivery) -> None:
        """Send PUBACK for a QoS 1 delivery; nothing for QoS 0 or when the link is gone."""
        if delivery.qos == 1 and not self._ended and self._client.socket() is not None:
            self._client.ack(delivery.packet_id, delivery.qos)

    async def close(self) -> None:
        """DISCONNECT, if the broker takes it within a second, then end; idempotent. No event comes after it."""
        self._told = True
        if self._ended:
            return
        if self._watch.is_on and self._client.socket() is not None:
            self._client.disconnect()
            self._watch.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self.drain()
        self._end()

    # -- the socket's side -----------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """After paho has run: hand on what it told, and notice when it closed the socket."""
        if self._drained is not None and not self._client.want_write():
            self._drained.set_result(None)
            self._drained = None
        pending, self._pending = self._pending, []
        for tell in pending:
            if not self._told:
                tell()
        if self._client.socket() is None:
            self._give_up()

    def _give_up(self) -> None:
        """The connection is gone without `close`: end, and say so once."""
        if self._ended:
            return
        self._end()
        error = LinkLost(
            f"The link to {self._settings.url} was lost: {self._lost_reason}.",
            reason_code=self._lost_code,
            is_silence=self._lost_silent,
        )
        if not self._connected:
            if self._connack is not None and not self._connack.done():
                self._connack.set_exception(error)
        elif not self._told and self._loop is not None:
            # Not from within `publish`, whose caller is not ready for it.
            self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: LinkLost) -> None:
        if not self._told:
            self._told = True
            self._events.on_lost(error)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._watch.end()
        drop(self._client)
        for granted in self._subacks.values():
            if not granted.done():
                granted.set_exception(LinkLost(f"The link to {self._settings.url} was lost: {self._lost_reason}."))
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    # -- paho's callbacks: on the event loop, inside paho's locks -----------------------------------------------------

    def _on_connect(
        self,
        _client: paho.Client,
        _userdata: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: PahoProperties | None,
    ) -> None:
        connack = self._connack
        if connack is None or connack.done():
            return
        if reason.value:
            connack.set_exception(
                LinkRefused(
                    f"{self._settings.url} refused CONNECT: {describe_connect(reason.value)}", reason_code=reason.value
                )
            )
            return
        self._connected = True
        connack.set_result(
            LinkLimits(
                session_present=flags.session_present,
                receive_maximum=getattr(properties, "ReceiveMaximum", 65535),
                maximum_packet_size_bytes=getattr(properties, "MaximumPacketSize", None),
                maximum_qos=getattr(properties, "MaximumQoS", 2),
                retain_available=bool(getattr(properties, "RetainAvailable", 1)),
                assigned_client_id=getattr(properties, "AssignedClientIdentifier", None),
                mqtt_version=self._settings.protocol.value,
            )
        )

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: PahoProperties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._lost_code = reason.value
            self._lost_reason = f"the broker sent DISCONNECT, {describe(reason.value)}"
        elif reason.value == 0x8D:
            self._lost_silent = True
            self._lost_reason = "the broker did not answer within the keep-alive"
        else:
            self._lost_reason = self._client.fault or "the connection was cut"

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: Any,
        packet_id: int,
        reason: ReasonCode,
        _properties: PahoProperties | None,
    ) -> None:
        # paho also calls this when a QoS 0 packet has gone to the socket: nobody acknowledged that.
        if self._watch.is_reading:
            self._pending.append(lambda: self._events.on_acknowledged(packet_id, reason.value))

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # no broker may pass it on [MQTT-1.5.4-1]; the payload still has a right to be judged
        delivery = Delivery(
            topic=topic,
            payload=bytes(message.payload),
            qos=message.qos,
            retain=message.retain,
            packet_id=message.mid if message.qos else 0,
            duplicate=message.dup,
        )
        self._pending.append(lambda: self._events.on_delivery(delivery))

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: Any,
        packet_id: int,
        reasons: list[ReasonCode],
        _properties: PahoProperties | None,
    ) -> None:
        granted = self._subacks.get(packet_id)
        if granted is not None and not granted.done():
            granted.set_result(reasons[0].value if reasons else 0x80)
