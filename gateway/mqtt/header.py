"""The fixed header (MQTT 5 §2.1): packet type, flags and remaining length."""

from __future__ import annotations

import enum
from typing import Final

from gateway.mqtt.errors import MalformedPacket, ProtocolError
from gateway.mqtt.packets import Version


class PacketType(enum.IntEnum):
    """§2.1.2."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


_FLAGS_0010: Final = frozenset({PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE})
_FROM_SERVER: Final = frozenset({PacketType.CONNACK, PacketType.SUBACK, PacketType.UNSUBACK, PacketType.PINGRESP})


def check_first_byte(first: int, version: Version | None) -> PacketType:
    """The packet type of a first byte that a client may send (§2.1.2, §2.1.3); `version` None before CONNECT.

    Raises MalformedPacket for wrong flags, ProtocolError for a packet that only a server sends.
    """
    number, flags = first >> 4, first & 0x0F
    if number == 0:
        raise MalformedPacket("The packet type 0 is reserved.")
    packet_type = PacketType(number)
    if packet_type in _FROM_SERVER:
        raise ProtocolError(f"{packet_type.name} is sent by servers only.")
    if packet_type is PacketType.AUTH and version is not Version.V5:
        raise ProtocolError("AUTH is a packet of MQTT 5 only.")
    if packet_type is PacketType.PUBLISH:
        if flags & 0x06 == 0x06:
            raise MalformedPacket("A PUBLISH has QoS 3.")  # [MQTT-3.3.1-4]
        if flags & 0x0E == 0x08 and version is not Version.V31:
            raise MalformedPacket("A PUBLISH with QoS 0 has DUP set.")  # [MQTT-3.3.1-2]
        return packet_type
    if packet_type is PacketType.CONNECT:
        return packet_type  # its flags are checked when its version is known
    wanted = 0x02 if packet_type in _FLAGS_0010 else 0x00
    if flags != wanted and version is not Version.V31:  # to which they are unused, or DUP of what is sent again
        raise MalformedPacket(
            f"The flags of {packet_type.name} are {flags:04b} and must be {wanted:04b}."
        )  # [MQTT-2.1.3-1]
    return packet_type


def read_header(buffer: bytes, pos: int, version: Version | None) -> tuple[int, int] | None:
    """(where the body begins, where the packet ends); None when the header is not all there.

    Raises MalformedPacket when the remaining length has more than four bytes, or in MQTT 5 more than it needs
    [MQTT-1.5.5-1]. The older versions do not ask for the fewest bytes, and modem firmware exists that pads.
    """
    remaining = shift = 0
    for at in range(pos + 1, min(pos + 5, len(buffer))):
        byte = buffer[at]
        remaining |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and shift and version is Version.V5:
                raise MalformedPacket("The remaining length is not written in the fewest bytes.")
            return at + 1, at + 1 + remaining
        shift += 7
    if len(buffer) >= pos + 5:
        raise MalformedPacket("The remaining length is longer than four bytes.")
    return None
