"""paho-mqtt's packet codec without its sockets: an encoder and a decoder that know nothing of ours."""

from __future__ import annotations

import io
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

PROTOCOLS = {3: paho.MQTTv31, 4: paho.MQTTv311, 5: paho.MQTTv5}


def properties(packet: str, **values: Any) -> Properties:
    """paho's properties of a packet by its name ("PUBLISH", "WILLMESSAGE", ...)."""
    made = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(made, name, value)
    return made


class PahoCodec(paho.Client):
    """Encodes what a client sends; `decode` gives what a client understands of a server's bytes."""

    def __init__(self, level: int, client_id: str = "device", *, clean: bool = True) -> None:
        super().__init__(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean if level != 5 else None,
            protocol=PROTOCOLS[level],
        )
        self._sent = bytearray()
        self._incoming = io.BytesIO()
        self._sock: Any = object()
        self.seen: list[tuple[Any, ...]] = []
        self.on_connect = lambda _c, _u, flags, code, props: self.seen.append(
            ("connack", flags.session_present, code.value, props)
        )
        self.on_message = lambda _c, _u, message: self.seen.append(("publish", message))
        self.on_subscribe = lambda _c, _u, mid, codes, _p: self.seen.append(
            ("suback", mid, [code.value for code in codes])
        )
        self.on_unsubscribe = lambda _c, _u, mid, codes, _p: self.seen.append(
            ("unsuback", mid, [code.value for code in codes])
        )
        self.on_disconnect = lambda _c, _u, _flags, code, props: self.seen.append(("disconnect", code.value, props))

    def _packet_queue(self, command: int, packet: Any, mid: int, qos: int, info: Any = None) -> Any:
        self._sent += packet
        return paho.MQTT_ERR_SUCCESS

    def _sock_recv(self, bufsize: int) -> bytes:
        return self._incoming.read(bufsize)

    def _sock_close(self) -> None:
        pass

    def take(self) -> bytes:
        """What was encoded since the last call."""
        sent = bytes(self._sent)
        self._sent.clear()
        return sent

    def connect_packet(self, keep_alive_s: int = 60, connect_properties: Properties | None = None) -> bytes:
        """CONNECT; the will and the user name are set with paho's own methods before."""
        self._connect_properties = connect_properties
        self._send_connect(keep_alive_s)
        return self.take()

    def publish_packet(
        self, topic: str, payload: bytes, qos: int, retain: bool, dup: bool, mid: int, props: Properties | None = None
    ) -> bytes:
        """PUBLISH."""
        self._send_publish(mid, topic.encode(), payload, qos, retain, dup, None, props)
        return self.take()

    def subscribe_packet(
        self, filters: list[tuple[str, int | SubscribeOptions]], props: Properties | None = None
    ) -> tuple[int, bytes]:
        """(packet id, SUBSCRIBE)."""
        _, mid = self._send_subscribe(0, [(name.encode(), options) for name, options in filters], props)
        return mid, self.take()

    def unsubscribe_packet(self, filters: list[str], props: Properties | None = None) -> tuple[int, bytes]:
        """(packet id, UNSUBSCRIBE)."""
        _, mid = self._send_unsubscribe(0, [name.encode() for name in filters], props)
        return mid, self.take()

    def disconnect_packet(self, code: int | None = None, props: Properties | None = None) -> bytes:
        """DISCONNECT."""
        self._send_disconnect(None if code is None else ReasonCode(PacketTypes.DISCONNECT, identifier=code), props)
        return self.take()

    def decode(self, data: bytes) -> list[tuple[Any, ...]]:
        """What paho made of a server's bytes."""
        self._incoming = io.BytesIO(data)
        self.seen.clear()
        while self._incoming.tell() < len(data):
            self._packet_read()
        return list(self.seen)
