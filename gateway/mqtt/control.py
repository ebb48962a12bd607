"""The packets of a client besides CONNECT and PUBLISH: one function each, from a cursor over the body to the value.

All raise MalformedPacket or ProtocolError, SUBSCRIBE and UNSUBSCRIBE TopicFilterInvalid too.
"""

from __future__ import annotations

from gateway.mqtt.cursor import Cursor
from gateway.mqtt.errors import MalformedPacket, ProtocolError
from gateway.mqtt.packets import Auth, Disconnect, Subscribe, Subscription, Unsubscribe, Version
from gateway.mqtt.properties import P, Place, read_properties
from gateway.mqtt.reason_codes import CLIENT_AUTH_CODES, CLIENT_DISCONNECT_CODES
from gateway.mqtt.topics import SHARE, check_topic_filter


def _packet_id(cursor: Cursor, packet: str) -> int:
    packet_id = cursor.two("packet identifier")
    if not packet_id:
        raise ProtocolError(f"The packet identifier of {packet} is 0.")  # [MQTT-2.2.1-3]
    return packet_id


def _reason_code(cursor: Cursor, packet: str, allowed: frozenset[int]) -> int:
    code = cursor.byte("reason code")
    if code not in allowed:
        raise ProtocolError(f"The reason code 0x{code:02X} is not one that a client may send in {packet}.")
    return code


def read_answer(cursor: Cursor, version: Version | None, place: Place, allowed: frozenset[int]) -> tuple[int, int]:
    """(packet id, reason code) of PUBACK, PUBREC, PUBREL or PUBCOMP (§3.4 to §3.7).

    In MQTT 5 the reason code may be left out when it is 0, and the property length when there are no properties.
    """
    packet_id = _packet_id(cursor, place.packet)
    code = 0
    if version is Version.V5 and cursor.left:
        code = _reason_code(cursor, place.packet, allowed)
        if cursor.left:
            read_properties(cursor, place)
    cursor.finish()
    return packet_id, code


def read_subscribe(cursor: Cursor, version: Version | None) -> Subscribe:
    """SUBSCRIBE (§3.8)."""
    packet_id = _packet_id(cursor, "SUBSCRIBE")
    properties = read_properties(cursor, Place.SUBSCRIBE) if version is Version.V5 else {}
    subscriptions: list[Subscription] = []
    while cursor.left:
        topic_filter = check_topic_filter(cursor.binary("topic filter"), cursor.limits.max_topic_levels)
        options = cursor.byte("subscription options")
        subscriptions.append(_subscription(topic_filter, options, version))
    if not subscriptions:
        raise ProtocolError("SUBSCRIBE has no topic filter.")  # [MQTT-3.8.3-2]
    return Subscribe(
        packet_id=packet_id,
        subscriptions=tuple(subscriptions),
        subscription_identifier=properties.get(P.SUBSCRIPTION_IDENTIFIER),
        user_property=properties.get(P.USER_PROPERTY, ()),
    )


def _subscription(topic_filter: str, options: int, version: Version | None) -> Subscription:
    qos = options & 3
    if options & (0xC0 if version is Version.V5 else 0xFC):
        raise MalformedPacket("Reserved bits of the subscription options are set.")  # [MQTT-3.8.3-5]
    retain_handling = options >> 4 & 3
    if qos == 3 or retain_handling == 3:
        raise ProtocolError("The subscription options have a QoS or Retain Handling of 3.")  # §3.8.3.1
    no_local = bool(options & 4)
    if no_local and topic_filter.startswith(SHARE):
        raise ProtocolError("No Local is set on a shared subscription.")  # [MQTT-3.8.3-4]
    return Subscription(
        topic_filter=topic_filter,
        qos=qos,
        no_local=no_local,
        retain_as_published=bool(options & 8),
        retain_handling=retain_handling,
    )


def read_unsubscribe(cursor: Cursor, version: Version | None) -> Unsubscribe:
    """UNSUBSCRIBE (§3.10)."""
    packet_id = _packet_id(cursor, "UNSUBSCRIBE")
    properties = read_properties(cursor, Place.UNSUBSCRIBE) if version is Version.V5 else {}
    filters: list[str] = []
    while cursor.left:
        filters.append(check_topic_filter(cursor.binary("topic filter"), cursor.limits.max_topic_levels))
    if not filters:
        raise ProtocolError("UNSUBSCRIBE has no topic filter.")  # [MQTT-3.10.3-2]
    return Unsubscribe(
        packet_id=packet_id, topic_filters=tuple(filters), user_property=properties.get(P.USER_PROPERTY, ())
    )


def read_disconnect(cursor: Cursor, version: Version | None) -> Disconnect:
    """DISCONNECT from a client (§3.14); without a body in 3.1.1."""
    code = 0
    session_expiry_interval_s = None
    if version is Version.V5 and cursor.left:
        code = _reason_code(cursor, "DISCONNECT", CLIENT_DISCONNECT_CODES)
        if cursor.left:
            properties = read_properties(cursor, Place.DISCONNECT)
            session_expiry_interval_s = properties.get(P.SESSION_EXPIRY_INTERVAL)
    cursor.finish()
    return Disconnect(reason_code=code, session_expiry_interval_s=session_expiry_interval_s)


def read_auth(cursor: Cursor) -> Auth:
    """AUTH (§3.15). Without a body it would be Success, which only a server may say."""
    code = _reason_code(cursor, "AUTH", CLIENT_AUTH_CODES) if cursor.left else 0
    properties = read_properties(cursor, Place.AUTH) if cursor.left else {}
    cursor.finish()
    method = properties.get(P.AUTHENTICATION_METHOD)
    if method is None:
        raise ProtocolError("AUTH has no Authentication Method.")  # §3.15.2.2.2
    return Auth(
        reason_code=code,
        authentication_method=method,
        authentication_data=properties.get(P.AUTHENTICATION_DATA),
    )
