"""GET /api/v1/events: what happened, and who did what."""

from __future__ import annotations

from typing import Any, Final

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Call, Route
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.api.shapes import event
from gateway.events import Kind, Severity

_ANSWER: Final = s.thing({"events": s.listed(s.EVENT, "Newest first."), "next_before": s.maybe(s.COUNT)})
_QUERY: Final = (
    Parameter(name="kind", schema=s.words(*Kind), description="Only of this kind."),
    Parameter(name="severity", schema=s.words(*Severity), description="Only of this severity."),
    Parameter(name="before", schema=s.ID, description="Only older ones than the event with this id."),
    Parameter(name="limit", schema=s.limit(500, 50)),
)


def routes(parts: Parts) -> list[Route]:
    """The one route."""

    async def events(call: Call) -> dict[str, Any]:
        query = call.query
        limit: int = query["limit"]
        found = parts.chronicle.events.newest(
            limit + 1,
            kinds=tuple(Kind) if query["kind"] is None else (Kind(query["kind"]),),
            severities=tuple(Severity) if query["severity"] is None else (Severity(query["severity"]),),
            before=query["before"],
        )
        page = found[:limit]
        return {"events": [event(item) for item in page], "next_before": page[-1].id if len(found) > limit else None}

    return [
        Route(
            method="GET",
            path="/api/v1/events",
            handler=events,
            operation=Operation(summary="What happened", tag="overview", query=_QUERY, answer=_ANSWER),
        )
    ]
