"""CONNECT, of MQTT 3.1, 3.1.1 and 5.0 (§3.1)."""

from __future__ import annotations

from gateway.mqtt.cursor import Cursor
from gateway.mqtt.errors import (
    ClientIdentifierNotValid,
    MalformedPacket,
    ProtocolError,
    UnsupportedVersion,
)
from gateway.mqtt.packets import Connect, Version, Will
from gateway.mqtt.properties import P, Place, PropertyMap, read_properties
from gateway.mqtt.publish_properties import message_properties
from gateway.mqtt.topics import check_topic_name

_PROTOCOL_NAMES = {Version.V31: b"MQIsdp", Version.V311: b"MQTT", Version.V5: b"MQTT"}


def read_version(cursor: Cursor) -> Version:
    """Protocol name and level (§3.1.2.1, §3.1.2.2). Raises UnsupportedVersion or MalformedPacket."""
    name = cursor.binary("protocol name")
    if name not in _PROTOCOL_NAMES.values():
        raise MalformedPacket("The protocol name is neither 'MQTT' nor 'MQIsdp'.")  # [MQTT-3.1.2-1]
    level = cursor.byte("protocol level")
    try:
        version = Version(level)
    except ValueError:
        version = None
    if version is None or _PROTOCOL_NAMES[version] != name:
        raise UnsupportedVersion(
            f"{name.decode()} with the protocol level {level} is not spoken here; 3.1, 3.1.1 and 5.0 are.", level=level
        )
    return version


def read_connect(cursor: Cursor, version: Version) -> Connect:
    """What follows the protocol level. Raises ProtocolViolation."""
    flags = cursor.byte("connect flags")
    if flags & 1 and version is not Version.V31:
        raise MalformedPacket("The reserved bit of the connect flags is set.")  # [MQTT-3.1.2-3]
    keep_alive_s = cursor.two("keep alive")
    properties = read_properties(cursor, Place.CONNECT) if version is Version.V5 else {}
    if P.AUTHENTICATION_DATA in properties and P.AUTHENTICATION_METHOD not in properties:
        raise ProtocolError("CONNECT has Authentication Data but no Authentication Method.")  # §3.1.2.11.10
    client_id = cursor.identifier("client identifier")
    clean_start = bool(flags & 2)
    if not client_id and (version is Version.V31 or (version is Version.V311 and not clean_start)):
        raise ClientIdentifierNotValid("CONNECT has no client identifier and asks for a session that lasts.")
    will = _read_will(cursor, flags, version)
    username = cursor.identifier("user name") if flags & 0x80 else None
    if flags & 0x40 and username is None and version is not Version.V5:
        raise MalformedPacket("CONNECT has a password but no user name.")  # 3.1.1 [MQTT-3.1.2-22]
    password = cursor.binary("password") if flags & 0x40 else None
    cursor.finish()
    return Connect(
        version=version,
        client_id=client_id,
        clean_start=clean_start,
        keep_alive_s=keep_alive_s,
        will=will,
        username=username,
        password=password,
        session_expiry_interval_s=properties.get(P.SESSION_EXPIRY_INTERVAL),
        receive_maximum=properties.get(P.RECEIVE_MAXIMUM, 65535),
        maximum_packet_size_bytes=properties.get(P.MAXIMUM_PACKET_SIZE),
        topic_alias_maximum=properties.get(P.TOPIC_ALIAS_MAXIMUM, 0),
        request_response_information=bool(properties.get(P.REQUEST_RESPONSE_INFORMATION, 0)),
        request_problem_information=bool(properties.get(P.REQUEST_PROBLEM_INFORMATION, 1)),
        authentication_method=properties.get(P.AUTHENTICATION_METHOD),
        authentication_data=properties.get(P.AUTHENTICATION_DATA),
        user_property=properties.get(P.USER_PROPERTY, ()),
    )


def _read_will(cursor: Cursor, flags: int, version: Version) -> Will | None:
    qos = flags >> 3 & 3
    retain = bool(flags & 0x20)
    if qos == 3:
        raise MalformedPacket("The Will QoS is 3.")  # [MQTT-3.1.2-12]
    if not flags & 4:
        if (qos or retain) and version is not Version.V31:
            raise MalformedPacket("CONNECT has a Will QoS or Will Retain but no will.")  # [MQTT-3.1.2-11], [-13]
        return None
    properties: PropertyMap = read_properties(cursor, Place.WILL) if version is Version.V5 else {}
    topic = check_topic_name(cursor.binary("will topic"), cursor.limits.max_topic_levels)
    payload = cursor.binary("will payload")
    return Will(
        topic=topic,
        payload=payload,
        qos=qos,
        retain=retain,
        delay_interval_s=properties.get(P.WILL_DELAY_INTERVAL, 0),
        properties=message_properties(properties, "the will"),
    )
