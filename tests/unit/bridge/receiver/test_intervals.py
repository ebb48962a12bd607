"""Sets of numbers as intervals, against plain sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.receiver.intervals import Intervals

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12)), max_size=40)


@given(steps=steps, window=st.tuples(st.integers(0, 50), st.integers(0, 20)))
def test_intervals_hold_what_a_plain_set_holds(steps: list[tuple[bool, int, int]], window: tuple[int, int]) -> None:
    intervals, model = Intervals(), set()
    for adds, start, count in steps:
        numbers = range(start, start + count)
        if adds:
            intervals.add(start, start + count)
            model.update(numbers)
        else:
            intervals.remove(start, start + count)
            model.difference_update(numbers)
        assert {n for low, high in intervals for n in range(low, high)} == model
        assert intervals == Intervals(intervals.bounds)  # the bounds stay ascending: neighbours are merged
    assert intervals.count() == len(model)
    assert intervals.stop == (max(model) + 1 if model else None)
    asked = range(window[0], window[0] + window[1])
    missing = intervals.missing(asked.start, asked.stop)
    assert [n for low, high in missing for n in range(low, high)] == [n for n in asked if n not in model]
    assert all(low < high for low, high in missing)


@pytest.mark.parametrize("bounds", [[1], [2, 1], [1, 1], [1, 3, 3, 4]])
def test_bounds_that_are_no_ascending_pairs_are_refused(bounds: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Intervals(bounds)


def test_a_copy_is_independent() -> None:
    first = Intervals([1, 5])
    second = first.copy()
    second.add(5, 9)
    assert (first.bounds, second.bounds) == ([1, 5], [1, 9])
