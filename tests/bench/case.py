"""What is measured: a case has sides, ours first, that are run in turns with the same load."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

OURS = "Fieldgate"
PEER = "Mosquitto, in memory"
PEER_ON_DISK = "Mosquitto, queue on disk every second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where one measurement may write, and how much it should do: `scale` 1.0 is the whole load."""

    folder: Path
    scale: float = 1.0
    bridge_inflight: int = 100

    def messages(self, whole: int) -> int:
        """So many, scaled."""
        return max(1000, int(whole * self.scale))


Figures = dict[str, float]
Measure = Callable[[Context], Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of those compared."""

    name: str
    measure: Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure should be: at least or at most `value`, as a ratio to the first peer or as it is."""

    figure: str
    value: float
    of_ratio: bool = False
    at_most: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value meets it."""
        return value <= self.value if self.at_most else value >= self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison. `figures`: what is reported, name to unit, the first is the one whose ratio is printed."""

    name: str
    title: str
    says: str
    sides: tuple[Side, ...]
    figures: dict[str, str]
    targets: tuple[Target, ...] = ()
    rounds: int | None = None


@dataclass(slots=True, kw_only=True)
class SideResult:
    """All rounds of one side; `failure` is why it was given up, if it was."""

    name: str
    rounds: list[Figures] = field(default_factory=list)
    failure: str | None = None

    def median(self, figure: str) -> float | None:
        """The median of the rounds that came to their end; None where none did."""
        values = [one[figure] for one in self.rounds if figure in one]
        return statistics.median(values) if values else None

    def spread(self, figure: str) -> tuple[float, float] | None:
        """The lowest and the highest."""
        values = [one[figure] for one in self.rounds if figure in one]
        return (min(values), max(values)) if values else None


@dataclass(slots=True, kw_only=True)
class CaseResult:
    """A case and what came of it."""

    case: Case
    sides: list[SideResult]

    def ratio(self, figure: str) -> float | None:
        """Our median over the first peer's; None where one is missing."""
        if len(self.sides) < 2 or self.sides[1].failure or self.sides[0].failure:
            return None
        ours, peer = self.sides[0].median(figure), self.sides[1].median(figure)
        return ours / peer if ours is not None and peer else None

    def value(self, target: Target) -> float | None:
        """What a target judges; None when it could not be measured."""
        if self.sides[0].failure:
            return None
        return self.ratio(target.figure) if target.of_ratio else self.sides[0].median(target.figure)
