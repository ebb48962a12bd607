"""/api/v1/streams and /api/v1/uplinks: what waits, what is on its way, and what can be done about it."""

from __future__ import annotations

from typing import Any, Final

from bridge.uplink import Uplink
from bridge.web.operation import Operation
from bridge.web.routes import Call, Problem, Route
from config.settings import Stream
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.api.shapes import moment, rounded
from gateway.forecast import drained_in_s
from gateway.spool.errors import SpoolBusy, SpoolFull
from gateway.spool.lane import Lane

MAX_IN_FLIGHT: Final = 50
NOT_WRITTEN: Final = "and over a restart as soon as that can be written to the disk, which can't be now"

_STREAM: Final = s.thing(
    {
        "name": s.TEXT,
        "topics": s.listed(s.TEXT, "Empty for a stream that the settings no longer name."),
        "records": s.COUNT,
        "bytes": s.COUNT,
        "oldest_age_s": s.maybe(s.SECONDS),
        "in_per_s": s.NUMBER,
        "out_per_s": s.NUMBER,
        "accepted": s.COUNT,
        "dropped": s.COUNTS,
        "time_to_live_s": s.maybe(s.SECONDS),
        "first_seq": s.COUNT,
        "next_seq": s.COUNT,
        "drained_in_s": s.maybe(s.SECONDS),
        "uplinks": s.mapped(s.thing({"records": s.COUNT, "is_carried": s.FLAG}), "What waits for each uplink."),
    }
)
_IN_FLIGHT: Final = s.thing(
    {
        "stream": s.TEXT,
        "first_seq": s.COUNT,
        "records": s.COUNT,
        "size_bytes": s.COUNT,
        "attempt": s.COUNT,
        "sent_ago_s": s.SECONDS,
    }
)
_UPLINK: Final = s.thing(
    {
        "name": s.TEXT,
        "url": s.TEXT,
        "state": s.UPLINK_STATE,
        "since": s.TIME,
        "last_error": s.maybe(s.TEXT),
        "is_paused": s.FLAG,
        "paused_by": s.maybe(s.TEXT),
        "next_try_in_s": s.maybe(s.SECONDS),
        "window": s.COUNT,
        "in_flight": s.listed(_IN_FLIGHT, f"The oldest {MAX_IN_FLIGHT}."),
        "in_flight_total": s.COUNT,
        "retries": s.COUNT,
        "frames": s.COUNT,
        "records": s.COUNT,
        "raw_bytes": s.COUNT,
        "wire_bytes": s.COUNT,
        "dead_letters": s.COUNT,
        "streams": s.listed(s.TEXT),
    }
)
_ANSWER: Final = s.thing(
    {
        "streams": s.listed(_STREAM),
        "spool": s.thing(
            {
                "size_bytes": s.COUNT,
                "limit_bytes": s.COUNT,
                "when_full": s.words("drop_oldest", "reject"),
                "is_refusing": s.FLAG,
                "full_in_s": s.maybe(s.SECONDS),
                "disk_free_bytes": s.maybe(s.COUNT),
            }
        ),
        "uplinks": s.listed(_UPLINK),
    }
)
_ACTED: Final = s.thing({"name": s.TEXT, "state": s.UPLINK_STATE, "is_paused": s.FLAG, "message": s.TEXT})


def routes(parts: Parts) -> list[Route]:
    """What waits, and the three actions on an uplink."""

    async def streams(_call: Call) -> dict[str, Any]:
        return body(parts)

    async def pause(call: Call) -> dict[str, Any]:
        uplink = _uplink_of(parts, call)
        if uplink.is_paused:
            raise Problem(409, f"Uplink {call.path['name']} is paused already, by {uplink.paused_by}.")
        by = call.user or "somebody"
        parts.notes.paused(call.path["name"], by)
        uplink.pause(by)
        how = "over restarts too" if await _is_written(parts) else NOT_WRITTEN
        return _acted(call, uplink, f"is paused, {how}, until somebody resumes it. What comes is kept.")

    async def resume(call: Call) -> dict[str, Any]:
        uplink = _uplink_of(parts, call)
        if not uplink.is_paused:
            raise Problem(409, f"Uplink {call.path['name']} is not paused.")
        parts.notes.resumed(call.path["name"])
        uplink.resume()
        return _acted(call, uplink, "goes on." if await _is_written(parts) else f"goes on, {NOT_WRITTEN}.")

    async def drain(call: Call) -> dict[str, Any]:
        uplink = _uplink_of(parts, call)
        if not uplink.drain():
            raise Problem(409, f"Uplink {call.path['name']} is {uplink.status.state}: resume it first.")
        return _acted(call, uplink, "connects now if it has no link, and sends what waits without waiting for more.")

    statuses = {404: "There is no such uplink.", 409: "It is so already, or not possible now."}
    actions = (
        ("pause", pause, "Close the connection and keep it closed, over restarts too", "pause the uplink"),
        ("resume", resume, "Go on after a pause", "resume the uplink"),
        ("drain", drain, "Connect at once, and send what waits without lingering", "drain the uplink"),
    )
    return [
        Route(
            method="GET",
            path="/api/v1/streams",
            handler=streams,
            is_live=True,
            operation=Operation(summary="What waits, and what is on its way", tag="streams", answer=_ANSWER),
        ),
        *(
            Route(
                method="POST",
                path=f"/api/v1/uplinks/{{name}}/{verb}",
                handler=handler,
                role="operator",
                audit=audit,
                operation=Operation(
                    summary=summary,
                    tag="streams",
                    path={"name": "The uplink's name."},
                    body=s.EMPTY,
                    answer=_ACTED,
                    statuses=statuses,
                ),
            )
            for verb, handler, summary, audit in actions
        ),
    ]


def body(parts: Parts) -> dict[str, Any]:
    """Streams, spool and uplinks, from memory."""
    overview = parts.overview
    figures = overview.figures()
    room = overview.room()
    settings = {stream.name: stream for stream in overview.settings.streams}
    return {
        "streams": [_stream(parts, lane, settings.get(lane.name)) for lane in parts.spool.lanes.values()],
        "spool": {
            "size_bytes": room.size_bytes,
            "limit_bytes": overview.settings.spool.max_size_bytes,
            "when_full": figures.when_full,
            "is_refusing": figures.is_refusing,
            "full_in_s": rounded(figures.full_in_s, 0),
            "disk_free_bytes": room.disk_free_bytes,
        },
        "uplinks": [_uplink(parts, name, uplink) for name, uplink in parts.uplinks.items()],
    }


def _stream(parts: Parts, lane: Lane, settings: Stream | None) -> dict[str, Any]:
    now_s = parts.clock.monotonic_s()
    status = parts.overview.stream(lane)
    meters = parts.overview.meters.streams.get(lane.name)
    into, out, _, _ = parts.overview.meters.forecast_rates(now_s, lane.name)
    drained_s = drained_in_s(records=status.records, in_per_s=into, out_per_s=out)
    return {
        "name": lane.name,
        "topics": [] if settings is None else list(settings.topics),
        "records": status.records,
        "bytes": status.bytes,
        "oldest_age_s": rounded(status.oldest_age_s),
        "in_per_s": 0.0 if meters is None else round(meters.into.per_second(now_s), 1),
        "out_per_s": 0.0 if meters is None else round(meters.out.per_second(now_s), 1),
        "accepted": status.accepted,
        "dropped": status.all_dropped,
        "time_to_live_s": lane.time_to_live_s,
        "first_seq": status.first_seq,
        "next_seq": status.next_seq,
        "drained_in_s": rounded(drained_s),
        "uplinks": {
            name: {
                "records": parts.overview.waiting_for(name, lane),
                "is_carried": name in lane.watermarks,
            }
            for name in parts.uplinks
        },
    }


def _uplink(parts: Parts, name: str, uplink: Uplink) -> dict[str, Any]:
    status = uplink.status
    in_flight = uplink.in_flight()
    settings = parts.overview.uplink_settings(name)
    return {
        "name": name,
        "url": str(settings.url),
        "state": status.state,
        "since": moment(int(parts.overview.since_s(name) * 1e6)),
        "last_error": status.last_error,
        "is_paused": uplink.is_paused,
        "paused_by": uplink.paused_by,
        "next_try_in_s": rounded(uplink.next_try_in_s),
        "window": settings.window,
        "in_flight": [
            {
                "stream": frame.stream,
                "first_seq": frame.first_seq,
                "records": frame.records,
                "size_bytes": frame.size_bytes,
                "attempt": frame.attempt,
                "sent_ago_s": max(0.0, round(frame.sent_ago_s, 1)),
            }
            for frame in in_flight[:MAX_IN_FLIGHT]
        ],
        "in_flight_total": len(in_flight),
        "retries": status.retries,
        "frames": status.frames,
        "records": status.records,
        "raw_bytes": status.raw_bytes,
        "wire_bytes": status.wire_bytes,
        "dead_letters": status.dead_letters,
        "streams": [lane.name for lane in parts.spool.lanes.values() if name in lane.watermarks],
    }


def _uplink_of(parts: Parts, call: Call) -> Uplink:
    name = call.path["name"]
    uplink = parts.uplinks.get(name)
    if uplink is None:
        have = ", ".join(parts.uplinks) or "none"
        raise Problem(404, f"There is no uplink of that name; there is {have}.")
    return uplink


async def _is_written(parts: Parts) -> bool:
    """Whether what an operator decided is on disk: after a power cut it holds, or he was told that it may not."""
    try:
        await parts.spool.written()
    except (SpoolFull, SpoolBusy):
        return False
    return True


def _acted(call: Call, uplink: Uplink, what: str) -> dict[str, Any]:
    name = call.path["name"]
    return {
        "name": name,
        "state": uplink.status.state,
        "is_paused": uplink.is_paused,
        "message": f"Uplink {name} {what}",
    }
