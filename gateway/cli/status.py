"""`fieldgate status`: how a running gateway or receiver stands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.api_options import Api, CaFile, Token, TokenFile, client
from gateway.cli.options import EitherConfig

if TYPE_CHECKING:
    from gateway.cli.api_client import ApiClient

EXAMPLE = """\b
Example:
  fieldgate status --api http://127.0.0.1:8080 --json"""

REFRESH_S = 1.0


def status(
    api: Api = None,
    config: EitherConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the status as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second until Ctrl-C.")] = False,
) -> None:
    """Show how a running gateway stands.

    Is the data safe, and when will it be delivered? A receiver can be asked, too: give its configuration or address.
    """
    from gateway.cli.fetch import fetch_status

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file, may_be_receiver=True)
    if as_json:
        import json

        typer.echo(json.dumps(fetch_status(asked), indent=2, ensure_ascii=False))
    elif watch:
        _watch(asked)
    else:
        from rich.console import Console

        Console().print(_rendered(fetch_status(asked)))


def _watch(asked: ApiClient) -> None:
    from rich.live import Live

    from gateway.cli.fetch import fetch_status

    try:
        with Live(_rendered(fetch_status(asked)), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_S)
                live.update(_rendered(fetch_status(asked)), refresh=True)
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
