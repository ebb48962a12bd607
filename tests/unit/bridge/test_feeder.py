"""What the feeder makes of the gaps that it is given."""

from __future__ import annotations

import pytest

from bridge.feeder import _merged
from bridge.ports import Gap

Told = list[tuple[int, int, str]]


@pytest.mark.parametrize(
    ("given", "start", "stop", "told"),
    [
        ([], 1, None, []),
        ([(1, 5, "full"), (6, 4, "full")], 1, None, [(1, 9, "full")]),
        ([(1, 5, "full"), (6, 4, "expired")], 1, None, [(1, 5, "full"), (6, 4, "expired")]),
        ([(1, 5, "full"), (7, 4, "full")], 1, None, [(1, 5, "full"), (7, 4, "full")]),
        ([(1, 5, "full")], 3, None, [(3, 3, "full")]),
        ([(1, 5, "full")], 6, None, []),
        ([(6, 4, "expired"), (1, 7, "full")], 1, None, [(1, 7, "full"), (8, 2, "expired")]),
        ([(1, 5, "full"), (6, 10, "expired")], 1, 8, [(1, 5, "full"), (6, 2, "expired")]),
    ],
)
def test_gaps_are_told_once_in_order_and_only_where_they_belong(
    given: Told, start: int, stop: int | None, told: Told
) -> None:
    gaps = [Gap(first_seq=first, count=count, reason=reason) for first, count, reason in given]
    assert [(gap.first_seq, gap.count, gap.reason) for gap in _merged(gaps, start, stop)] == told
