"""`fieldgate status`: how a running gateway stands."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import typer

from gateway.cli.options import GATEWAY_FILE, GatewayConfig, found

EXAMPLE = """\b
Example:
  fieldgate status --api http://127.0.0.1:8080 --json"""

REFRESH_S = 1.0


def status(
    api: Annotated[
        str | None,
        typer.Option("--api", metavar="URL", help="Where the HTTP interface is. Left out: as the configuration says."),
    ] = None,
    config: GatewayConfig = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the status as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second until Ctrl-C.")] = False,
) -> None:
    """Show how a running gateway stands.

    Is the data safe, and when will it be delivered? A receiver can be asked, too: give its address with --api.
    """
    from gateway.cli.fetch import fetch_status

    url = api if api is not None else _configured(config)
    if as_json:
        import json

        typer.echo(json.dumps(fetch_status(url), indent=2, ensure_ascii=False))
    elif watch:
        _watch(url)
    else:
        from rich.console import Console

        Console().print(_rendered(fetch_status(url)))


def _configured(config: GatewayConfig) -> str:
    from config.loader import load_gateway
    from gateway.cli.fetch import url_of

    return url_of(load_gateway(found(config, GATEWAY_FILE), os.environ).api.bind)


def _watch(url: str) -> None:
    from rich.live import Live

    from gateway.cli.fetch import fetch_status

    try:
        with Live(_rendered(fetch_status(url)), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_S)
                live.update(_rendered(fetch_status(url)), refresh=True)
    except KeyboardInterrupt:
        return


def _rendered(status: dict[str, Any]) -> Any:
    """The page of a gateway or a receiver; what is neither as indented JSON."""
    from rich.json import JSON

    from gateway.cli import receiver_page, status_page

    for page in (status_page, receiver_page):
        if status.keys() >= page.NEEDS:
            return page.page(status)
    return JSON.from_data(status)
