"""`fieldgate bench`: the figures of docs/benchmarks.md, measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = """\b
Example:
  fieldgate bench --only ingest --quick"""

ROOT = Path(__file__).parents[2]


def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="A case, or a pattern of cases. Can be repeated.")
    ] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", metavar="N", help="Rounds of each case.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the messages, one round.")] = False,
    disk: Annotated[Path | None, typer.Option("--disk", metavar="FOLDER", help="Where data is written.")] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Where the page goes; a whole run writes docs/benchmarks.md."),
    ] = None,
    cases: Annotated[bool, typer.Option("--list", help="Name the cases and stop.")] = False,
) -> None:
    """Measure this machine, Mosquitto beside it.

    The same load for both, in one run; medians and ratios. From a clone: every case, and it fails when a target is
    missed in a whole run. Installed without one: durable ingest and the latency of PUBACK on this disk.
    """
    import os
    import sys

    if not (ROOT / "tests" / "bench" / "__main__.py").is_file():
        _of_this_box(disk or Path.cwd(), rounds=rounds, quick=quick)
        return
    words = [word for name in only or () for word in ("--only", name)]
    words += ["--rounds", str(rounds)] if rounds is not None else []
    words += ["--quick"] if quick else []
    words += ["--disk", str(disk.absolute())] if disk is not None else []
    words += ["--write", str(write.absolute())] if write is not None else []
    words += ["--list"] if cases else []
    os.chdir(ROOT)
    sys.stdout.flush()
    # The benchmark takes this process over: signals and the exit code are its own.
    os.execv(sys.executable, [sys.executable, "-m", "tests.bench", *words])  # noqa: S606 - our own module


def _of_this_box(disk: Path, *, rounds: int | None, quick: bool) -> None:
    from rich.console import Console

    from simulators.load.bench import BenchOptions, run_bench

    result = run_bench(
        BenchOptions(
            disk=disk,
            messages=20_000 if quick else 200_000,
            rounds=rounds or (1 if quick else 3),
            latency_s=1.0 if quick else 5.0,
        )
    )
    Console().print(result.table())
    if not result.ok:
        raise typer.Exit(1)
