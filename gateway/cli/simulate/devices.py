"""`fieldgate simulate devices`: a fleet of real MQTT clients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.simulate.values import read, read_if_given

if TYPE_CHECKING:
    from simulators.devices import FleetOptions, FleetResult

EXAMPLE = """\b
Example:
  fieldgate simulate devices --to mqtt://127.0.0.1:1883 --count 20 --rate 100 --duration 1m"""


def devices(
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Where they publish.")] = "mqtt://127.0.0.1:1883",
    count: Annotated[int, typer.Option("--count", metavar="N", help="How many devices.")] = 10,
    rate: Annotated[float, typer.Option("--rate", metavar="R", help="Messages a second, all devices together.")] = 100,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="D", help="For how long, as 30s or 5m; else until Ctrl-C.")
    ] = None,
    qos: Annotated[int, typer.Option("--qos", metavar="Q", help="0, 1 or 2.")] = 1,
    profile: Annotated[
        str,
        typer.Option(
            "--profile", metavar="NAME", help="What they say: mixed, climate, vibration, gps, energy, machine, binary."
        ),
    ] = "mixed",
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="FILE.csv", help="Play a CSV with a header instead of a profile.")
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", metavar="VERSION", help="MQTT 3.1.1 or 5.")] = "3.1.1",
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The same seed says the same again.")] = 0,
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", metavar="FILE", help="Note every payload, and whether it was acknowledged."),
    ] = None,
) -> None:
    """Publish as a fleet of simulated devices.

    They are real MQTT clients (paho-mqtt): they connect again after a loss and repeat what was not acknowledged. Fails
    when at its end something sent with QoS 1 or 2 has no answer.
    """
    from gateway.cli import loop
    from simulators.devices import FleetOptions
    from simulators.units import parse_broker_url, parse_duration_s

    if protocol not in ("3.1.1", "5"):
        raise typer.BadParameter(f"MQTT {protocol} is not spoken here; write 3.1.1 or 5.", param_hint="--protocol")
    to_endpoint = read("--to", to, parse_broker_url)
    duration_s = read_if_given("--duration", duration, parse_duration_s)
    try:
        options = FleetOptions(
            to=to_endpoint,
            count=count,
            rate_per_s=rate,
            duration_s=duration_s,
            qos=qos,
            profile=profile,
            replay=replay,
            protocol=5 if protocol == "5" else 4,
            seed=seed,
            ledger=ledger,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    result = loop.run(_fleet(options))
    typer.echo(_summary(result))
    _judge(result, qos, to)


async def _fleet(options: FleetOptions) -> FleetResult:
    """The fleet with a line of progress on standard error, until its end, Ctrl-C or SIGTERM."""
    from gateway.cli.progress import ProgressLine
    from gateway.cli.stop import stop_on_signals
    from simulators.devices import run_devices

    with ProgressLine(sys.stderr) as line, stop_on_signals() as stop:
        return await run_devices(options, on_progress=lambda progress: line.show(_summary(progress)), stop=stop)


def _summary(progress: FleetResult) -> str:
    from gateway.cli.words import duration
    from gateway.words import count

    line = (
        f"{progress.connected}/{progress.devices} connected, {count(progress.published)} published"
        f" ({count(progress.rate_per_s)}/s), {count(progress.acknowledged)} acknowledged"
    )
    for number, word in ((progress.refused, "refused"), (progress.resent, "sent again"), (progress.in_flight, "open")):
        line += f", {count(number)} {word}" if number else ""
    line += f", {duration(progress.elapsed_s)}"
    return f"{line}; {progress.last_error}" if progress.last_error else line


def _judge(result: FleetResult, qos: int, to: str) -> None:
    from gateway.cli.outcome import Failed
    from gateway.words import count

    if not result.published:
        why = f": {result.last_error}" if result.last_error else ""
        raise Failed(f"Nothing was published to {to}{why}".rstrip(".") + ". Is the gateway running there?")
    if qos and result.in_flight:
        raise Failed(f"{count(result.in_flight)} publishes were never answered by {to}.")
