"""What the receiver's page shows: the status by gateway, with rates. Pure: status in, body out.

Names of gateways and streams come with the frames; so many of them are shown at most, those heard last first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bridge.receiver.rates import Rates

MAX_GATEWAYS: Final = 200
MAX_STREAMS: Final = 100
"""Of one gateway."""

Lane = tuple[str, str, str]


def overview(status: Mapping[str, Any], rates: Rates, *, now_s: float, now_us: int, set_aside: int) -> dict[str, Any]:
    """The body of `/api/v1/receiver`. `now_s` is monotonic, `now_us` the wall clock; `set_aside`: how many are kept."""
    gaps = {_key(item): item for item in status["gaps"]}
    holes = {_key(item): item for item in status["holes"]}
    lanes: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for lane in status["streams"]:
        lanes[lane["gateway"]].append(lane)
    heard: Mapping[str, Mapping[str, Any]] = status["gateways"]
    names = sorted(lanes.keys() | heard.keys())
    names.sort(key=lambda name: heard[name]["last_frame_at"] if name in heard else "", reverse=True)
    return {
        "link": status["link"],
        "records_per_s": round(rates.per_s(now_s), 3),
        **{key: status[key] for key in ("frames", "records", "duplicates", "missing", "dropped")},
        "gateways_total": len(names),
        "gateways": [
            _gateway(name, heard.get(name), lanes[name], gaps, holes, rates, now_s=now_s, now_us=now_us)
            for name in names[:MAX_GATEWAYS]
        ],
        "sinks": [
            {
                **{
                    key: sink[key]
                    for key in (
                        "name",
                        "state",
                        "records",
                        "lag_s",
                        "lag_records",
                        "errors",
                        "refused",
                        "last_error",
                        "last_write_at",
                    )
                },
                "per_s": round(rates.sink_per_s(sink["name"], now_s), 3),
            }
            for sink in status["sinks"]
        ],
        "set_aside": set_aside,
    }


def _gateway(
    name: str,
    news: Mapping[str, Any] | None,
    lanes: list[Mapping[str, Any]],
    gaps: Mapping[Lane, Mapping[str, Any]],
    holes: Mapping[Lane, Mapping[str, Any]],
    rates: Rates,
    *,
    now_s: float,
    now_us: int,
) -> dict[str, Any]:
    """One gateway. `news` is None where nothing came since the start; what is known then is of the ledger."""
    last_us = None if news is None else _us(news["last_frame_at"])
    return {
        "gateway": name,
        "last_frame_at": None if news is None else news["last_frame_at"],
        "last_frame_ago_s": None if last_us is None else round(max(0, now_us - last_us) / 1e6, 3),
        "frames": 0 if news is None else news["frames"],
        "records": sum(lane["records"] for lane in lanes),
        "per_s": round(rates.gateway_per_s(name, now_s), 3),
        # How long the newest frame was on its way, by the two machines' clocks.
        "lag_s": (
            None if news is None or last_us is None else round(max(0, last_us - _us(news["last_sent_at"])) / 1e6, 3)
        ),
        "duplicates": sum(lane["duplicates"] for lane in lanes),
        "missing": sum(holes[_key(lane)]["records"] for lane in lanes if _key(lane) in holes),
        "streams_total": len(lanes),
        "streams": [
            {
                "stream": lane["stream"],
                "epoch": lane["epoch"],
                "is_current": lane["current"],
                "next_seq": lane["next_seq"],
                "records": lane["records"],
                "duplicates": lane["duplicates"],
                "gaps": gaps[_key(lane)]["ranges"] if _key(lane) in gaps else [],
                "holes": holes[_key(lane)]["ranges"] if _key(lane) in holes else [],
            }
            # The epoch that goes on stands before those that have ended.
            for lane in sorted(lanes, key=lambda lane: (lane["stream"], not lane["current"]))[:MAX_STREAMS]
        ],
    }


def _key(item: Mapping[str, Any]) -> Lane:
    return item["gateway"], item["stream"], item["epoch"]


def _us(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1e6)
