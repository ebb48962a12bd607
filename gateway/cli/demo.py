"""`fieldgate demo`: the whole of it on this machine, with an outage and a crash, in about a minute."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLE = """\b
Example:
  fieldgate demo --keep"""


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the ledger, until Ctrl-C.")] = False,
) -> None:
    """Show it working: devices, gateway, a cloud that goes away, a crash, and a ledger that adds up at the end."""
    raise NotImplementedError(keep)
