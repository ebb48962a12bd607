"""In which state each uplink was, from when to when, and why."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.segments import FLAP_S, MAX_FLAPS, MAX_SEGMENTS, MAX_UPLINKS, RESTART_S, Segments


class Rows:
    """Stands for the table."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}
        self.writes = 0

    def keep(self, key: int, body: bytes) -> None:
        self.rows[key] = body
        self.writes += 1

    def discard(self, key: int) -> None:
        self.rows.pop(key, None)

    def segments(self, ended_s: float | None = None) -> Segments:
        segments = Segments(keep=self.keep, discard=self.discard)
        segments.load(list(self.rows.items()), ended_s=ended_s)
        return segments


def told(segments: Segments, uplink: str = "cloud") -> list[tuple[Any, ...]]:
    found = segments.body([uplink], 0, 1e12)[uplink]
    return [(item["from"], item["to"], item["state"], item["reason"]) for item in found]


def test_states_follow_each_other_without_a_hole() -> None:
    segments = Rows().segments()
    segments.enter(10, "cloud", "connecting")
    segments.enter(12, "cloud", "online")
    segments.enter(90, "cloud", "paused", "anna")
    assert told(segments) == [
        (10, 12, "connecting", None),
        (12, 90, "online", None),
        (90, None, "paused", "anna"),
    ]
    assert segments.state("cloud") == "paused"
    assert segments.state("east") is None


def test_an_outage_is_one_segment_however_often_it_tried() -> None:
    rows = Rows()
    segments = rows.segments()
    segments.enter(0, "cloud", "online")
    writes = rows.writes
    for attempt in range(500):
        segments.enter(100 + 2 * attempt, "cloud", "backing_off", f"refused, attempt {attempt}")
        segments.enter(101 + 2 * attempt, "cloud", "connecting")
    assert told(segments) == [(0, 100, "online", None), (100, None, "backing_off", "refused, attempt 499")]
    assert rows.writes - writes <= 3
    segments.enter(2000, "cloud", "online")
    assert told(segments)[1:] == [
        (100, 2000, "backing_off", "refused, attempt 499"),
        (2000, None, "online", None),
    ]


def test_a_first_connection_that_fails_gets_its_reason() -> None:
    segments = Rows().segments()
    segments.enter(0, "cloud", "connecting")
    segments.enter(1, "cloud", "backing_off", "no route")
    assert told(segments) == [(0, None, "backing_off", "no route")]


def test_only_what_touches_the_span_is_told() -> None:
    segments = Rows().segments()
    for at_s, state in ((0, "online"), (100, "backing_off"), (200, "online")):
        segments.enter(at_s, "cloud", state)
    assert [item["from"] for item in segments.body(["cloud"], 150, 180)["cloud"]] == [100]
    assert segments.body(["other"], 0, 1000) == {"other": []}


def test_a_restart_loses_none_and_the_time_between_is_nobodys() -> None:
    rows = Rows()
    first = rows.segments()
    first.enter(0, "cloud", "online")
    first.close(50)
    second = rows.segments(ended_s=50)
    assert second.state("cloud") is None
    second.enter(80, "cloud", "connecting")
    assert told(second) == [(0, 50, "online", None), (80, None, "connecting", None)]


def test_an_outage_goes_on_over_a_restart_but_not_over_a_long_stop() -> None:
    table = Rows()
    segments = table.segments()
    segments.enter(10, "cloud", "online")
    segments.enter(100, "cloud", "backing_off", "no route")
    segments = table.segments(ended_s=200)
    segments.enter(203, "cloud", "connecting")
    segments.enter(204, "cloud", "backing_off", "no route")
    assert segments.began_s("cloud") == 100
    segments = table.segments(ended_s=300)
    segments.enter(301 + RESTART_S, "cloud", "connecting")
    assert segments.began_s("cloud") == 301 + RESTART_S
    segments.enter(700, "cloud", "online")
    assert segments.began_s("cloud") == 700


def test_an_outage_does_not_go_on_over_a_restart_that_set_the_clock_back_by_years() -> None:
    table = Rows()
    first = table.segments()
    first.enter(1_700_000_000, "cloud", "connecting")
    first.close(1_700_000_100)
    segments = table.segments(ended_s=1_700_000_100)
    segments.enter(20, "cloud", "connecting")
    assert segments.began_s("cloud") == 20
    segments.clock_was_set(1_700_000_150 - 30)
    assert segments.began_s("cloud") == 1_700_000_000, "now it is known that it is the same"


def test_a_clock_that_is_set_makes_no_state_longer_than_it_is() -> None:
    table = Rows()
    segments = table.segments()
    segments.enter(10, "cloud", "online")
    segments.enter(20, "cloud", "backing_off", "no route")
    segments.clock_was_set(1_700_000_000)
    assert told(segments) == [(10, 20, "online", None), (1_700_000_020, None, "backing_off", "no route")]
    segments.enter(1_700_000_030, "cloud", "online")
    segments.clock_was_set(-5)
    assert told(table.segments(ended_s=1_700_000_050))[1:] == [
        (1_700_000_020, 1_700_000_030, "backing_off", "no route"),
        (1_700_000_025, 1_700_000_050, "online", None),
    ]


def test_what_a_killed_process_left_open_ends_when_it_was_last_seen() -> None:
    rows = Rows()
    first = rows.segments()
    first.enter(0, "cloud", "online")
    first.enter(40, "cloud", "paused", "anna")
    assert told(rows.segments(ended_s=47))[-1] == (40, 47, "paused", "anna")
    other = Rows()
    other.segments().enter(40, "cloud", "online")
    assert told(other.segments(ended_s=None)) == [(40, 40, "online", None)]


def test_a_link_that_flaps_for_a_month_does_not_fill_the_store() -> None:
    rows = Rows()
    segments = rows.segments()
    for second in range(0, 30 * 3600, 5):
        segments.enter(second, "cloud", "online" if second % 10 else "backing_off")
    assert len(rows.rows) <= MAX_SEGMENTS
    assert len(rows.rows) <= 30 * (MAX_FLAPS + 3600 / FLAP_S + 1)


def test_rows_and_names_have_a_bound() -> None:
    rows = Rows()
    segments = rows.segments()
    for number in range(MAX_SEGMENTS + 20):
        segments.enter(number * 100, "cloud", "online" if number % 2 else "paused")
    assert len(rows.rows) == MAX_SEGMENTS
    for number in range(MAX_UPLINKS + 20):
        segments.enter(1e6 + number, f"uplink-{number}", "online")
    assert len(set(segments._of)) == MAX_UPLINKS


def test_rows_that_cannot_be_read_are_discarded() -> None:
    rows = Rows()
    rows.segments().enter(0, "cloud", "online")
    good = dict(rows.rows)
    rows.rows |= {(2 << 40) + 7: b"\xc1", (2 << 40) + 8: b"\x90", (2 << 40) + 9: b"\x95\x01\x01\x01\x01\x01"}
    again = rows.segments(ended_s=5)
    assert set(rows.rows) == set(good)
    assert told(again) == [(0, 5, "online", None)]


steps = st.lists(
    st.tuples(
        st.floats(min_value=-1000, max_value=4e9),
        st.sampled_from(["cloud", "east"]),
        st.sampled_from(["connecting", "online", "backing_off", "paused", "stopped"]),
        st.none() | st.text(max_size=400),
    ),
    max_size=80,
)


@settings(deadline=None)
@given(steps)
def test_whatever_the_clock_says_segments_end_after_they_begin(moves: list[tuple[float, str, str, str | None]]) -> None:
    rows = Rows()
    segments = rows.segments()
    for now_s, uplink, state, reason in moves:
        segments.enter(now_s, uplink, state, reason)
    found = segments.body(["cloud", "east"], -1e12, 1e12)
    for items in found.values():
        assert all(item["to"] is None or item["to"] >= item["from"] for item in items)
        assert all(item["to"] is not None for item in items[:-1])
    assert len(rows.rows) == sum(map(len, found.values()))
