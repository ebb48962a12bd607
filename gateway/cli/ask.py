"""Before something is done that can't be undone."""

from __future__ import annotations

import sys

import typer

from gateway.cli.outcome import Failed


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal. Raises Failed when the answer is no, or there is nobody to ask and no --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failed("There is no terminal to ask on, and this can't be undone. Give --yes if it is meant.")
    if not typer.confirm(question, err=True):
        raise Failed("Nothing was done.")
