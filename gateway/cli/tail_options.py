"""What `tail` and `sub` have in common on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.record_text import Payload

Count = Annotated[int | None, typer.Option("--count", "-n", metavar="N", min=1, help="End after so many records.")]
PayloadOption = Annotated[
    Payload, typer.Option("--payload", help="full; short: as much as fits on the line; none: its size only.")
]
