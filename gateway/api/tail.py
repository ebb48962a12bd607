"""GET /api/v1/tail: records as they are committed, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Call, EventStream, Problem, Route
from gateway.api.parts import Parts
from gateway.api.shapes import sample
from gateway.mqtt.errors import TopicFilterInvalid

MAX_FILTERS: Final = 20
_AT_ONCE: Final = 100


def routes(parts: Parts) -> list[Route]:
    """The one route."""

    async def tail(call: Call) -> EventStream:
        filters: list[str] = call.query["filter"] or ["#"]
        if len(filters) > MAX_FILTERS:
            raise Problem(400, f"At most {MAX_FILTERS} filters can be followed at a time.")
        try:
            # Only to see whether they are right: the real one begins when somebody reads, and ends with him.
            parts.broker.watch(filters).close()
        except TopicFilterInvalid as error:
            raise Problem(400, f"The filter is wrong: {error}") from error
        return EventStream(events=_events(parts, filters, with_retained=call.query["retained"]))

    return [
        Route(
            method="GET",
            path="/api/v1/tail",
            handler=tail,
            operation=Operation(
                summary="Records as they come",
                description=(
                    "Events: `began` with `filters`, when everything that comes from now on is seen; `record` with a "
                    "record; `lost` with `count`: how many more there were than could be shown. What the caller can't "
                    "keep up with is counted, never queued without bound."
                ),
                tag="topics",
                query=(
                    Parameter(
                        name="filter",
                        schema={"type": "string", "minLength": 1, "maxLength": 65535},
                        description="A topic filter; may come again. Without one: everything.",
                        is_list=True,
                    ),
                    Parameter(
                        name="retained",
                        schema={"type": "boolean", "default": False},
                        description="Begin with what is retained.",
                    ),
                ),
                answer_type="text/event-stream",
            ),
        )
    ]


async def _events(parts: Parts, filters: Sequence[str], *, with_retained: bool) -> AsyncIterator[tuple[str, Any]]:
    watch = parts.broker.watch(filters, with_retained=with_retained)
    told = 0
    try:
        yield "began", {"filters": list(filters)}
        while await watch.wait():
            for item in watch.take(_AT_ONCE):
                yield "record", sample(item)
            if watch.lost > told:
                count, told = watch.lost - told, watch.lost
                yield "lost", {"count": count}
    finally:
        watch.close()
