"""paho-mqtt's client made ready for a link, and what has to be put right in it.

- It sends its whole queue again on reconnect and keeps no window: so a client lives for one connection, its own
  limits are out of the way, and who waits for what is the owner's business.
- It hangs up when a PUBACK carries a code that MQTT 5 does not list for it, and Mosquitto answers a payload above its
  `message_size_limit` with such a one (0x95, packet too large): so paho's table of names is widened here.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
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


def new_client(settings: LinkSettings) -> paho.Client:
    """A client for one connection, not connected yet and without callbacks."""
    five = settings.protocol is not Protocol.V311
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id,
        clean_session=None if five else settings.clean_start,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
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
