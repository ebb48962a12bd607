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

    The same load for both, in one run; medians and ratios. Fails when a target is missed in a whole run.
    """
    import os
    import sys

    from gateway.cli.outcome import Failed

    if not (ROOT / "tests" / "bench" / "__main__.py").is_file():
        raise Failed("The benchmarks are not part of the package: run this from a clone of the repository.")
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
