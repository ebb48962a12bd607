"""The watermark arithmetic, against a set of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.flow.acks import AckLine

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=25)


@settings(deadline=None)
@given(st.integers(0, 20), spans, st.integers(0, 80))
def test_it_knows_what_a_set_of_numbers_knows(watermark: int, acknowledged: list[tuple[int, int]], seq: int) -> None:
    line, model = AckLine(watermark), set(range(watermark))
    for start, count in acknowledged:
        line.acknowledge(start, start + count)
        model |= set(range(start, start + count))
        first_missing = next(n for n in range(200) if n not in model)
        assert line.watermark == first_missing
    start = next(n for n in range(max(seq, line.watermark), 300) if n not in model)
    stop = next((n for n in range(start, 300) if n in model), None)
    assert line.hole(seq) == (start, stop)


def test_nothing_cannot_be_acknowledged() -> None:
    with pytest.raises(ValueError, match="no sequence number"):
        AckLine(1).acknowledge(5, 5)
