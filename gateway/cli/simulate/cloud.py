"""`fieldgate simulate cloud`: an embedded cloud broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.simulate.values import cannot_listen, read

if TYPE_CHECKING:
    from simulators.units import Endpoint

EXAMPLE = """\b
Example:
  fieldgate simulate cloud --bind 127.0.0.1:1884"""


def cloud(
    bind: Annotated[str, typer.Option("--bind", metavar="HOST:PORT", help="Where it listens.")] = "127.0.0.1:1884",
) -> None:
    """Run a cloud broker (amqtt) until Ctrl-C.

    It speaks MQTT 3.1.1 only; the uplink and the receiver step down to that, with a warning, unless `protocol: 3.1.1`
    is written. All that it holds is in memory.
    """
    from gateway.cli import loop
    from simulators.units import parse_endpoint

    loop.run(_cloud(read("--bind", bind, parse_endpoint)))


async def _cloud(bind: Endpoint) -> None:
    from gateway.cli.stop import stop_on_signals
    from simulators.cloud import CloudBroker

    broker = CloudBroker(bind)
    with stop_on_signals() as stop:
        try:
            await broker.start()
        except OSError as error:
            raise cannot_listen("--bind", bind, error) from error
        try:
            typer.echo(f"The cloud broker listens on {broker.address}, for MQTT 3.1.1.", err=True)
            await stop.wait()
        finally:
            await broker.stop()
