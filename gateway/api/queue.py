"""/api/v1/queue: the records that wait in a stream, looked at without taking anything away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Answer, Call, Problem, Route
from gateway.api import schemas as s
from gateway.api.ndjson import line
from gateway.api.parts import Parts
from gateway.api.shapes import record
from gateway.spool.lane import Lane
from gateway.spool.queue import Queue

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


class Kept(Protocol):
    """What is asked: a gateway's spool, or a data folder where no gateway runs."""

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """The streams, by name."""

    @property
    def queue(self) -> Queue:
        """Their records."""


def routes(parts: Parts) -> list[Route]:
    """A page of it, and all of it as a file."""

    async def peek(call: Call) -> dict[str, Any]:
        return await page(parts.spool, call.path["stream"], call.query["from_seq"], call.query["limit"])

    async def export(call: Call) -> Answer:
        return Answer(
            body=lines(parts.spool, call.path["stream"], call.query["from_seq"], call.query["to_seq"]),
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


async def page(kept: Kept, stream: str, from_seq: int | None, limit: int) -> dict[str, Any]:
    """The first records of a stream from a number on. Raises Problem."""
    lane = _lane(kept, stream)
    found = await kept.queue.peek(stream, from_seq, limit)
    next_seq = found[-1].seq + 1 if found else lane.next_seq
    return {
        "stream": stream,
        "first_seq": max(lane.first_seq, lane.released_seq),
        "next_seq": lane.next_seq,
        "records": [record(item) for item in found],
        "next_from_seq": next_seq if next_seq < lane.next_seq else None,
    }


def lines(kept: Kept, stream: str, from_seq: int | None, to_seq: int | None) -> AsyncIterator[bytes]:
    """All records of a stream between two numbers, an object a line, in chunks of whole lines. Raises Problem."""
    return _lines(kept.queue, _lane(kept, stream), from_seq, to_seq)


def _lane(kept: Kept, stream: str) -> Lane:
    if stream not in kept.lanes:
        raise Problem(404, f"There is no stream of that name; there is {', '.join(kept.lanes)}.")
    return kept.lanes[stream]


async def _lines(queue: Queue, lane: Lane, from_seq: int | None, to_seq: int | None) -> AsyncIterator[bytes]:
    beside = {"stream": lane.name, "epoch": lane.epoch}
    chunk = bytearray()
    async for item in queue.export(lane.name, from_seq, to_seq):
        chunk += line(item, beside)
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
