"""`fieldgate check`: is this configuration right, and what does it come to?"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import GATEWAY_FILE, RECEIVER_FILE

EXAMPLE = """\b
Example:
  fieldgate check -c gateway.yaml"""


def check(
    config: Annotated[
        Path | None,
        typer.Option(
            "-c",
            "--config",
            metavar="FILE",
            help="A gateway.yaml or a receiver.yaml. Left out: those of the current directory, else the defaults.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Validate a configuration and show what it comes to.

    Prints every mistake with its file and line (exit code 78), those in the files that it names too: passwords, tokens,
    ACL files, certificates; or the effective settings: each key with where its value came from, secrets masked.
    """
    from config.errors import ConfigError
    from gateway.cli.outcome import report

    files: list[Path | None] = [config]
    if config is None:
        files = [path for path in (GATEWAY_FILE, RECEIVER_FILE) if path.is_file()] or [None]
    exit_code = 0
    for path in files:
        try:
            typer.echo(_effective(path))
            typer.echo(f"{path} is right." if path else "No file here: these are the gateway's defaults.", err=True)
        except ConfigError as error:
            exit_code = report(error)
    raise typer.Exit(exit_code)


def _effective(path: Path | None) -> str:
    from config.advice import advice
    from config.describe import describe
    from config.loader import load_gateway_with_origins, load_receiver_with_origins, program_of
    from gateway.named_files import check_named_files, check_receiver_files

    with _warnings_shown():
        if path is not None and program_of(path) == "receiver":
            receiver = load_receiver_with_origins(path, os.environ)
            check_receiver_files(receiver)
            return describe(receiver).rstrip()
        loaded = load_gateway_with_origins(path, os.environ)
        for sentence in advice(loaded.settings):
            typer.echo(f"Warning: {sentence}", err=True)
        check_named_files(loaded)
    return describe(loaded).rstrip()


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    """What the reading of a file has to say goes to the person, not to a log."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            typer.echo(f"Warning: {record.getMessage()}", err=True)

    root = logging.getLogger()
    handlers, root.handlers[:] = list(root.handlers), [Shown(logging.WARNING)]
    try:
        yield
    finally:
        root.handlers[:] = handlers
