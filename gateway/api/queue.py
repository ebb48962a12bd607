"""/api/v1/queue: the records that wait in a stream, looked at without taking anything away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Answer, Call, Problem, Route
from gateway.api import schemas as s
from gateway.api.ndjson import line
from gateway.api.parts import Parts
from gateway.api.shapes import record

_CHUNK_BYTES: Final = 64 * 1024

_ANSWER: Final = s.thing(
    {
        "stream": s.TEXT,
        "first_seq": s.COUNT,
        "next_seq": s.COUNT,
        "records": s.listed(s.RECORD),
        "next_from_seq": s.maybe(s.COUNT),
    }
)
_FROM: Final = Parameter(name="from_seq", schema=s.ID, description="Begin at this number; by default the first one.")
_STREAM: Final = {"stream": "The stream's name."}
_UNKNOWN: Final = {404: "There is no such stream."}


def routes(parts: Parts) -> list[Route]:
    """A page of it, and all of it as a file."""

    async def peek(call: Call) -> dict[str, Any]:
        stream = _stream(parts, call)
        found = await parts.spool.queue.peek(stream, call.query["from_seq"], call.query["limit"])
        lane = parts.spool.lanes[stream]
        status = parts.overview.stream(lane)
        next_seq = found[-1].seq + 1 if found else lane.next_seq
        return {
            "stream": stream,
            "first_seq": status.first_seq,
            "next_seq": status.next_seq,
            "records": [record(item) for item in found],
            "next_from_seq": next_seq if next_seq < lane.next_seq else None,
        }

    async def export(call: Call) -> Answer:
        stream = _stream(parts, call)
        return Answer(
            body=_lines(parts, stream, call.query["from_seq"], call.query["to_seq"]),
            content_type="application/x-ndjson",
            headers={"Content-Disposition": 'attachment; filename="queue.ndjson"'},
        )

    return [
        Route(
            method="GET",
            path="/api/v1/queue/{stream}",
            handler=peek,
            operation=Operation(
                summary="Records that are kept, by sequence number",
                tag="streams",
                path=_STREAM,
                query=(_FROM, Parameter(name="limit", schema=s.limit(1000, 100))),
                answer=_ANSWER,
                statuses=_UNKNOWN,
            ),
        ),
        Route(
            method="GET",
            path="/api/v1/queue/{stream}/export",
            handler=export,
            operation=Operation(
                summary="Records that are kept, one JSON object a line",
                tag="streams",
                path=_STREAM,
                query=(_FROM, Parameter(name="to_seq", schema=s.ID, description="Up to and with this number.")),
                answer_type="application/x-ndjson",
                statuses=_UNKNOWN,
            ),
        ),
    ]


def _stream(parts: Parts, call: Call) -> str:
    name = call.path["stream"]
    if name not in parts.spool.lanes:
        raise Problem(404, f"There is no stream of that name; there is {', '.join(parts.spool.lanes)}.")
    return name


async def _lines(parts: Parts, stream: str, from_seq: int | None, to_seq: int | None) -> AsyncIterator[bytes]:
    beside = {"stream": stream, "epoch": parts.spool.lanes[stream].epoch}
    chunk = bytearray()
    async for item in parts.spool.queue.export(stream, from_seq, to_seq):
        chunk += line(item, beside)
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
