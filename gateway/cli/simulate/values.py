"""Written values on the command line: what can't be read is wrong usage, with the sentence that says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from gateway.errors import CannotListen
    from simulators.units import Endpoint

Value = TypeVar("Value")


def read(option: str, text: str, parse: Callable[[str], Value]) -> Value:
    """`text` of `option` as `parse` reads it; its ValueError becomes a usage error (exit code 2)."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def read_if_given(option: str, text: str | None, parse: Callable[[str], Value]) -> Value | None:
    """As `read`, and None for an option that was left out."""
    return None if text is None else read(option, text, parse)


def cannot_listen(option: str, at: Endpoint, error: OSError) -> CannotListen:
    """The error of an address, given with `option`, that can't be had."""
    from config.settings import Address
    from gateway.errors import CannotListen

    return CannotListen(option, Address(host=at.host, port=at.port), error)
