"""`fieldgate dlq`: what could not be delivered, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.api_options import Api, AsJson, CaFile, Token, TokenFile, Yes, client
from gateway.cli.options import GatewayConfig
from gateway.cli.record_text import Payload
from gateway.cli.tail_options import PayloadOption

EXAMPLE = """\b
Example:
  fieldgate dlq list
  fieldgate dlq show 7"""

PATH: Final = "/api/v1/dead-letters"
PAGE: Final = 500

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Dead letters: list, show, replay, discard or export them."
)

Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Which, by their ids.", min=1)]
All = Annotated[bool, typer.Option("--all", help="All of them, or those that the next options describe.")]
Stream = Annotated[str | None, typer.Option("--stream", metavar="NAME", help="Only those of this stream.")]
Uplink = Annotated[str | None, typer.Option("--uplink", metavar="NAME", help="Only those of this uplink.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="WORD", help="Only those with this reason.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where it goes. Left out: standard output.")
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


@app.command("list", epilog="\b\nExample:\n  fieldgate dlq list --reason too_large")
def listing(
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")] = 50,
    stream: Stream = None,
    uplink: Uplink = None,
    reason: Reason = None,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    from gateway.cli.words import count

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    letters: list[dict[str, Any]] = []
    before: int | None = None
    while True:
        wanted = min(limit - len(letters), PAGE)
        query = {"limit": wanted, "before": before, "stream": stream, "uplink": uplink, "reason": reason}
        page = asked.get(PATH, query)
        letters += page["dead_letters"]
        before = page["next_before"]
        if before is None or len(letters) >= limit:
            break
    if as_json:
        body = {"total": page["total"], "records": page["records"], "dead_letters": letters, "next_before": before}
        typer.echo(json.dumps(body, indent=2))
        return
    if letters:
        from rich.console import Console

        from gateway.cli.dead_letter_text import table

        Console().print(table(letters))
    typer.echo(f"{count(len(letters))} shown; {count(page['total'])} in all, with {count(page['records'])} records.")


@app.command(epilog="\b\nExample:\n  fieldgate dlq show 7 --payload full")
def show(
    letter: Annotated[int, typer.Argument(metavar="ID", help="Which.", min=1)],
    payload: PayloadOption = Payload.SHORT,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter and its first records."""
    from gateway.cli.dead_letter_text import head
    from gateway.cli.lines import Printer

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    found = asked.get(f"{PATH}/{letter}")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for line in head(found):
        typer.echo(line)
    printer = Printer(payload, as_json=False)
    for record in found["records"]:
        printer.record(record, more=True)
    if not found["is_complete"]:
        typer.echo("There are more, or they can't be read; `fieldgate dlq export` gives all.", err=True)


@app.command(epilog="\b\nExample:\n  fieldgate dlq replay 7 8\n  fieldgate dlq replay --all --reason refused --yes")
def replay(
    ids: Ids = None,
    every: All = False,
    stream: Stream = None,
    uplink: Uplink = None,
    reason: Reason = None,
    yes: Yes = False,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Have dead letters delivered after all, as new records.

    Fails when some of them could not be taken back into their stream; those stay dead letters.
    """
    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    body = _which(ids or [], every=every, stream=stream, uplink=uplink, reason=reason)
    answer = _do(asked, "replay", body, "Replay {}?", yes=yes or bool(ids), as_json=as_json)
    if answer.get("refused"):
        raise typer.Exit(1)


@app.command(epilog="\b\nExample:\n  fieldgate dlq discard 7\n  fieldgate dlq discard --all --stream alarms")
def discard(
    ids: Ids = None,
    every: All = False,
    stream: Stream = None,
    uplink: Uplink = None,
    reason: Reason = None,
    yes: Yes = False,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Give dead letters up for good. Asks, unless --yes."""
    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    body = _which(ids or [], every=every, stream=stream, uplink=uplink, reason=reason)
    _do(asked, "discard", body, "Discard {} for good?", yes=yes, as_json=as_json)


@app.command(epilog="\b\nExample:\n  fieldgate dlq export -o letters.ndjson")
def export(
    ids: Ids = None,
    output: Output = None,
    force: Force = False,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Write the records of dead letters, one JSON object a line; without ids: of all."""
    from gateway.cli.exporting import export as write

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    total = None if ids else int(asked.get(PATH, {"limit": 1})["records"])
    lines = asked.lines(f"{PATH}/export", {"id": ids or None})
    write(lines, output, total=total, force=force, what="records")


def _which(
    ids: list[int], *, every: bool, stream: str | None, uplink: str | None, reason: str | None
) -> dict[str, Any]:
    """The body of the request. Raises typer's error for wrong usage."""
    wanted = {"stream": stream, "uplink": uplink, "reason": reason}
    narrowed: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if bool(ids) == every:
        raise typer.BadParameter("Give the ids of dead letters, or --all.")
    if ids and narrowed:
        raise typer.BadParameter("--stream, --uplink and --reason go with --all, not with ids.")
    return {"ids": ids} if ids else {"all": True, **narrowed}


def _do(asked: Any, action: str, body: dict[str, Any], question: str, *, yes: bool, as_json: bool) -> dict[str, Any]:
    from gateway.cli.ask import confirm
    from gateway.cli.dead_letter_text import described
    from gateway.cli.shown import shown

    narrowed = {name: value for name, value in body.items() if name not in {"ids", "all"}}
    confirm(question.format(described(body.get("ids", []), narrowed)), yes=yes)
    answer: dict[str, Any] = asked.post(f"{PATH}/{action}", body)
    typer.echo(json.dumps(answer, indent=2) if as_json else shown(str(answer["message"])))
    return answer
