"""What the receiver's routes say of themselves (`bridge.web.operation`): made into its OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from bridge.web.operation import Operation, Parameter

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_NUMBER: Final = {"type": "number", "minimum": 0}
_ID: Final = {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}


def _object(*, also: bool = False, **properties: Any) -> dict[str, Any]:
    """An object with all of these properties, and no others unless `also`."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": also,
    }


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_RANGE: Final = _object(first_seq=_COUNT, count=_COUNT)
_GAP: Final = _object(first_seq=_COUNT, count=_COUNT, reason=_TEXT)
_STREAM: Final = _object(
    stream=_TEXT,
    epoch=_TEXT,
    is_current={"type": ["boolean", "null"]},
    next_seq=_COUNT,
    records=_COUNT,
    duplicates=_COUNT,
    gaps=_list(_GAP),
    holes=_list(_RANGE),
)
_GATEWAY: Final = _object(
    gateway=_TEXT,
    last_frame_at=_MAYBE_TEXT,
    last_frame_ago_s={"type": ["number", "null"]},
    frames=_COUNT,
    records=_COUNT,
    per_s=_NUMBER,
    lag_s={"type": ["number", "null"]},
    duplicates=_COUNT,
    missing=_COUNT,
    streams_total=_COUNT,
    streams=_list(_STREAM),
)
_SINK: Final = _object(
    name=_TEXT,
    state=_TEXT,
    records=_COUNT,
    lag_s=_NUMBER,
    lag_records=_COUNT,
    errors=_COUNT,
    refused=_COUNT,
    last_error=_MAYBE_TEXT,
    last_write_at=_MAYBE_TEXT,
    per_s=_NUMBER,
)
_LINK: Final = _object(
    url=_TEXT,
    state=_TEXT,
    since=_TEXT,
    connections=_COUNT,
    sessions_lost=_COUNT,
    dropped=_COUNT,
    last_error=_MAYBE_TEXT,
)
_ASIDE: Final = _object(
    also=True,
    id=_ID,
    at=_TEXT,
    reason=_TEXT,
    explanation=_TEXT,
    topic=_TEXT,
    size_bytes=_COUNT,
    is_kept={"type": "boolean"},
)
_VERDICT: Final = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": _TEXT, "problems": _list(_TEXT)},
}

SCHEMAS: Final = {"SetAside": _ASIDE, "Gateway": _GATEWAY, "Sink": _SINK}

HEALTH: Final = Operation(
    summary="Whether the state file can be read",
    tag="health",
    answer=_VERDICT,
    statuses={503: "It can't be read."},
    bodies={503: _VERDICT},
)
READINESS: Final = Operation(
    summary="Whether the link and all sinks are up",
    tag="health",
    answer=_VERDICT,
    statuses={503: "One of them is not."},
    bodies={503: _VERDICT},
)
METRICS: Final = Operation(summary="The status as Prometheus reads it", tag="health", answer_type="text/plain")
STATUS: Final = Operation(summary="Everything that is known", tag="receiver", answer={"type": "object"})
RECEIVER: Final = Operation(
    summary="Gateways, streams and sinks, with rates",
    tag="receiver",
    answer=_object(
        link=_LINK,
        records_per_s=_NUMBER,
        frames=_COUNT,
        records=_COUNT,
        duplicates=_COUNT,
        missing=_COUNT,
        dropped=_COUNT,
        gateways_total=_COUNT,
        gateways=_list({"$ref": "#/components/schemas/Gateway"}),
        sinks=_list({"$ref": "#/components/schemas/Sink"}),
        set_aside=_COUNT,
    ),
)
LIST: Final = Operation(
    summary="What was set aside, newest first",
    description="Frames that could not be decoded, and records that a sink refused.",
    tag="set aside",
    query=(
        Parameter(
            name="before", schema=_ID, description="Only those below this id: the `next_before` of the page before."
        ),
        Parameter(name="limit", schema={"type": "integer", "minimum": 1, "maximum": 500, "default": 50}),
    ),
    answer=_object(
        total=_COUNT,
        frames=_list({"$ref": "#/components/schemas/SetAside"}),
        next_before={"type": ["integer", "null"]},
    ),
)
SHOW: Final = Operation(
    summary="One that was set aside, with its first 256 bytes in hex",
    tag="set aside",
    path={"id": "Its number."},
    answer={
        "allOf": [
            {"$ref": "#/components/schemas/SetAside"},
            {"type": "object", "required": ["head"], "properties": {"head": _TEXT}},
        ]
    },
    statuses={404: "There is nothing under this number."},
)
EXPORT: Final = Operation(
    summary="What came, byte for byte",
    tag="set aside",
    path={"id": "Its number."},
    answer_type="application/octet-stream",
    statuses={404: "There is nothing under this number.", 409: "There was no room for its bytes."},
)
DISCARD: Final = Operation(
    summary="Discard what was set aside",
    description="Either some, by their ids, or all.",
    tag="set aside",
    body={
        "type": "object",
        "additionalProperties": False,
        "properties": {"ids": {**_list(_ID), "minItems": 1, "maxItems": 1000}, "all": {"type": "boolean"}},
    },
    answer=_object(frames=_COUNT, message=_TEXT),
)
