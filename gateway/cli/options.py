"""What several commands share: where the configuration is, and what stands in for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GATEWAY_FILE = Path("gateway.yaml")
RECEIVER_FILE = Path("receiver.yaml")

GatewayConfig = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        help="The configuration. Left out: ./gateway.yaml if it is there, else the defaults.",
        show_default=False,
    ),
]
ReceiverConfig = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        help="The configuration. Left out: ./receiver.yaml if it is there, else the defaults.",
        show_default=False,
    ),
]
EitherConfig = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        help="A gateway.yaml or a receiver.yaml. Left out: ./gateway.yaml or ./receiver.yaml, whichever is there; "
        "where both are, the gateway's; else the gateway's defaults.",
        show_default=False,
    ),
]


def found(given: Path | None, usual: Path) -> Path | None:
    """The file to read: the one given, else the usual one if it is there, else None for the defaults."""
    if given is not None:
        return given
    return usual if usual.is_file() else None
