"""What a CONNACK says about this server (MQTT 5 §3.2.2.3): as much as is built, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.mqtt import writer
from gateway.mqtt.packets import Connect, Version
from gateway.mqtt.properties import P, Property
from gateway.mqtt.reason_codes import ReasonCode

MAX_KEEP_ALIVE_S: Final = 65535


_INSTEAD: Final = {
    ReasonCode.SERVER_SHUTTING_DOWN: ReasonCode.SERVER_UNAVAILABLE,
    ReasonCode.KEEP_ALIVE_TIMEOUT: ReasonCode.UNSPECIFIED_ERROR,
    ReasonCode.SESSION_TAKEN_OVER: ReasonCode.UNSPECIFIED_ERROR,
    ReasonCode.TOPIC_FILTER_INVALID: ReasonCode.PROTOCOL_ERROR,
    ReasonCode.RECEIVE_MAXIMUM_EXCEEDED: ReasonCode.PROTOCOL_ERROR,
    ReasonCode.TOPIC_ALIAS_INVALID: ReasonCode.PROTOCOL_ERROR,
    ReasonCode.MESSAGE_RATE_TOO_HIGH: ReasonCode.QUOTA_EXCEEDED,
    ReasonCode.ADMINISTRATIVE_ACTION: ReasonCode.NOT_AUTHORIZED,
    ReasonCode.MAXIMUM_CONNECT_TIME: ReasonCode.NOT_AUTHORIZED,
}
"""Reasons to end a connection that CONNACK does not know (§3.2.2.2), and what it says in their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a listener grants each connection; `max_keep_alive_s` None: as long a keep alive as a client asks for."""

    receive_maximum: int = 1024
    max_packet_size_bytes: int = 2 * 1024 * 1024
    max_keep_alive_s: int | None = None
    topic_alias_maximum: int = 16
    listener: str = ""
    """The listener's name."""

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
    expiry_interval_s: int | None = None
    """The session's, where it may be another one than was asked for."""

    def __call__(self, reason: ReasonCode) -> bytes:
        """The packet's bytes; none where 3.1.1 has no return code for the reason.

        A reason that CONNACK has no code for is told by the nearest that it has [MQTT-3.2.2-8].
        """
        version = self.connect.version
        reason = _INSTEAD.get(reason, reason)
        properties: dict[Property, Any] = {}
        if version is Version.V5 and reason is ReasonCode.SUCCESS:
            terms = self.terms
            properties[P.RECEIVE_MAXIMUM] = terms.receive_maximum
            properties[P.MAXIMUM_PACKET_SIZE] = terms.max_packet_size_bytes
            if terms.topic_alias_maximum:
                properties[P.TOPIC_ALIAS_MAXIMUM] = terms.topic_alias_maximum
            if self.expiry_interval_s not in {None, self.connect.session_expiry_interval_s or 0}:
                properties[P.SESSION_EXPIRY_INTERVAL] = self.expiry_interval_s  # §3.2.2.3.2
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
