"""`fieldgate simulate scenario`: a described stretch of traffic, mishaps and weather, and the ledger of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.simulate.values import read_if_given

if TYPE_CHECKING:
    from simulators.scenarios.account import Account
    from simulators.scenarios.options import ScenarioOptions

EXAMPLE = """\b
Example:
  fieldgate simulate scenario storm-after-a-power-cut"""


def scenario(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A YAML file, or the name of a ready-made one.", show_default=False),
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="Show the ready-made scenarios and end.")] = False,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A gateway that is there. Left out: everything is started here."),
    ] = None,
    received: Annotated[
        Path | None,
        typer.Option(
            "--received", metavar="FILE", help="With --url: what its receiver wrote (.db or .jsonl), to compare with."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="S", help="Instead of the scenario's own seed.", show_default=False)
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Write the schedule there, as JSON lines.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Keep the run's files in here, in a folder of their own."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The ledger as JSON; progress goes to standard error.")
    ] = False,
) -> None:
    """Play a scenario, and make the ledger.

    Fleets of devices publish, lose their connections and come back, the link to the cloud has its weather, and at the
    end everything that was acknowledged has to have arrived. The same seed plays the same schedule again. Fails when
    the ledger does not add up; Ctrl-C makes the ledger of what happened until then.
    """
    import asyncio

    from simulators.scenarios.options import ScenarioOptions
    from simulators.scenarios.ready import find_scenario
    from simulators.units import parse_broker_url

    if list_them:
        _list(as_json)
        return
    if file is None:
        raise typer.BadParameter("Name a file or a ready-made scenario; --list shows those.", param_hint="FILE")
    to = read_if_given("--url", url, parse_broker_url)
    try:
        options = ScenarioOptions(
            scenario=find_scenario(file), seed=seed, to=to, received=received, folder=folder, record=record
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    # asyncio's own loop, as in the demo: the road's processes get a process group of their own, which uvloop can't.
    account = asyncio.run(_play(options, as_json))
    raise typer.Exit(0 if account.adds_up else 1)


async def _play(options: ScenarioOptions, as_json: bool) -> Account:
    import json

    from rich.console import Console

    from gateway.cli.stop import stop_on_signals
    from simulators.scenarios.board import show_account
    from simulators.scenarios.play import play_scenario

    console = Console(stderr=as_json)
    with stop_on_signals() as stop:
        account = await play_scenario(options, console=console, stop=stop)
    if as_json:
        typer.echo(json.dumps(account.to_dict(), indent=2))
    else:
        show_account(console, account)
    return account


def _list(as_json: bool) -> None:
    import json

    from simulators.scenarios.ready import find_scenario, ready_names

    found = [find_scenario(name) for name in ready_names()]
    if as_json:
        rows = [
            {
                "name": item.name,
                "shows": item.shows,
                "duration_s": item.duration_s,
                "devices": sum(fleet.count for fleet in item.fleets),
            }
            for item in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max(len(item.name) for item in found)
    for item in found:
        typer.echo(f"{item.name:<{width}}  {item.duration_s:3.0f} s  {item.shows}")
