"""What many of the gateway's endpoints say of their bodies, beside the words for it (`bridge.web.schemas`). Pure."""

from __future__ import annotations

from bridge.web.schemas import (
    COUNT,
    COUNTS,
    EMPTY,
    FLAG,
    NUMBER,
    SECONDS,
    TEXT,
    TIME,
    Part,
    limit,
    listed,
    mapped,
    maybe,
    ref,
    thing,
    told,
    words,
)

__all__ = [
    "COMPONENTS",
    "COUNT",
    "COUNTS",
    "EMPTY",
    "EVENT",
    "FLAG",
    "ID",
    "NAME",
    "NUMBER",
    "PAYLOAD",
    "RECORD",
    "SECONDS",
    "TEXT",
    "TIME",
    "UPLINK_STATE",
    "Part",
    "limit",
    "listed",
    "mapped",
    "maybe",
    "ref",
    "thing",
    "told",
    "words",
]

PAYLOAD = ref("Payload")
RECORD = ref("Record")
EVENT = ref("Event")

_PAYLOAD = thing({"text": TEXT, "base64": TEXT, "size_bytes": COUNT, "is_truncated": FLAG}, optional=("text", "base64"))
_RECORD = thing(
    {
        "at": maybe(TIME),
        "client": TEXT,
        "topic": TEXT,
        "qos": {"type": "integer", "minimum": 0, "maximum": 2},
        "retain": FLAG,
        "payload": PAYLOAD,
        "seq": COUNT,
        "properties": {"type": "object"},
    },
    optional=("seq", "properties"),
)
_EVENT = thing(
    {
        "id": COUNT,
        "at": TIME,
        "kind": words("uplink", "spool", "gateway", "device", "configuration", "audit"),
        "severity": words("info", "warning", "error"),
        "text": TEXT,
        "subject": TEXT,
        "state": TEXT,
        "user": TEXT,
    },
    optional=("subject", "state", "user"),
)
COMPONENTS: dict[str, Part] = {"Payload": _PAYLOAD, "Record": _RECORD, "Event": _EVENT}
"""What many bodies have, under `#/components/schemas`."""

ID: Part = {"type": "integer", "minimum": 1, "maximum": 2**53}
NAME: Part = {"type": "string", "minLength": 1, "maxLength": 200}
UPLINK_STATE = words("connecting", "online", "backing_off", "paused", "stopped")
