"""paho-mqtt's client made ready for a link, and what has to be put right in it.

- It sends its whole queue again on reconnect and keeps no window: so a client lives for one connection, its own
  limits are out of the way, and who waits for what is the owner's business.
- It hangs up when a PUBACK carries a code that MQTT 5 does not list for it, and Mosquitto answers a payload above its
  `message_size_limit` with such a one (0x95, packet too large): so paho's table of names is widened here.
- It believes a broker: PUBCOMP ends a publish of QoS 1, a packet is collected up to the 256 MB that it declares, a
  PUBLISH that nobody subscribed to is kept, PINGREQ and PUBREL are answered without end. `WaryClient` doesn't.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.link_settings import LinkSettings
from bridge.ports import Publish
from config.settings import Protocol


def _widened(names: Mapping[int, Mapping[str, list[int]]]) -> Mapping[int, Mapping[str, list[int]]]:
    """paho's table of reason codes with every refusal allowed in the answers to a PUBLISH."""
    answers = (PacketTypes.PUBACK, PacketTypes.PUBREC, PacketTypes.PUBCOMP)
    wide = {code: dict(by_name) for code, by_name in names.items()}
    for code, by_name in wide.items():
        if code >= 0x80 and len(by_name) == 1:
            ((name, packets),) = by_name.items()
            by_name[name] = [*packets, *(packet for packet in answers if packet not in packets)]
    return MappingProxyType(wide)


ReasonCode.names = _widened(ReasonCode.names)  # type: ignore[assignment]


MAX_ANSWER_BYTES: Final = 256 * 1024
"""Of any packet, as long as nothing was subscribed to: answers are short."""
_READ_BYTES: Final = 64 * 1024


class WaryClient(paho.Client):
    """paho's client for a broker that may mean harm: what no broker may send ends the connection."""

    takes_messages = False
    """Whether something was subscribed to, now or in a session that goes on; with QoS 1 at most."""
    fault: str | None = None
    """What the broker did wrong, once it did."""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > MAX_ANSWER_BYTES and not self.takes_messages:
            self.fault = f"the broker began a packet of {bufsize} bytes, and none that large was asked for"
            raise ConnectionAbortedError(self.fault)
        return super()._sock_recv(min(bufsize, _READ_BYTES))

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        if self._answers_another(1 if cmd == "PUBACK" else 2):
            return self._wrong(f"the broker answered with {cmd} what has another QoS")
        return super()._handle_pubackcomp(cmd)

    def _handle_pubrec(self) -> MQTTErrorCode:
        if self._answers_another(2):
            return self._wrong("the broker answered with PUBREC what has another QoS")
        return super()._handle_pubrec()

    def _handle_pubrel(self) -> MQTTErrorCode:
        return self._wrong("the broker sent a PUBREL for what it never published")

    def _handle_pingreq(self) -> MQTTErrorCode:
        return self._wrong("the broker sent a PINGREQ, which only clients do")

    def _handle_publish(self) -> MQTTErrorCode:
        if not self.takes_messages:
            return self._wrong("the broker sent a message that nobody subscribed to")
        if self._in_packet["command"] & 0x04:  # it would be kept until its PUBREL [MQTT-3.8.4-8]
            return self._wrong("the broker sent a message above the QoS that was subscribed to")
        return super()._handle_publish()

    def _answers_another(self, qos: int) -> bool:
        """Whether the packet that was read is for a publish of another QoS."""
        message = self._out_messages.get(int.from_bytes(self._in_packet["packet"][:2], "big"))
        return message is not None and message.qos != qos

    def _wrong(self, fault: str) -> MQTTErrorCode:
        self.fault = fault
        return MQTTErrorCode.MQTT_ERR_PROTOCOL


def new_client(settings: LinkSettings) -> WaryClient:
    """A client for one connection, not connected yet and without callbacks."""
    five = settings.protocol is not Protocol.V311
    client = WaryClient(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id,
        clean_session=None if five else settings.clean_start,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.takes_messages = not settings.clean_start
    client.max_inflight_messages_set(0)  # no limit of paho's: the owner has the window
    client.connect_timeout = settings.connect_timeout_s
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.password)
    client.on_socket_open = _no_delay
    return client


def connect_properties(settings: LinkSettings) -> PahoProperties:
    """What CONNECT says beyond 3.1.1."""
    properties = PahoProperties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_s
    properties.ReceiveMaximum = settings.receive_maximum
    return properties


def publish_properties(message: Publish) -> PahoProperties | None:
    """paho's form of the properties that are set; building one takes longer than sending the packet."""
    known = {
        "UserProperty": list(message.user_properties) or None,
        "ContentType": message.content_type,
        "ResponseTopic": message.response_topic,
        "CorrelationData": message.correlation_data,
        "PayloadFormatIndicator": message.payload_format_indicator,
        "MessageExpiryInterval": message.message_expiry_interval_s,
    }
    written = {name: value for name, value in known.items() if value is not None}
    if not written:
        return None
    properties = PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in written.items():
        setattr(properties, name, value)
    return properties


def _no_delay(_client: paho.Client, _userdata: Any, sock: Any) -> None:
    # A frame is one write already; waiting to fill a segment would only add to its round trip.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def drop(client: paho.Client) -> None:
    """Close the client's socket, if it has one; paho has no public way that does not wait for the broker."""
    sock = client.socket()
    if sock is not None:
        sock.close()
