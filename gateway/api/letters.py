"""What is said of dead letters, and what became of what was done to them: the bodies of `gateway.api.dead_letters`.

They ask nothing of a running gateway, so that `fieldgate dlq` says the same of a data folder where none runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from bridge.errors import BlockError
from bridge.web.errors import Problem
from gateway.api.ndjson import line
from gateway.api.shapes import ALONE_BYTES, LISTED_BYTES, moment, record
from gateway.spool.dead_letters import DeadLetters
from gateway.spool.errors import SpoolBusy, SpoolFull
from gateway.spool.letters import DeadLetter, Letters
from gateway.words import counted

MAX_IDS: Final = 1000
FIRST_RECORDS: Final = 100
_CHUNK_BYTES: Final = 64 * 1024


async def listing(letters: Letters, query: Mapping[str, Any]) -> dict[str, Any]:
    """Newest first; `query`: limit, and perhaps before, uplink, stream and reason."""
    limit: int = query["limit"]
    wanted = {name: query.get(name) for name in ("before", "uplink", "stream", "reason")}
    found = await letters.list(limit=limit + 1, **wanted)
    page = found[:limit]
    return {
        "total": letters.letters,
        "records": letters.records,
        "dead_letters": [_letter(letter) for letter in page],
        "next_before": page[-1].id if len(found) > limit else None,
    }


async def one(letters: Letters, number: int) -> dict[str, Any]:
    """One letter and its first records. Raises Problem."""
    letter = await letters.one(number) if number else None
    if letter is None:
        raise Problem(404, "There is no dead letter with this id; maybe it was replayed or discarded.")
    try:
        records = await letters.read(letter.id, FIRST_RECORDS)
    except BlockError:
        records = ()
    most = ALONE_BYTES if len(records) == 1 else LISTED_BYTES
    return {
        **_letter(letter),
        "records": [record(item, most=most) for item in records],
        "is_complete": len(records) == letter.count,
    }


async def which(letters: Letters, body: Mapping[str, Any]) -> tuple[Sequence[int], str]:
    """The ids of those that are meant, and how they are called in the audit log. Raises Problem."""
    wanted = {name: body[name] for name in ("uplink", "stream", "reason") if name in body}
    if ("ids" in body) == bool(body.get("all", False)) or ("ids" in body and wanted):
        raise Problem(400, "Say which: `ids`, or `all` as true, with stream, uplink or reason to narrow it down.")
    if "ids" in body:
        named = ", ".join(map(str, body["ids"][:10])) + (" and more" if len(body["ids"]) > 10 else "")
        return list(body["ids"]), named
    return await letters.find(**wanted), ", ".join(f"{name} {value}" for name, value in wanted.items()) or "all"


async def replay(letters: DeadLetters, ids: Sequence[int], to: str | None) -> dict[str, Any]:
    """Have them delivered after all; what became of it."""
    replayed = await letters.replay(ids, to)
    message = "Nothing was replayed."
    if replayed.letters:
        wait = "waits" if replayed.records == 1 else "wait"
        message = f"{counted(replayed.records, 'record')} of {counted(replayed.letters, 'dead letter')} {wait} for "
        message += f"delivery again{'' if to is None else f' through uplink {to}'}."
    if replayed.refused:
        message += f" {counted(len(replayed.refused), 'dead letter')} stayed: {replayed.refused[0].message}"
    return {
        "letters": replayed.letters,
        "records": replayed.records,
        "refused": [{"id": item.id, "message": item.message} for item in replayed.refused[:MAX_IDS]],
        "message": message,
    }


async def discard(letters: DeadLetters, ids: Sequence[int]) -> dict[str, Any]:
    """Give them up; what became of it. Raises Problem."""
    before = letters.records
    try:
        number = await letters.discard(ids)
    except (SpoolFull, SpoolBusy) as error:
        raise Problem(507, f"{error} Nothing more was discarded.") from error
    records = max(0, before - letters.records)
    return {
        "letters": number,
        "records": records,
        "message": f"{counted(number, 'dead letter')} with {counted(records, 'record')} discarded for good.",
    }


async def lines(letters: Letters, ids: Sequence[int] | None) -> AsyncIterator[bytes]:
    """The records of these letters (None: of all), an object a line, in chunks of whole lines."""
    chunk = bytearray()
    async for letter, item in letters.export(ids):
        beside = {"id": letter.id, "reason": letter.reason, "uplink": letter.uplink}
        chunk += line(item, {**beside, "stream": letter.stream, "epoch": letter.epoch})
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


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
