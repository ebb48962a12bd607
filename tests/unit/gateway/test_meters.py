"""How fast it goes, and what was dropped lately."""

from __future__ import annotations

from gateway.figures import RECENT_S
from gateway.meters import Meters
from gateway.spool.lane import Lane


def lane(name: str = "telemetry", **values: int) -> Lane:
    return Lane(
        id=1,
        name=name,
        epoch="e",
        first_seq=1,
        next_seq=1,
        synced_seq=1,
        stored_start=0,
        stored_end=0,
        first_received_at_us=None,
        watermarks={},
        **values,  # type: ignore[arg-type]
    )


def test_what_an_earlier_process_dropped_is_no_news() -> None:
    old = lane()
    old.dropped["full"] = 500
    meters = Meters({"telemetry": old}, {})
    meters.feed(0)
    meters.feed(1)
    assert meters.dropped_lately(1) == {}
    assert meters.dropped() == {"full": 500, "expired": 0}


def test_what_is_dropped_is_news_for_a_while() -> None:
    one = lane()
    meters = Meters({"telemetry": one}, {})
    meters.feed(0)
    one.dropped["full"] += 30
    one.dropped["corrupt"] = 2
    meters.feed(1)
    assert meters.dropped_lately(1) == {"full": 30, "corrupt": 2}
    for second in range(2, int(RECENT_S) + 30):
        meters.feed(second)
    assert meters.dropped_lately(RECENT_S + 30) == {}


def test_rates_of_a_stream_are_those_of_the_last_seconds() -> None:
    one = lane()
    meters = Meters({"telemetry": one}, {})
    for second in range(61):
        one.accepted = one.next_seq = 100 * second
        one.first_seq = 40 * second
        one.stored_end, one.stored_start = 5000 * second, 1000 * second
        meters.feed(second)
    assert meters.streams["telemetry"].into.per_second(60) == 100
    assert meters.streams["telemetry"].out.per_second(60) == 40
    assert meters.forecast_rates(60) == (100, 40, 5000, 1000)
    assert meters.forecast_rates(60, "telemetry") == (100, 40, 5000, 1000)
    assert meters.forecast_rates(60, "other") == (0, 0, 0, 0)


def test_streams_that_are_gone_are_forgotten() -> None:
    lanes = {"telemetry": lane()}
    meters = Meters(lanes, {})
    meters.feed(0)
    lanes.clear()
    meters.feed(1)
    assert meters.streams == {}
