"""`fieldgate simulate`: devices, a cloud broker, a bad link and whole scenarios to try the gateway with."""

from __future__ import annotations

import typer

from gateway.cli.simulate import cloud, devices, link, scenario

EXAMPLE = """\b
Example:
  fieldgate simulate devices --to mqtt://127.0.0.1:1883 --count 20 --rate 100"""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Devices, a cloud broker, a bad link, or a whole scenario, to try it with.",
)
app.command(epilog=devices.EXAMPLE)(devices.devices)
app.command(epilog=cloud.EXAMPLE)(cloud.cloud)
app.command(epilog=link.EXAMPLE)(link.link)
app.command(epilog=scenario.EXAMPLE)(scenario.scenario)
