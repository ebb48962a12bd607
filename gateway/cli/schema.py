"""`fieldgate schema`: JSON Schema for editors."""

from __future__ import annotations

import enum
import json
from typing import Annotated

import typer

EXAMPLE = """\b
Example:
  fieldgate schema gateway > gateway.schema.json"""


class Kind(enum.StrEnum):
    """The two files that Fieldgate reads."""

    GATEWAY = "gateway"
    RECEIVER = "receiver"


def schema(kind: Annotated[Kind, typer.Argument(help="Which file's schema.")] = Kind.GATEWAY) -> None:
    """Print the JSON Schema of a configuration.

    With it an editor completes and checks gateway.yaml or receiver.yaml.
    """
    from config.schema import gateway_schema, receiver_schema

    made = gateway_schema() if kind is Kind.GATEWAY else receiver_schema()
    typer.echo(json.dumps(made, indent=2))
