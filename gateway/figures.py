"""What the verdict is made from: a moment's figures, as plain values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RECENT_S = 300.0
"""What was dropped within this time is news; before, it is history (the events tell it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkFigures:
    """One road: where it stands, for how long already, and what waits for it."""

    name: str
    state: str
    for_s: float
    records: int = 0
    paused_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All of it. Ages and durations in seconds; None where there is nothing to say."""

    records: int = 0
    """That wait in the spool."""
    oldest_age_s: float | None = None
    had_records: bool = True
    """Whether there ever was one."""
    in_per_s: float = 0.0
    out_per_s: float = 0.0
    full_in_s: float | None = None
    drained_in_s: float | None = None
    when_full: str = "drop_oldest"
    is_refusing: bool = False
    is_disk_full: bool = False
    failure: str | None = None
    """Why the store can't be used any more."""
    uplinks: tuple[UplinkFigures, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Records within the last RECENT_S, by reason."""
    dead_letters: int = 0
    """That wait for a decision."""
    set_aside: str | None = None
    """The database that was found damaged when the gateway started."""
