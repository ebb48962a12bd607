"""/api/v1/dead-letters: what could not be delivered, and what becomes of it."""

from __future__ import annotations

from typing import Any, Final

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Answer, Call, Route
from gateway.api import letters
from gateway.api import schemas as s
from gateway.api.letters import FIRST_RECORDS, MAX_IDS
from gateway.api.parts import Parts

_WORD: Final = {"type": "string", "minLength": 1, "maxLength": 200}

_LETTER_PARTS: Final = {
    "id": s.COUNT,
    "at": s.TIME,
    "uplink": s.maybe(s.TEXT),
    "stream": s.TEXT,
    "epoch": s.TEXT,
    "first_seq": s.COUNT,
    "count": s.COUNT,
    "reason": s.TEXT,
    "explanation": s.TEXT,
    "size_bytes": s.COUNT,
    "topics": s.listed(s.TEXT, "The first three."),
}
_LIST: Final = s.thing(
    {
        "total": s.told(s.COUNT, "Letters, whatever was asked for."),
        "records": s.told(s.COUNT, "Records in all of them."),
        "dead_letters": s.listed(s.thing(dict(_LETTER_PARTS)), "Newest first."),
        "next_before": s.maybe(s.COUNT),
    }
)
_ONE: Final = s.thing(
    {
        **_LETTER_PARTS,
        "records": s.listed(s.RECORD, f"The first {FIRST_RECORDS}."),
        "is_complete": s.told(s.FLAG, "Whether these are all of them, and could be read."),
    }
)
_WHICH_PARTS: Final = {
    "ids": {**s.listed(s.ID), "minItems": 1, "maxItems": MAX_IDS},
    "all": s.told(s.FLAG, "All of them, or those that stream, uplink and reason describe."),
    "stream": _WORD,
    "uplink": _WORD,
    "reason": _WORD,
}
_WHICH: Final = s.thing(dict(_WHICH_PARTS), optional=tuple(_WHICH_PARTS))
_REPLAY: Final = s.thing(
    {
        **_WHICH_PARTS,
        "to": s.told(
            _WORD,
            "The uplink that is to deliver them, where their own is not there any more. Left out: each by its own.",
        ),
    },
    optional=(*_WHICH_PARTS, "to"),
)
_FILTERS: Final = tuple(Parameter(name=name, schema=_WORD) for name in ("uplink", "stream", "reason"))
_FULL: Final = {
    400: "Neither `ids` nor `all`, or both.",
    507: "There is no room on the disk for what has to be written.",
}


def routes(parts: Parts) -> list[Route]:
    """List, look, replay, discard, export."""
    kept = parts.spool.dead_letters

    async def listing(call: Call) -> dict[str, Any]:
        return await letters.listing(kept, call.query)

    async def one(call: Call) -> dict[str, Any]:
        text = call.path["id"]
        return await letters.one(kept, int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else 0)

    async def replay(call: Call) -> dict[str, Any]:
        ids, call.target = await letters.which(kept, call.body)
        to = call.body.get("to")
        if to is not None:
            call.target += f" through uplink {to}"
        return await letters.replay(kept, ids, to)

    async def discard(call: Call) -> dict[str, Any]:
        ids, call.target = await letters.which(kept, call.body)
        return await letters.discard(kept, ids)

    async def export(call: Call) -> Answer:
        return Answer(
            body=letters.lines(kept, call.query["id"] or None),
            content_type="application/x-ndjson",
            headers={"Content-Disposition": 'attachment; filename="dead-letters.ndjson"'},
        )

    refused = s.listed(s.thing({"id": s.COUNT, "message": s.TEXT}), f"The first {MAX_IDS} of those that stayed.")
    counts = {"letters": s.COUNT, "records": s.COUNT}
    return [
        Route(
            method="GET",
            path="/api/v1/dead-letters",
            handler=listing,
            is_live=True,
            operation=Operation(
                summary="What could not be delivered",
                tag="dead letters",
                query=(
                    Parameter(name="before", schema=s.ID, description="Only older ones than the letter with this id."),
                    Parameter(name="limit", schema=s.limit(500, 50)),
                    *_FILTERS,
                ),
                answer=_LIST,
            ),
        ),
        Route(
            method="GET",
            path="/api/v1/dead-letters/export",
            handler=export,
            operation=Operation(
                summary="The records of dead letters, one JSON object a line",
                tag="dead letters",
                query=(Parameter(name="id", schema=s.ID, description="May come again; none: all.", is_list=True),),
                answer_type="application/x-ndjson",
            ),
        ),
        Route(
            method="GET",
            path="/api/v1/dead-letters/{id}",
            handler=one,
            operation=Operation(
                summary="One dead letter",
                tag="dead letters",
                path={"id": "Its id."},
                answer=_ONE,
                statuses={404: "There is no such dead letter."},
            ),
        ),
        Route(
            method="POST",
            path="/api/v1/dead-letters/replay",
            handler=replay,
            role="operator",
            audit="replay dead letters",
            operation=Operation(
                summary="Have the records delivered after all, as new ones",
                description=(
                    "A letter that can't go back stays: `refused` has it, with the reason. One whose uplink does not "
                    "carry its stream any more needs another one, `to`."
                ),
                tag="dead letters",
                body=_REPLAY,
                answer=s.thing({**counts, "refused": refused, "message": s.TEXT}),
                statuses=_FULL,
            ),
        ),
        Route(
            method="POST",
            path="/api/v1/dead-letters/discard",
            handler=discard,
            role="operator",
            audit="discard dead letters",
            operation=Operation(
                summary="Give the records up",
                tag="dead letters",
                body=_WHICH,
                answer=s.thing({**counts, "message": s.TEXT}),
                statuses=_FULL,
            ),
        ),
    ]
