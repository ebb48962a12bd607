"""GET /api/v1/overview: is the data safe, when does it arrive, and what happened last."""

from __future__ import annotations

from typing import Any, Final

from bridge.web.operation import Operation
from bridge.web.routes import Call, Route
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.api.shapes import event, moment, rounded
from gateway.verdict import verdict

NEWEST_EVENTS: Final = 20

_ANSWER: Final = s.thing(
    {
        "verdict": s.thing({"level": s.words("ok", "warning", "critical"), "word": s.TEXT, "sentence": s.TEXT}),
        "in": s.thing({"per_s": s.NUMBER, "records": s.told(s.COUNT, "Accepted since the process started.")}),
        "queued": s.thing(
            {
                "records": s.COUNT,
                "bytes": s.COUNT,
                "oldest_age_s": s.maybe(s.SECONDS),
                "full_in_s": s.maybe(s.SECONDS),
                "drained_in_s": s.maybe(s.SECONDS),
            }
        ),
        "uplinks": s.listed(
            s.thing(
                {
                    "name": s.TEXT,
                    "url": s.TEXT,
                    "state": s.UPLINK_STATE,
                    "since": s.TIME,
                    "reason": s.maybe(s.TEXT),
                    "next_try_in_s": s.maybe(s.SECONDS),
                    "delivered": s.COUNT,
                    "per_s": s.NUMBER,
                }
            )
        ),
        "saved": s.thing({"raw_bytes": s.COUNT, "wire_bytes": s.COUNT, "ratio": s.maybe(s.NUMBER)}),
        "dead_letters": s.COUNT,
        "dropped": s.told(s.COUNTS, "Records, by reason, since the spool was made."),
        "devices": s.thing({"connected": s.COUNT, "absent": s.COUNT}),
        "events": s.listed(s.EVENT, "Newest first."),
        "at": s.TIME,
    }
)


def routes(parts: Parts) -> list[Route]:
    """The one route."""

    async def overview(_call: Call) -> dict[str, Any]:
        return body(parts)

    return [
        Route(
            method="GET",
            path="/api/v1/overview",
            handler=overview,
            is_live=True,
            operation=Operation(summary="Is the data safe, and when does it arrive?", tag="overview", answer=_ANSWER),
        )
    ]


def body(parts: Parts) -> dict[str, Any]:
    """The body, from memory."""
    figures = parts.overview.figures()
    says = verdict(figures)
    totals = parts.overview.totals()
    meters = parts.overview.meters
    now_s = parts.clock.monotonic_s()
    counters = parts.broker.counters
    return {
        "verdict": {"level": says.level, "word": says.word, "sentence": says.sentence},
        "in": {"per_s": round(meters.into.per_second(now_s), 1), "records": totals.accepted},
        "queued": {
            "records": totals.records,
            "bytes": totals.bytes,
            "oldest_age_s": rounded(figures.oldest_age_s),
            "full_in_s": rounded(figures.full_in_s, 0),
            "drained_in_s": rounded(figures.drained_in_s),
        },
        "uplinks": [_uplink(parts, name, now_s) for name in parts.uplinks],
        "saved": {
            "raw_bytes": totals.raw_bytes,
            "wire_bytes": totals.wire_bytes,
            "ratio": round(totals.raw_bytes / totals.wire_bytes, 2) if totals.wire_bytes and totals.raw_bytes else None,
        },
        "dead_letters": figures.dead_letters,
        "dropped": {reason: number for reason, number in sorted(meters.dropped().items()) if number},
        "devices": {
            "connected": counters.connected_now,
            "absent": max(0, len(parts.broker.sessions) - counters.connected_now),
        },
        "events": [event(item) for item in parts.chronicle.events.newest(NEWEST_EVENTS)],
        "at": moment(parts.clock.now_us()),
    }


def _uplink(parts: Parts, name: str, now_s: float) -> dict[str, Any]:
    uplink = parts.uplinks[name]
    status = uplink.status
    rate = parts.overview.meters.uplinks.get(name)
    return {
        "name": name,
        "url": str(parts.overview.uplink_settings(name).url),
        "state": status.state,
        "since": moment(int(parts.overview.since_s(name) * 1e6)),
        "reason": None if status.state == "online" else status.last_error,
        "next_try_in_s": rounded(uplink.next_try_in_s),
        "delivered": status.records,
        "per_s": 0.0 if rate is None else round(rate.per_second(now_s), 1),
    }
