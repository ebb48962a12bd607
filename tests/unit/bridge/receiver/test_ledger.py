"""The ledger against a model of plain sets."""

import time

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.receiver.ledger import FIRST_SEQ, Lane, LaneKey, Ledger

KEY = LaneKey("edge-01", "telemetry", "00000000000000aa")

arrivals = st.tuples(st.just("arrives"), st.integers(1, 60), st.integers(0, 10), st.none())
declarations = st.tuples(
    st.just("gap"), st.integers(1, 60), st.integers(0, 10), st.sampled_from(["full", "expired", "dead_letter"])
)


@given(steps=st.lists(arrivals | declarations, max_size=40))
def test_a_lane_knows_what_a_model_of_plain_sets_knows(steps: list[tuple[str, int, int, str | None]]) -> None:
    lane = Lane()
    arrived: set[int] = set()
    declared: dict[int, str] = {}
    duplicates = 0
    for kind, first, count, reason in steps:
        numbers = range(first, first + count)
        if kind == "arrives":
            new = lane.admit(first, count)
            assert [n for low, high in new for n in range(low, high)] == [n for n in numbers if n not in arrived]
            duplicates += sum(n in arrived for n in numbers)
            arrived.update(numbers)
        else:
            assert reason is not None
            lane.declare(first, count, reason)
            for n in numbers:
                if n not in arrived:
                    declared.setdefault(n, reason)
        for n in arrived & set(declared):
            del declared[n]
        lane = Lane.decode(lane.encode())
        assert lane.duplicates == duplicates
        assert {n for low, high in lane.arrived for n in range(low, high)} == arrived
        gaps = {n: why for why, known in lane.gaps.items() for low, high in known for n in range(low, high)}
        assert gaps == declared
        known = arrived | set(declared)
        expected = [n for n in range(FIRST_SEQ, max(known, default=0)) if n not in known]
        assert [n for low, high in lane.holes() for n in range(low, high)] == expected


def test_a_gap_whose_records_did_arrive_is_not_missing() -> None:
    lane = Lane()
    lane.declare(1, 10, "full")
    assert lane.admit(3, 4) == [(3, 7)]
    assert list(lane.gaps["full"]) == [(1, 3), (7, 11)]
    lane.declare(1, 10, "expired")
    assert list(lane.gaps) == ["full"]
    lane.admit(1, 10)
    assert lane.gaps == {}
    assert lane.holes() == []


def test_what_is_absent_is_a_hole_only_once_something_after_it_is_known() -> None:
    lane = Lane()
    lane.admit(1, 5)
    assert lane.holes() == []
    lane.admit(8, 1)
    assert lane.holes() == [(6, 8)]
    lane.declare(20, 1, "full")
    assert lane.holes() == [(6, 8), (9, 20)]


def test_a_draft_leaves_no_trace_until_it_is_accepted() -> None:
    ledger = Ledger()
    draft = ledger.draft()
    draft.lane(KEY).admit(1, 10)
    assert KEY not in ledger
    ledger.accept(draft)
    assert ledger[KEY].arrived.count() == 10
    dropped = ledger.draft()
    dropped.lane(KEY).admit(11, 5)
    assert ledger[KEY].arrived.count() == 10
    assert [row[:3] for row in dropped.rows()] == [KEY]
    assert Lane.decode(dropped.rows()[0][3]).arrived.count() == 15


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb(7),
        msgpack.packb([2, [], {}, 0]),
        msgpack.packb([1, [5], {}, 0]),
        msgpack.packb([1, [5, "x"], {}, 0]),
        msgpack.packb([1, [], [], 0]),
        msgpack.packb([1, [], {}, "x"]),
    ],
)
def test_bytes_that_are_no_lane_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Lane.decode(data)


def test_ten_thousand_intervals_stay_quick() -> None:
    lane = Lane()
    started = time.process_time()
    for n in range(10_000):
        lane.admit(1 + 3 * n, 2)
    for _ in range(10):
        lane = Lane.decode(lane.encode())
    assert len(lane.holes()) == 9_999
    assert time.process_time() - started < 2  # about 0.03 s; quadratic would be minutes
