"""`fieldgate top`: a gateway at work, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.api_options import Api, AsJson, CaFile, Token, TokenFile, client
from gateway.cli.options import GatewayConfig
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from gateway.cli.api_client import ApiClient
    from gateway.cli.top_page import View

EXAMPLE = """\b
Example:
  fieldgate top
  fieldgate top --once --json"""

_KEYS: Final = "q ends, p holds it"


def top(
    interval: Annotated[
        float, typer.Option("--interval", metavar="S", min=0.2, help="Seconds between two looks.")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Watch a gateway at work.

    Verdict, rates, uplinks, streams and the busiest devices, until q or Ctrl-C. Where there is no terminal: a line each
    time; with --json an object a line.
    """
    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    view = look(asked)
    if as_json:
        _lines(asked, view, interval, once=once, as_json=True)
    elif once:
        from rich.console import Console

        from gateway.cli.top_page import page

        console = Console()
        console.print(page(view, columns=console.width))
    elif sys.stdout.isatty():
        _live(asked, view, interval)
    else:
        _lines(asked, view, interval, once=False, as_json=False)


def look(asked: ApiClient) -> View:
    """What the interface says now. Raises Failed."""
    from gateway.cli.top_page import DEVICES, View

    return View(
        overview=asked.get("/api/v1/overview"),
        streams=asked.get("/api/v1/streams"),
        devices=asked.get("/api/v1/devices", {"sort": "per_s", "order": "desc", "limit": DEVICES}),
    )


def _lines(asked: ApiClient, view: View, interval_s: float, *, once: bool, as_json: bool) -> None:
    import json

    from gateway.cli.top_page import plain

    try:
        while True:
            typer.echo(json.dumps(view.to_dict()) if as_json else plain(view))
            if once:
                return
            time.sleep(interval_s)
            view = look(asked)
    except KeyboardInterrupt:
        return


def _live(asked: ApiClient, view: View, interval_s: float) -> None:
    from rich.live import Live

    from gateway.cli.keys import key_within, single_keys
    from gateway.cli.top_page import page

    note, trouble, is_held = _KEYS, "", False
    try:
        with single_keys() as has_keys, Live(screen=True, auto_refresh=False) as live:
            while True:
                live.update(page(view, columns=live.console.width, note=note, trouble=trouble), refresh=True)
                key = None
                if has_keys:
                    key = key_within(interval_s)
                else:
                    time.sleep(interval_s)
                if key in {"q", "Q", ""}:
                    return
                if key in {"p", "P", " "}:
                    is_held = not is_held
                note = "held; p goes on, q ends" if is_held else _KEYS
                if is_held:
                    continue
                try:
                    view, trouble = look(asked), ""
                except Failed as error:  # it may be restarted: what was seen last stays on the screen, below this
                    trouble = f"{error} Trying again."
    except KeyboardInterrupt:
        return
