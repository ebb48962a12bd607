"""`fieldgate dlq`: what could not be delivered, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from gateway.cli.api_options import AsJson, Yes
from gateway.cli.asking import Where, asks
from gateway.cli.record_text import Payload
from gateway.cli.tail_options import PayloadOption

if TYPE_CHECKING:
    from gateway.cli.records import Records

EXAMPLE = """\b
Example:
  fieldgate dlq list
  fieldgate dlq show 7
Where no gateway runs, they are looked for in its data folder."""

PAGE: Final = 500

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Dead letters: list, show, replay, discard or export them."
)

Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Which, by their ids.", min=1)]
All = Annotated[bool, typer.Option("--all", help="All of them, or those that the next options describe.")]
Stream = Annotated[str | None, typer.Option("--stream", metavar="NAME", help="Only those of this stream.")]
Uplink = Annotated[str | None, typer.Option("--uplink", metavar="NAME", help="Only those of this uplink.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="WORD", help="Only those with this reason.")]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="UPLINK", help="Deliver them through this uplink. Left out: each through its own."),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where it goes. Left out: standard output.")
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


@app.command("list", epilog="\b\nExample:\n  fieldgate dlq list --reason too_large")
@asks
def listing(
    where: Where,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")] = 50,
    stream: Stream = None,
    uplink: Uplink = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    from gateway.words import count, counted

    letters: list[dict[str, Any]] = []
    before: int | None = None
    with where.records() as records:
        while True:
            wanted = min(limit - len(letters), PAGE)
            query = {"limit": wanted, "before": before, "stream": stream, "uplink": uplink, "reason": reason}
            page = records.letters(query)
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
    if not page["total"]:
        typer.echo(_none(is_narrowed=bool(stream or uplink or reason)))
        return
    typer.echo(
        f"{count(len(letters))} shown; {count(page['total'])} in all, with {counted(page['records'], 'record')}."
    )


@app.command(epilog="\b\nExample:\n  fieldgate dlq show 7 --payload full")
@asks
def show(
    where: Where,
    letter: Annotated[int, typer.Argument(metavar="ID", help="Which.", min=1)],
    payload: PayloadOption = Payload.SHORT,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter and its first records."""
    from gateway.cli.dead_letter_text import head
    from gateway.cli.lines import Printer

    with where.records() as records:
        found = records.letter(letter)
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


@app.command(
    epilog="\b\nExample:\n  fieldgate dlq replay 7 8\n  fieldgate dlq replay --all --reason refused --yes\n"
    "  fieldgate dlq replay --all --uplink old --to cloud"
)
@asks
def replay(
    where: Where,
    ids: Ids = None,
    every: All = False,
    stream: Stream = None,
    uplink: Uplink = None,
    reason: Reason = None,
    to: To = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Have dead letters delivered after all, as new records.

    Fails when some of them could not be taken back into their stream; those stay dead letters. One whose uplink
    does not carry its stream any more needs another one: --to.
    """
    body = _which(ids or [], every=every, stream=stream, uplink=uplink, reason=reason)
    if to is not None:
        body["to"] = to
    with where.records() as records:
        answer = _do(records, "replay", body, "Replay {}?", yes=yes or bool(ids), as_json=as_json)
    if answer.get("refused"):
        raise typer.Exit(1)


@app.command(epilog="\b\nExample:\n  fieldgate dlq discard 7\n  fieldgate dlq discard --all --stream alarms")
@asks
def discard(
    where: Where,
    ids: Ids = None,
    every: All = False,
    stream: Stream = None,
    uplink: Uplink = None,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give dead letters up for good. Asks, unless --yes."""
    body = _which(ids or [], every=every, stream=stream, uplink=uplink, reason=reason)
    with where.records() as records:
        _do(records, "discard", body, "Discard {} for good?", yes=yes, as_json=as_json)


@app.command(epilog="\b\nExample:\n  fieldgate dlq export -o letters.ndjson")
@asks
def export(where: Where, ids: Ids = None, output: Output = None, force: Force = False) -> None:
    """Write the records of dead letters, one JSON object a line; without ids: of all."""
    from gateway.cli.exporting import export as write

    with where.records() as records:
        total = None if ids else int(records.letters({"limit": 1})["records"])
        write(records.letter_lines(ids or None), output, total=total, force=force, what="record")


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


def _none(*, is_narrowed: bool) -> str:
    return "There are no dead letters" + (" of that kind." if is_narrowed else ".")


def _do(
    records: Records,
    action: Literal["replay", "discard"],
    body: dict[str, Any],
    question: str,
    *,
    yes: bool,
    as_json: bool,
) -> dict[str, Any]:
    from gateway.cli.ask import confirm
    from gateway.cli.dead_letter_text import described
    from gateway.cli.shown import shown

    narrowed = {name: value for name, value in body.items() if name not in {"ids", "all", "to"}}
    if not ("ids" in body or yes or as_json) and not records.letters({"limit": 1, **narrowed})["dead_letters"]:
        typer.echo(_none(is_narrowed=bool(narrowed)))  # not asked about: there is nothing to answer
        return {}
    confirm(question.format(described(body.get("ids", []), narrowed)), yes=yes)
    answer = records.act_on_letters(action, body)
    typer.echo(json.dumps(answer, indent=2) if as_json else shown(str(answer["message"])))
    return answer
