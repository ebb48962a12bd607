"""Records out of the spool as JSON, one object a line, whole: what export gives. Pure.

As `bridge.json_lines` writes them, with what is known beside: `payload` as text, or `payload_base64`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from bridge.json_lines import properties_object, rfc3339
from bridge.record import Record


def line(record: Record, beside: Mapping[str, Any]) -> bytes:
    """One line, its line feed included; `beside` stands first."""
    found: dict[str, Any] = {
        **beside,
        "seq": record.seq,
        "received_at": rfc3339(record.received_at_us),
        "client": record.client,
        "topic": record.topic,
        "qos": record.qos,
        "retain": record.retain,
    }
    try:
        found["payload"] = record.payload.decode()
    except UnicodeDecodeError:
        found["payload_base64"] = base64.b64encode(record.payload).decode("ascii")
    if record.properties is not None:
        found["properties"] = properties_object(record.properties)
    return orjson.dumps(found) + b"\n"
