"""What a CONNACK says about this server (MQTT 5 §3.2.2.3): as much as is built, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.mqtt import writer
from gateway.mqtt.packets import Connect, Version
from gateway.mqtt.properties import P, Property
from gateway.mqtt.reason_codes import ReasonCode

MAX_KEEP_ALIVE_S: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a listener grants each connection; `max_keep_alive_s` None: as long a keep alive as a client asks for."""

    receive_maximum: int = 1024
    max_packet_size_bytes: int = 2 * 1024 * 1024
    max_keep_alive_s: int | None = None
    topic_alias_maximum: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.receive_maximum <= 65535:
            raise ValueError(
                f"A Receive Maximum is between 1 and 65535, not {self.receive_maximum} (MQTT 5 §3.2.2.3.3)."
            )
        if self.max_keep_alive_s is not None and not 1 <= self.max_keep_alive_s <= MAX_KEEP_ALIVE_S:
            raise ValueError(f"A keep alive is between 1 and {MAX_KEEP_ALIVE_S} s, not {self.max_keep_alive_s}.")

    def keep_alive_s(self, connect: Connect) -> int:
        """The keep alive that holds for the connection; 0 for none. 3.1.1 has no way to tell of another one."""
        asked_s = connect.keep_alive_s
        if self.max_keep_alive_s is None or connect.version is not Version.V5:
            return asked_s
        return min(asked_s or self.max_keep_alive_s, self.max_keep_alive_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connack:
    """A CONNACK that only lacks its reason."""

    connect: Connect
    terms: Terms
    session_present: bool = False
    assigned_client_id: str | None = None

    def __call__(self, reason: ReasonCode) -> bytes:
        """The packet's bytes; none where 3.1.1 has no return code for the reason."""
        version = self.connect.version
        properties: dict[Property, Any] = {}
        if version is Version.V5 and reason is ReasonCode.SUCCESS:
            terms = self.terms
            properties[P.RECEIVE_MAXIMUM] = terms.receive_maximum
            properties[P.MAXIMUM_PACKET_SIZE] = terms.max_packet_size_bytes
            if terms.topic_alias_maximum:
                properties[P.TOPIC_ALIAS_MAXIMUM] = terms.topic_alias_maximum
            properties[P.SHARED_SUBSCRIPTION_AVAILABLE] = 0
            if self.assigned_client_id is not None:
                properties[P.ASSIGNED_CLIENT_IDENTIFIER] = self.assigned_client_id
            if terms.keep_alive_s(self.connect) != self.connect.keep_alive_s:
                properties[P.SERVER_KEEP_ALIVE] = terms.keep_alive_s(self.connect)
        return writer.connack(
            version=version,
            session_present=self.session_present,
            reason_code=reason,
            properties=properties,
            max_packet_size_bytes=self.connect.maximum_packet_size_bytes,
        )
