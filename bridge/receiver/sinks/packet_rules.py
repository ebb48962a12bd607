"""What of a record no MQTT packet can say, and what a broker may close the connection for. Pure.

Gateways take nothing else from devices than what packets can say; frames of another hand may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bridge.record import Record

_MAX_FIELD_BYTES: Final = 65_535
_DISPUTED: Final = re.compile(
    "[\x01-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "]"
)
"""Control characters and noncharacters: a server may call the packet malformed (MQTT 5 §1.5.4); Mosquitto does."""


def impossible(record: Record) -> str | None:
    """Why no packet can carry the record, as the end of a sentence; None when one can."""
    if not record.topic or "+" in record.topic or "#" in record.topic:
        return "its topic is no topic name"
    if any("\0" in text for text in _texts(record)):
        return "a text in it holds the character U+0000"
    properties = record.properties
    fields = [len(text.encode()) for text in _texts(record)]
    if properties is not None:
        fields.append(len(properties.correlation_data or b""))
        if properties.payload_format_indicator not in {None, 0, 1}:
            return f"its payload format indicator is {properties.payload_format_indicator}"
    if max(fields) > _MAX_FIELD_BYTES:
        return f"a field of {max(fields)} bytes is longer than a packet can say"
    return None


def is_disputed(record: Record) -> bool:
    """Whether a broker may close the connection over a character in the record's texts."""
    return any(_DISPUTED.search(text) for text in _texts(record))


def _texts(record: Record) -> Iterator[str]:
    yield record.topic
    properties = record.properties
    if properties is not None:
        yield properties.content_type or ""
        yield properties.response_topic or ""
        for pair in properties.user_property:
            yield from pair
