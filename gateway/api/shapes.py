"""How times, payloads, records and events look in JSON. Pure."""

from __future__ import annotations

import base64
from typing import Any, Final

from bridge.block import MAX_TIME_US
from bridge.json_lines import properties_object, rfc3339
from bridge.record import Properties, Record
from gateway.broker.message import Message
from gateway.events import Event
from gateway.traffic.sample import Sample

LISTED_BYTES: Final = 1024
"""Of a payload in a list."""
ALONE_BYTES: Final = 64 * 1024
"""Of one that is looked at."""
PROPERTIES_BYTES: Final = 4096
"""Of a record's properties; of larger ones the beginnings are shown."""
MAX_PAIRS: Final = 16
MAX_CHARS: Final = 100
MAX_NAME_CHARS: Final = 1024
"""Of what a client calls itself, and of its topics, beside its numbers: each may be 64 KiB long."""


def moment(at_us: int | None) -> str | None:
    """RFC 3339 with milliseconds."""
    if at_us is None:
        return None
    return f"{rfc3339(min(max(0, at_us), MAX_TIME_US - 1))[:-4]}Z"


def rounded(number: float | None, digits: int = 1) -> float | None:
    """For rates, ages and durations: what is behind it tells nobody anything."""
    return None if number is None else round(number, digits)


def payload(body: bytes, *, size_bytes: int | None = None, most: int = LISTED_BYTES) -> dict[str, Any]:
    """Text where it is UTF-8, base64 where not; cut to `most` bytes, between characters."""
    size = len(body) if size_bytes is None else size_bytes
    part = body[:most]
    found: dict[str, Any] = {}
    try:
        found["text"] = part.decode()
    except UnicodeDecodeError as error:
        # What was cut in the middle of a character is still text.
        if len(part) < size and error.start >= len(part) - 3 and error.reason == "unexpected end of data":
            found["text"] = part[: error.start].decode()
        else:
            found["base64"] = base64.b64encode(part).decode("ascii")
    return {**found, "size_bytes": size, "is_truncated": len(part) < size}


def name(text: str) -> str:
    """A name that a device gave, cut where it is one that nobody gives in earnest."""
    return text if len(text) <= MAX_NAME_CHARS else f"{text[:MAX_NAME_CHARS]}…"


def properties(item: Properties) -> dict[str, Any]:
    """MQTT 5 properties; where they are long, the beginnings, and `is_truncated`."""
    if item.size_bytes <= PROPERTIES_BYTES:
        return properties_object(item)
    short = Properties(
        payload_format_indicator=item.payload_format_indicator,
        message_expiry_interval=item.message_expiry_interval,
        content_type=item.content_type and item.content_type[:MAX_CHARS],
        response_topic=item.response_topic and item.response_topic[:MAX_CHARS],
        correlation_data=item.correlation_data and item.correlation_data[:MAX_CHARS],
        user_property=tuple((key[:MAX_CHARS], text[:MAX_CHARS]) for key, text in item.user_property[:MAX_PAIRS]),
    )
    return {**properties_object(short), "is_truncated": True}


def record(item: Record, *, most: int = LISTED_BYTES) -> dict[str, Any]:
    """A record of the spool."""
    found = {
        "at": moment(item.received_at_us),
        "client": item.client,
        "topic": item.topic,
        "qos": item.qos,
        "retain": item.retain,
        "payload": payload(item.payload, most=most),
        "seq": item.seq,
    }
    if item.properties is not None:
        found["properties"] = properties(item.properties)
    return found


def sample(item: Sample, *, most: int = LISTED_BYTES) -> dict[str, Any]:
    """A message that was seen."""
    found: dict[str, Any] = {
        "at": moment(item.at_us),
        "client": item.client,
        "topic": item.topic,
        "qos": item.qos,
        "retain": item.retain,
        "payload": payload(item.payload, size_bytes=item.size_bytes, most=most),
    }
    if item.properties is not None:
        found["properties"] = properties(item.properties)
    return found


def retained(item: Message, *, most: int = LISTED_BYTES) -> dict[str, Any]:
    """A retained message; when it came is not known."""
    found: dict[str, Any] = {
        "at": None,
        "client": item.origin,
        "topic": item.topic,
        "qos": item.qos,
        "retain": True,
        "payload": payload(item.payload, most=most),
    }
    if item.properties is not None:
        found["properties"] = properties(item.properties)
    return found


def event(item: Event) -> dict[str, Any]:
    """An event."""
    found: dict[str, Any] = {
        "id": item.id,
        "at": moment(item.at_us),
        "kind": item.kind.value,
        "severity": item.severity.value,
        "text": item.text,
    }
    found |= {
        name: value
        for name, value in (("subject", item.subject), ("state", item.state), ("user", item.user))
        if value is not None
    }
    return found
