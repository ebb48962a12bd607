"""What a client can do wrong in its bytes.

ProtocolViolation                 the connection has to be closed; carries the reason code to close with
├── MalformedPacket               0x81  the bytes cannot be parsed as the packet they claim to be
├── ProtocolError                 0x82  well formed, but not allowed here or now
├── UnsupportedVersion            0x84  a protocol level that is not spoken here; carries `level` and `answer_as`
├── ClientIdentifierNotValid      0x85  no client identifier where the version needs one
├── TopicFilterInvalid            0x8F  a topic filter that breaks §4.7
├── TopicNameInvalid              0x90  a topic name that breaks §4.7, or is not UTF-8
├── ReceiveMaximumExceeded        0x93  more PUBLISHes in flight than the server announced
├── TopicAliasInvalid             0x94  a topic alias of 0, or over the announced maximum
├── PacketTooLarge                0x95  longer than the announced maximum; seen at its header, before its body
└── LimitExceeded                 0x97  more parts in one packet than the operator allows

The fault is always the sender's, and sending the same again will not help. `str(error)` is a sentence for logs and, in
MQTT 5, for the Reason String. `code` is a stable word for logs and metrics.
"""

from __future__ import annotations

from typing import ClassVar

from gateway.mqtt.packets import Version
from gateway.mqtt.reason_codes import ReasonCode


class ProtocolViolation(Exception):
    """Root of the tree above."""

    code: ClassVar[str] = "protocol_violation"
    reason_code: ClassVar[ReasonCode] = ReasonCode.PROTOCOL_ERROR
    retryable: ClassVar[bool] = False


class MalformedPacket(ProtocolViolation):
    """The bytes cannot be parsed (MQTT 5 §4.13.1)."""

    code = "malformed_packet"
    reason_code = ReasonCode.MALFORMED_PACKET


class ProtocolError(ProtocolViolation):
    """The packet is well formed but not allowed here or now (MQTT 5 §4.13.1)."""

    code = "protocol_error"
    reason_code = ReasonCode.PROTOCOL_ERROR


class UnsupportedVersion(ProtocolViolation):
    """CONNECT with a protocol level other than 3, 4 and 5 [MQTT-3.1.2-2]."""

    code = "unsupported_version"
    reason_code = ReasonCode.UNSUPPORTED_PROTOCOL_VERSION

    def __init__(self, message: str, *, level: int) -> None:
        super().__init__(message)
        self.level = level

    @property
    def answer_as(self) -> Version:
        """The version whose CONNACK a client of that level most likely understands.

        Mosquitto's bridges set bit 7 of the level first, and try again without it when they are refused in 3.1.1's way.
        """
        return Version.V5 if Version.V5 < self.level < 0x80 else Version.V311


class ClientIdentifierNotValid(ProtocolViolation):
    """An empty client identifier where the version does not allow it [MQTT-3.1.3-8] (3.1.1)."""

    code = "client_identifier_not_valid"
    reason_code = ReasonCode.CLIENT_IDENTIFIER_NOT_VALID


class TopicFilterInvalid(ProtocolViolation):
    """A topic filter that breaks the rules of §4.7."""

    code = "topic_filter_invalid"
    reason_code = ReasonCode.TOPIC_FILTER_INVALID


class TopicNameInvalid(ProtocolViolation):
    """A topic name that breaks the rules of §4.7."""

    code = "topic_name_invalid"
    reason_code = ReasonCode.TOPIC_NAME_INVALID


class ReceiveMaximumExceeded(ProtocolViolation):
    """More QoS 1 and 2 PUBLISHes in flight than the announced Receive Maximum [MQTT-3.3.4-9]."""

    code = "receive_maximum_exceeded"
    reason_code = ReasonCode.RECEIVE_MAXIMUM_EXCEEDED


class TopicAliasInvalid(ProtocolViolation):
    """A topic alias of 0, or over the announced Topic Alias Maximum [MQTT-3.3.2-8..10]."""

    code = "topic_alias_invalid"
    reason_code = ReasonCode.TOPIC_ALIAS_INVALID


class PacketTooLarge(ProtocolViolation):
    """A declared length over the announced Maximum Packet Size (§3.2.2.3.6)."""

    code = "packet_too_large"
    reason_code = ReasonCode.PACKET_TOO_LARGE


class LimitExceeded(ProtocolViolation):
    """A packet with more user properties than `limits.max_user_properties`: a limit of this server's own."""

    code = "limit_exceeded"
    reason_code = ReasonCode.QUOTA_EXCEEDED
