"""Running cases: the sides in turns, each in a fresh folder on the disk that was asked for."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from simulators.load.options import LoadFailed
from simulators.load.processes import ProcessFailed
from tests.bench.case import Case, CaseResult, Context, Figures, Side, SideResult


def run_case(case: Case, *, disk: Path, rounds: int, scale: float, bridge_inflight: int) -> CaseResult:
    """All rounds of all sides, A B A B, so that what the machine does meanwhile meets both; who fails stops."""
    result = CaseResult(case=case, sides=[SideResult(name=side.name) for side in case.sides])
    say(f"{case.name}: {case.title}")
    for number in range(min(rounds, case.rounds or rounds)):
        for side, outcome in zip(case.sides, result.sides, strict=True):
            if outcome.failure is None:
                _run_side(side, outcome, number=number, disk=disk, scale=scale, bridge_inflight=bridge_inflight)
    for figure in list(case.figures)[:1]:
        ratio = result.ratio(figure)
        say(f"    ratio of {figure}: {'-' if ratio is None else f'{ratio:.2f}'}")
    return result


def _run_side(side: Side, outcome: SideResult, *, number: int, disk: Path, scale: float, bridge_inflight: int) -> None:
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fieldgate-bench-", dir=disk, ignore_cleanup_errors=True) as folder:
        context = Context(folder=Path(folder), scale=scale, bridge_inflight=bridge_inflight)
        try:
            figures = side.measure(context)
        except (LoadFailed, ProcessFailed, OSError, ValueError, KeyError) as error:
            outcome.failure = f"{type(error).__name__}: {error}"
            say(f"    round {number + 1}  {side.name}: failed. {outcome.failure}")
            return
    outcome.rounds.append(figures)
    say(f"    round {number + 1}  {side.name}: {_line(figures)}  ({time.monotonic() - started_s:.1f} s)")


def _line(figures: Figures) -> str:
    return ", ".join(
        f"{name} {value:,.4g}" if value < 100 else f"{name} {value:,.0f}" for name, value in figures.items()
    )


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)
