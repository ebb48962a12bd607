"""`fieldgate check`: is this configuration right, and what does it come to?"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.api_options import AsJson
from gateway.cli.options import GATEWAY_FILE, RECEIVER_FILE
from gateway.cli.outcome import BAD_CONFIGURATION, report

if TYPE_CHECKING:  # what it needs is imported when a file is read: `--help` is not to wait for it
    from config.errors import ConfigError
    from config.loader import Loaded
    from config.settings import GatewaySettings, ReceiverSettings

EXAMPLE = """\b
Example:
  fieldgate check -c gateway.yaml
  fieldgate check -c gateway.yaml --json"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """What was found about one file, or about none."""

    path: Path | None
    found: Loaded[GatewaySettings] | Loaded[ReceiverSettings] | ConfigError
    """What it comes to, or what is wrong with it."""
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`, with the names that the HTTP interface has for the same."""
        from config.describe import effective_values
        from config.errors import ConfigError

        problems = self.found.problems if isinstance(self.found, ConfigError) else ()
        values = () if isinstance(self.found, ConfigError) else effective_values(self.found)
        return {
            "file": None if self.path is None else str(self.path),
            "is_right": not problems,
            "problems": [each.to_dict() for each in problems],
            "advice": list(self.advice),
            "values": [{"key": each.key, "value": each.text, "origin": each.origin} for each in values],
        }


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
    as_json: AsJson = False,
) -> None:
    """Validate a configuration and show what it comes to.

    Prints every mistake with its file and line (exit code 78), those in the files that it names too: passwords, tokens,
    ACL files, certificates; or the effective settings: each key with where its value came from, secrets masked.
    """
    from config.errors import ConfigError

    files: list[Path | None] = [config]
    if config is None:
        files = [path for path in (GATEWAY_FILE, RECEIVER_FILE) if path.is_file()] or [None]
    checked = [_check(path) for path in files]
    if as_json:
        typer.echo(json.dumps([each.to_dict() for each in checked], indent=2, ensure_ascii=False))
    else:
        for each in checked:
            _print(each)
    is_wrong = any(isinstance(each.found, ConfigError) for each in checked)
    raise typer.Exit(BAD_CONFIGURATION if is_wrong else 0)


def _print(checked: _Checked) -> None:
    from config.describe import describe
    from config.errors import ConfigError

    for sentence in checked.advice:
        typer.echo(f"Warning: {sentence}", err=True)
    if isinstance(checked.found, ConfigError):
        report(checked.found)
        return
    typer.echo(describe(checked.found).rstrip())
    typer.echo(
        f"{checked.path} is right." if checked.path else "No file here: these are the gateway's defaults.", err=True
    )


def _check(path: Path | None) -> _Checked:
    from config.errors import ConfigError

    advice: list[str] = []
    found: Loaded[GatewaySettings] | Loaded[ReceiverSettings] | ConfigError
    try:
        with _warnings_in(advice):
            found = _read(path, advice)
    except ConfigError as error:
        found = error
    return _Checked(path=path, found=found, advice=tuple(advice))


def _read(path: Path | None, sentences: list[str]) -> Loaded[GatewaySettings] | Loaded[ReceiverSettings]:
    """Raises ConfigError; what is right, and still to be thought about, is put among the sentences."""
    from config.advice import advice
    from config.loader import load_gateway_with_origins, load_receiver_with_origins, program_of
    from gateway.named_files import check_named_files, check_receiver_files

    if path is not None and program_of(path) == "receiver":
        receiver = load_receiver_with_origins(path, os.environ)
        check_receiver_files(receiver)
        return receiver
    gateway = load_gateway_with_origins(path, os.environ)
    sentences.extend(advice(gateway.settings))
    check_named_files(gateway)
    return gateway


@contextlib.contextmanager
def _warnings_in(sentences: list[str]) -> Iterator[None]:
    """What the reading of a file has to say goes to the person, not to a log."""

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sentences.append(record.getMessage())

    root = logging.getLogger()
    handlers, root.handlers[:] = list(root.handlers), [Kept(logging.WARNING)]
    try:
        yield
    finally:
        root.handlers[:] = handlers
