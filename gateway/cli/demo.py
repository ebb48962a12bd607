"""`fieldgate demo`: the whole of it on this machine, with an outage and a crash, in about a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.simulate.values import read

EXAMPLE = """\b
Example:
  fieldgate demo --keep"""


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the ledger, until Ctrl-C.")] = False,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="FOLDER", help="Each run gets a folder of its own in here.")
    ] = Path("demo-data"),
    duration: Annotated[
        str, typer.Option("--duration", metavar="D", help="How long the devices publish, as 30s or 2m.")
    ] = "60s",
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many devices.")] = 20,
    rate: Annotated[float, typer.Option("--rate", metavar="R", help="Messages a second, all devices together.")] = 200,
    qos: Annotated[int, typer.Option("--qos", metavar="Q", help="1 or 2.")] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The same seed says the same again.")] = 0,
) -> None:
    """See it work, with an outage and a crash.

    Starts a cloud broker, the gateway, the receiver and a fleet of devices on free ports; cuts the cloud's link for a
    while; kills the gateway with SIGKILL once and starts it again; ends with the ledger. Fails when anything that was
    acknowledged is missing.
    """
    from simulators.demo.app import run_demo
    from simulators.demo.options import DemoOptions
    from simulators.units import parse_duration_s

    duration_s = read("--duration", duration, parse_duration_s)
    try:
        options = DemoOptions(
            folder=folder, duration_s=duration_s, count=count, rate_per_s=rate, qos=qos, seed=seed, keep=keep
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    raise typer.Exit(run_demo(options))
