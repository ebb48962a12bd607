"""When it will be full, and when all is delivered."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forecast import drained_in_s, full_in_s


@pytest.mark.parametrize(
    ("free", "into", "out", "seconds"),
    [
        (1000, 20, 10, 100),
        (1000, 10, 10, None),
        (1000, 0, 0, None),
        (0, 20, 10, 0),
        (-5, 0, 9, 0),
        (1e15, 0.1, 0, None),
    ],
)
def test_full_is_foretold_only_where_it_fills_up(free: float, into: float, out: float, seconds: float | None) -> None:
    assert full_in_s(free_bytes=free, in_bytes_per_s=into, out_bytes_per_s=out) == seconds


@pytest.mark.parametrize(
    ("records", "into", "out", "seconds"),
    [
        (0, 5, 0, 0),
        (1000, 10, 20, 100),
        (1000, 10, 10, None),
        (1000, 10, 10.05, None),
        (1000, 10, 0, None),
        (15, 10, 10, 1.5),
        (1e15, 0, 100, None),
    ],
)
def test_drained_is_foretold_only_where_it_drains(
    records: float, into: float, out: float, seconds: float | None
) -> None:
    assert drained_in_s(records=records, in_per_s=into, out_per_s=out) == seconds


finite = st.floats(min_value=0, max_value=1e18)


@given(finite, finite, finite)
def test_forecasts_are_finite_or_none(amount: float, into: float, out: float) -> None:
    for found in (
        full_in_s(free_bytes=amount, in_bytes_per_s=into, out_bytes_per_s=out),
        drained_in_s(records=amount, in_per_s=into, out_per_s=out),
    ):
        assert found is None or 0 <= found < math.inf
