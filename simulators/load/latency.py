"""Percentiles of measured times."""

from __future__ import annotations

from collections.abc import Sequence


def percentiles(times_s: Sequence[float]) -> dict[str, float]:
    """Median, p99 and the longest, in milliseconds; empty for no times. Nearest rank, so each was really measured."""
    if not times_s:
        return {}
    ordered = sorted(times_s)
    ranks = {"median": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(1000 * ordered[max(0, -(-int(rank * 100) * len(ordered) // 100) - 1)], 3)
        for name, rank in ranks.items()
    }
