"""/api/v1/dead-letters: what could not be delivered, and what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from bridge.errors import BlockError
from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Answer, Call, Problem, Route
from gateway.api import schemas as s
from gateway.api.ndjson import line
from gateway.api.parts import Parts
from gateway.api.shapes import ALONE_BYTES, LISTED_BYTES, moment, record
from gateway.spool.dead_letters import DeadLetter
from gateway.spool.errors import SpoolBusy, SpoolFull
from gateway.words import counted

MAX_IDS: Final = 1000
FIRST_RECORDS: Final = 100
_CHUNK_BYTES: Final = 64 * 1024
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
_WHICH: Final = s.thing(
    {
        "ids": {**s.listed(s.ID), "minItems": 1, "maxItems": MAX_IDS},
        "all": s.told(s.FLAG, "All of them, or those that stream, uplink and reason describe."),
        "stream": _WORD,
        "uplink": _WORD,
        "reason": _WORD,
    },
    optional=("ids", "all", "stream", "uplink", "reason"),
)
_FILTERS: Final = tuple(Parameter(name=name, schema=_WORD) for name in ("uplink", "stream", "reason"))
_FULL: Final = {
    400: "Neither `ids` nor `all`, or both.",
    507: "There is no room on the disk for what has to be written.",
}


def routes(parts: Parts) -> list[Route]:
    """List, look, replay, discard, export."""

    async def listing(call: Call) -> dict[str, Any]:
        query = call.query
        limit: int = query["limit"]
        found = await parts.spool.dead_letters.list(
            query["before"], limit + 1, query["uplink"], query["stream"], query["reason"]
        )
        page = found[:limit]
        return {
            "total": parts.spool.dead_letters.letters,
            "records": parts.spool.dead_letters.records,
            "dead_letters": [_letter(letter) for letter in page],
            "next_before": page[-1].id if len(found) > limit else None,
        }

    async def one(call: Call) -> dict[str, Any]:
        letter = await _letter_of(parts, call)
        try:
            records = await parts.spool.dead_letters.read(letter.id, FIRST_RECORDS)
        except BlockError:
            records = ()
        most = ALONE_BYTES if len(records) == 1 else LISTED_BYTES
        return {
            **_letter(letter),
            "records": [record(item, most=most) for item in records],
            "is_complete": len(records) == letter.count,
        }

    async def replay(call: Call) -> dict[str, Any]:
        replayed = await parts.spool.dead_letters.replay(await _ids(parts, call))
        message = f"{counted(replayed.records, 'record')} of {counted(replayed.letters, 'dead letter')} wait for "
        message += "delivery again."
        if replayed.refused:
            message += f" {counted(len(replayed.refused), 'dead letter')} stayed: {replayed.refused[0].message}"
        return {
            "letters": replayed.letters,
            "records": replayed.records,
            "refused": [{"id": item.id, "message": item.message} for item in replayed.refused[:MAX_IDS]],
            "message": message,
        }

    async def discard(call: Call) -> dict[str, Any]:
        ids = await _ids(parts, call)
        before = parts.spool.dead_letters.records
        try:
            letters = await parts.spool.dead_letters.discard(ids)
        except (SpoolFull, SpoolBusy) as error:
            raise Problem(507, f"{error} Nothing more was discarded.") from error
        records = max(0, before - parts.spool.dead_letters.records)
        return {
            "letters": letters,
            "records": records,
            "message": f"{counted(letters, 'dead letter')} with {counted(records, 'record')} discarded for good.",
        }

    async def export(call: Call) -> Answer:
        return Answer(
            body=_lines(parts, call.query["id"] or None),
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
                tag="dead letters",
                body=_WHICH,
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


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "at": moment(letter.at_us),
        "uplink": letter.uplink,
        "stream": letter.stream,
        "epoch": letter.epoch,
        "first_seq": letter.first_seq,
        "count": letter.count,
        "reason": letter.reason,
        "explanation": letter.explanation,
        "size_bytes": letter.size_bytes,
        "topics": list(letter.topics),
    }


async def _letter_of(parts: Parts, call: Call) -> DeadLetter:
    text = call.path["id"]
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else 0
    letter = await parts.spool.dead_letters.one(number) if number else None
    if letter is None:
        raise Problem(404, "There is no dead letter with this id; maybe it was replayed or discarded.")
    return letter


async def _ids(parts: Parts, call: Call) -> Sequence[int]:
    """Which are meant; names them for the audit log."""
    body = call.body
    wanted = {name: body[name] for name in ("uplink", "stream", "reason") if name in body}
    if ("ids" in body) == bool(body.get("all", False)) or ("ids" in body and wanted):
        raise Problem(400, "Say which: `ids`, or `all` as true, with stream, uplink or reason to narrow it down.")
    if "ids" in body:
        call.target = ", ".join(map(str, body["ids"][:10])) + (" and more" if len(body["ids"]) > 10 else "")
        return list(body["ids"])
    call.target = ", ".join(f"{name} {value}" for name, value in wanted.items()) or "all"
    return await parts.spool.dead_letters.find(**wanted)


async def _lines(parts: Parts, ids: Sequence[int] | None) -> AsyncIterator[bytes]:
    chunk = bytearray()
    async for letter, item in parts.spool.dead_letters.export(ids):
        beside = {"id": letter.id, "reason": letter.reason, "uplink": letter.uplink}
        chunk += line(item, {**beside, "stream": letter.stream, "epoch": letter.epoch})
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
