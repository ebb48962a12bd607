"""What the gateway did over time, at falling resolution."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.history import CAPACITIES, FINE_S, MINUTE_S, QUARTER_S, SPANS, History, Totals
from tests.support.examples import examples

START_S = 1_700_000_100.0
"""The beginning of a quarter of an hour."""


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

    def history(self) -> History:
        history = History(keep=self.keep, discard=self.discard)
        history.load(list(self.rows.items()))
        return history


def totals(accepted: int = 0, delivered: int = 0, records: int = 0, **others: int) -> Totals:
    given = {"dropped": 0, "raw_bytes": 0, "wire_bytes": 0, "bytes": 0, **others}
    return Totals(accepted=accepted, delivered=delivered, records=records, **given)


def steady(history: History, *, start_s: float, seconds: int, every_s: int = 5, per_s: int = 10) -> None:
    """A gateway that takes `per_s` records a second."""
    for passed in range(0, seconds + 1, every_s):
        history.feed(start_s + passed, passed, totals(accepted=per_s * passed, records=passed))


def test_the_quarters_start_is_one() -> None:
    assert START_S % QUARTER_S == 0


@pytest.mark.parametrize("span", SPANS)
def test_each_span_has_as_many_steps_as_it_says_and_ends_now(span: str) -> None:
    length_s, step = SPANS[span]
    body = Rows().history().body(span, START_S)
    assert (body["step_s"], len(body["at"])) == (step, length_s // step)
    assert body["at"][-1] <= START_S < body["at"][-1] + step
    assert body["in_per_s"] == [None] * len(body["at"])


@pytest.mark.parametrize(("span", "cells"), [("1h", 180), ("6h", 30), ("24h", 30), ("7d", 2), ("30d", 2)])
def test_a_steady_rate_is_the_same_at_every_resolution(span: str, cells: int) -> None:
    history = Rows().history()
    steady(history, start_s=START_S, seconds=1795)
    body = history.body(span, START_S + 1795)
    found = [rate for rate in body["in_per_s"] if rate is not None]
    assert found == [10.0] * cells
    assert body["records"][-1] == 1795


def test_a_cell_that_was_begun_late_has_the_rate_of_its_part() -> None:
    history = Rows().history()
    history.feed(START_S + 7, 7, totals(accepted=100))
    history.feed(START_S + 9, 9, totals(accepted=120))
    assert history.body("1h", START_S + 9)["in_per_s"][-1] == 10.0


def test_one_moment_makes_no_rate_but_tells_what_waits() -> None:
    history = Rows().history()
    history.feed(START_S, 0.0, totals(records=3))
    history.feed(START_S + 0.1, 0.1, totals(accepted=50, records=7))
    body = history.body("1h", START_S)
    assert (body["in_per_s"][-1], body["records"][-1]) == (None, 7)


def test_where_nothing_ran_there_is_nothing() -> None:
    rows = Rows()
    first = rows.history()
    steady(first, start_s=START_S, seconds=60)
    first.close()
    second = rows.history()
    steady(second, start_s=START_S + 600, seconds=60)
    rates = second.body("1h", START_S + 660)["in_per_s"][-67:]
    assert rates[:6] == [10.0] * 6
    assert rates[8:59] == [None] * 51
    assert rates[61:66] == [10.0] * 5


def test_a_restart_loses_nothing() -> None:
    rows = Rows()
    history = rows.history()
    steady(history, start_s=START_S, seconds=2 * 3600)
    history.close()
    again = rows.history()
    for span in ("1h", "6h", "24h", "7d", "30d"):
        assert again.body(span, START_S + 7200) == history.body(span, START_S + 7200), span
    assert again.measured_until_s == pytest.approx(START_S + 7200, abs=FINE_S)


def test_a_process_that_is_killed_loses_half_a_minute_at_most() -> None:
    rows = Rows()
    steady(rows.history(), start_s=START_S, seconds=2 * 60 + 29, every_s=1)
    found = rows.history().body("1h", START_S + 149)["in_per_s"][-15:]
    assert found[:12] == [10.0] * 12


def test_it_writes_two_small_rows_a_minute_and_one_a_quarter() -> None:
    rows = Rows()
    steady(rows.history(), start_s=START_S, seconds=3600, every_s=1)
    assert rows.writes <= 2 * 60 + 4 + 1
    assert max(map(len, rows.rows.values())) < 300


def test_an_idle_gateway_writes_one_small_row_a_minute() -> None:
    rows = Rows()
    steady(rows.history(), start_s=START_S, seconds=3600, every_s=1, per_s=0)
    assert rows.writes <= 60 + 4


def test_old_rows_are_discarded_so_that_a_month_has_a_bound() -> None:
    rows = Rows()
    history = rows.history()
    steady(history, start_s=START_S, seconds=2 * 86400, every_s=60)
    assert len(rows.rows) <= CAPACITIES[MINUTE_S] + CAPACITIES[QUARTER_S]
    assert sum(key >> 40 == 0 for key in rows.rows) <= CAPACITIES[MINUTE_S] + 1


def test_what_a_full_table_holds_is_taken_up_to_the_bounds_and_the_nearest_cells_are_kept() -> None:
    rows = Rows()
    newest, cell = int(START_S) // MINUTE_S, [10.0, 1, 1, 0, 1, 1, 1, 1]
    for minute in range(newest - 2000, newest + 1):
        rows.keep(minute, msgpack.packb([[offset, *cell] for offset in range(6)]))
    history = rows.history()
    cells = {step: sorted(of) for step, of in history._cells.items()}
    assert cells[FINE_S] == list(range((newest + 1) * 6 - CAPACITIES[FINE_S], (newest + 1) * 6))
    assert cells[MINUTE_S] == list(range(newest + 1 - CAPACITIES[MINUTE_S], newest + 1)) == sorted(rows.rows)


def test_a_new_process_counts_from_its_own_beginning() -> None:
    history = Rows().history()
    history.feed(START_S, 0, totals(accepted=1_000_000))
    history.feed(START_S + 5, 5, totals(accepted=1_000_050))
    assert history.body("1h", START_S + 5)["in_per_s"][-1] == 10.0


def test_counters_that_fall_count_nothing() -> None:
    history = Rows().history()
    history.feed(START_S, 0, totals(delivered=500))
    history.feed(START_S + 5, 5, totals(delivered=20))
    assert history.body("1h", START_S + 5)["out_per_s"][-1] == 0.0


def test_a_clock_that_jumps_ahead_leaves_a_hole_and_no_peak() -> None:
    history = Rows().history()
    steady(history, start_s=START_S, seconds=30)
    history.feed(START_S + 1000, 35, totals(accepted=350))
    body = history.body("1h", START_S + 1000)
    assert body["in_per_s"][-1] == 10.0
    assert {rate for rate in body["in_per_s"] if rate is not None} == {10.0}
    assert body["in_per_s"][-50:-1] == [None] * 49


def test_a_clock_that_jumps_back_spoils_no_rate() -> None:
    history = Rows().history()
    steady(history, start_s=START_S, seconds=60)
    for passed in range(65, 95, 5):
        history.feed(START_S + passed - 60, passed, totals(accepted=10 * passed))
    rates = history.body("1h", START_S + 30)["in_per_s"]
    assert {rate for rate in rates if rate is not None} == {10.0}


def test_a_box_that_starts_in_1970_finds_its_history_once_it_knows_the_time() -> None:
    rows = Rows()
    history = rows.history()
    steady(history, start_s=START_S, seconds=1800)
    history.close()
    again = rows.history()
    again.feed(5.0, 1, totals())
    again.feed(30.0, 26, totals())
    again.feed(START_S + 1830, 30, totals())
    found = [rate for rate in again.body("1h", START_S + 1830)["in_per_s"] if rate == 10.0]
    assert len(found) >= 180


def test_rows_that_cannot_be_read_are_discarded_and_the_rest_is_kept() -> None:
    rows = Rows()
    steady(history := rows.history(), start_s=START_S, seconds=60)
    history.close()
    bad = {
        int(START_S) // 60 + 5: b"\xc1",
        int(START_S) // 60 + 6: msgpack.packb([]),
        int(START_S) // 60 + 7: msgpack.packb([[9, 1.0, 0, 0, 0, 0, 0, 0, 0]]),
        int(START_S) // 60 + 8: msgpack.packb([[0, 1.0, -5, 0, 0, 0, 0, 0, 0]]),
        1 << 40 | 7: msgpack.packb("what"),
        3 << 40: b"",
    }
    good = dict(rows.rows)
    rows.rows |= bad
    again = rows.history()
    assert rows.rows == good
    assert again.body("1h", START_S + 60) == history.body("1h", START_S + 60)


moments = st.tuples(
    st.floats(min_value=-1e6, max_value=4e9), st.floats(min_value=0, max_value=5000), st.integers(0, 1_000_000)
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(moments, max_size=60))
def test_whatever_the_clock_says_the_rates_are_within_what_happened(steps: list[tuple[float, float, int]]) -> None:
    rows = Rows()
    history = rows.history()
    monotonic_s, accepted = 0.0, 0
    for now_s, passed_s, more in steps:
        monotonic_s += passed_s
        accepted += more
        history.feed(now_s, monotonic_s, totals(accepted=accepted))
    history.close()
    for each in (history, rows.history()):
        for span in SPANS:
            body = each.body(span, 4e9)
            lengths = {len(value) for value in body.values() if isinstance(value, list)}
            assert lengths == {len(body["at"])}
            assert all(rate is None or 0 <= rate <= accepted / 0.5 for rate in body["in_per_s"])
