"""GET /api/v1/history: rates, depth and the states of the uplinks over time."""

from __future__ import annotations

from typing import Any, Final

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Call, Route
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.history import SPANS

_SERIES: Final = s.listed(s.maybe(s.NUMBER), "null where nothing was measured: the gateway was not running.")
_STAMP: Final = s.told(s.NUMBER, "Seconds since 1970, UTC.")
_ANSWER: Final = s.thing(
    {
        "span": s.words(*SPANS),
        "step_s": s.COUNT,
        "from": _STAMP,
        "to": _STAMP,
        "at": s.listed(_STAMP, "Where each step begins."),
        "in_per_s": _SERIES,
        "out_per_s": _SERIES,
        "dropped_per_s": _SERIES,
        "records": _SERIES,
        "bytes": _SERIES,
        "raw_bytes_per_s": _SERIES,
        "wire_bytes_per_s": _SERIES,
        "uplinks": s.mapped(
            s.listed(s.thing({"from": _STAMP, "to": s.maybe(_STAMP), "state": s.TEXT, "reason": s.maybe(s.TEXT)})),
            "The states of each uplink, oldest first; `to` is null for that of now.",
        ),
    }
)


def routes(parts: Parts) -> list[Route]:
    """The one route."""

    async def history(call: Call) -> dict[str, Any]:
        parts.chronicle.feed()
        now_s = parts.clock.now_us() / 1e6
        found = parts.chronicle.history.body(call.query["span"], now_s)
        found["uplinks"] = parts.chronicle.segments.body(list(parts.uplinks), found["from"], now_s)
        return found

    span = Parameter(name="span", schema={**s.words(*SPANS), "default": "1h"}, description="How far back.")
    return [
        Route(
            method="GET",
            path="/api/v1/history",
            handler=history,
            is_live=True,
            operation=Operation(summary="What flowed, over time", tag="overview", query=(span,), answer=_ANSWER),
        )
    ]
