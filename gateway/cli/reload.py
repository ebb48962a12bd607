"""`fieldgate reload`: have a running gateway or receiver read its configuration again."""

from __future__ import annotations

from typing import Any

import typer

from gateway.cli.api_options import Api, AsJson, CaFile, Token, TokenFile, client
from gateway.cli.options import EitherConfig
from gateway.cli.outcome import BAD_CONFIGURATION

EXAMPLE = """\b
Example:
  fieldgate check -c /etc/fieldgate/gateway.yaml && fieldgate reload -c /etc/fieldgate/gateway.yaml
  fieldgate reload -c /etc/fieldgate/receiver.yaml"""

PATH = "/api/v1/configuration/reload"
TIMEOUT_S = 600.0
"""Uplinks that are others now are stopped in order: what is in flight has the grace period of the gateway."""


def reload(
    api: Api = None,
    config: EitherConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Have a running gateway or receiver read its configuration again, as SIGHUP does.

    What can change without losing a connection or the queue does; what waits for a restart is named. A file with
    mistakes in it changes nothing: they are printed, and the exit code is 78.
    """
    from gateway.cli.api_client import RequestRefused

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file, may_be_receiver=True)
    try:
        report = asked.post(PATH, {}, timeout_s=TIMEOUT_S)
    except RequestRefused as error:
        if error.status != 422:
            raise
        problems = error.error.get("problems")
        if isinstance(problems, list) and problems and all(isinstance(one, dict) for one in problems):
            _print(error.error)
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(BAD_CONFIGURATION) from None
    if as_json:
        import json

        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(report)


def _print(report: dict[str, Any]) -> None:
    from gateway.cli.shown import shown

    problems = report.get("problems") or []
    for problem in problems:
        where = ":".join(str(part) for part in (problem.get("file"), problem.get("line")) if part is not None)
        told = [part for part in (where, problem.get("key"), problem.get("message")) if part]
        typer.echo(shown(f"  {': '.join(told)}"), err=True)
    for change in () if problems else report.get("changes") or []:
        typer.echo(shown(_line(change)))
    for sentence in report.get("advice") or []:
        typer.echo(shown(f"Warning: {sentence}"), err=True)
    typer.echo(shown(str(report.get("message", ""))), err=bool(problems))


def _line(change: dict[str, Any]) -> str:
    before, after = change.get("before"), change.get("after")
    if before is None:
        what = f"{change['key']}: new: {after}"
    elif after is None:
        what = f"{change['key']}: taken out"
    else:
        what = f"{change['key']}: {before} -> {after}"
    return what if change.get("effect") == "live" else f"{what}  (waits for a restart)"
