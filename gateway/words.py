"""Numbers as people read them. Pure; never raises for a finite number."""

from __future__ import annotations

import math
from typing import Final

_THIN: Final = "\u202f"
_FOREVER_S: Final = 100 * 365 * 86400


def count(number: float) -> str:
    """12345 is `12 345`, grouped by a thin space that does not break."""
    return f"{number:,.0f}".replace(",", _THIN) if math.isfinite(number) else "many"


def counted(number: float, one: str, many: str | None = None) -> str:
    """`1 record`, `12 480 records`."""
    return f"{count(number)} {one if round(number) == 1 else many or one + 's'}"


def roughly(seconds: float) -> str:
    """A duration in one unit, as one would say it: `a few seconds`, `40 s`, `3 min`, `2 h`, `5 days`."""
    if not math.isfinite(seconds) or seconds > _FOREVER_S:
        return "more than 100 years"
    if seconds < 5:
        return "a few seconds"
    if seconds < 57.5:
        return f"{max(5, round(seconds / 5) * 5)} s"
    if seconds < 59.5 * 60:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 47.5 * 3600:
        return f"{max(1, round(seconds / 3600))} h"
    return counted(max(2, round(seconds / 86400)), "day")


def about(seconds: float) -> str:
    """The same as part of a sentence: `about 3 min`, `a few seconds`."""
    words = roughly(seconds)
    return words if words[0] in "am" else f"about {words}"


def age(seconds: float) -> str:
    """How old something is: `0 s`, `12 s`, `4 min`, `3 h`, `5 days`."""
    if seconds < 59.5:
        return f"{max(0, round(seconds))} s"
    return roughly(seconds)


def one_of(reasons: dict[str, int]) -> str:
    """The reason with the highest count, for a sentence about all of them."""
    return max(reasons, key=lambda reason: (reasons[reason], reason))
