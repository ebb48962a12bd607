"""paho-mqtt's client with what it lacks for a true ledger: a look at each PUBREC, and no way back behind one."""

from __future__ import annotations

from collections.abc import Callable

from paho.mqtt.client import Client
from paho.mqtt.enums import MessageState, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


class PubrecClient(Client):
    """A client that tells of each PUBREC, and drops a publish whose PUBREC refuses it [MQTT-4.3.3-4]."""

    on_pubrec: Callable[[int, int], None]

    def _messages_reconnect_reset_out(self) -> None:
        """paho calls this before each attempt to connect, and at the second one it takes a publish whose PUBREL is yet
        to be repeated for one that is yet to be sent: after a PUBREC that would be a new message [MQTT-4.3.3-6].
        """
        with self._out_message_mutex:
            for message in self._out_messages.values():
                if message.state == MessageState.MQTT_MS_RESEND_PUBREL:
                    message.state = MessageState.MQTT_MS_WAIT_FOR_PUBCOMP
        super()._messages_reconnect_reset_out()

    def _handle_pubrec(self) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        mid = int.from_bytes(packet[:2], "big")
        reason = packet[2] if len(packet) > 2 else 0
        self.on_pubrec(mid, reason)
        if reason < 0x80:
            return super()._handle_pubrec()
        with self._out_message_mutex:
            if mid in self._out_messages:
                code = ReasonCode(PacketTypes.PUBREC, identifier=reason)
                return self._do_on_publish(mid, code, Properties(PacketTypes.PUBREC))  # type: ignore[no-untyped-call]
        return MQTTErrorCode.MQTT_ERR_SUCCESS
