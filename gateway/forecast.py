"""When it will be full, and when all is delivered, at the present rates. Pure; None when there is no saying."""

from __future__ import annotations

from typing import Final

FAR_S: Final = 365 * 86400.0
"""What would take longer is not foretold."""
_LEAST_PER_S: Final = 0.05


def full_in_s(*, free_bytes: float, in_bytes_per_s: float, out_bytes_per_s: float) -> float | None:
    """Until nothing is free any more; 0 when nothing is; None when it does not fill up."""
    if free_bytes <= 0:
        return 0.0
    gain_per_s = in_bytes_per_s - out_bytes_per_s
    if gain_per_s <= 0 or free_bytes > gain_per_s * FAR_S:
        return None
    return free_bytes / gain_per_s


def drained_in_s(*, records: float, in_per_s: float, out_per_s: float) -> float | None:
    """Until all that waits is delivered; 0 when nothing waits; None when nothing leaves, or more comes than leaves.

    What waits for less than two seconds of the present rate is on its way: then the rates of in and out are equal, and
    their difference is noise.
    """
    if records <= 0:
        return 0.0
    if out_per_s < _LEAST_PER_S:
        return None
    if records <= 2 * out_per_s:
        return records / out_per_s
    gain_per_s = out_per_s - in_per_s
    # Less than a hundredth of the rate is within what can be measured.
    if gain_per_s <= out_per_s / 100 or records > gain_per_s * FAR_S:
        return None
    return records / gain_per_s
