"""`fieldgate queue`: what waits for the cloud, and the uplinks that carry it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.api_options import AsJson
from gateway.cli.asking import Where, asks
from gateway.cli.outcome import Failed
from gateway.cli.record_text import Payload
from gateway.cli.tail_options import PayloadOption

if TYPE_CHECKING:
    from gateway.cli.records import Action

EXAMPLE = """\b
Example:
  fieldgate queue peek
  fieldgate queue pause cloud
Where no gateway runs, the queue is looked for in its data folder."""

PAGE: Final = 1000

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The queue: look into it, export it; pause, resume or drain an uplink.",
)

StreamName = Annotated[
    str | None, typer.Argument(metavar="[STREAM]", help="Its name; left out where there is just one.")
]
UplinkName = Annotated[
    str | None, typer.Argument(metavar="[UPLINK]", help="Its name; left out where there is just one.")
]
FromSeq = Annotated[int | None, typer.Option("--from", metavar="SEQ", min=1, help="Begin at this sequence number.")]


@app.command(epilog="\b\nExample:\n  fieldgate queue peek telemetry --count 5")
@asks
def peek(
    where: Where,
    stream: StreamName = None,
    from_seq: FromSeq = None,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, help="So many records.")] = 20,
    payload: PayloadOption = Payload.SHORT,
    as_json: AsJson = False,
) -> None:
    """Show the first records that wait in a stream; nothing is taken away."""
    from gateway.cli.lines import Printer
    from gateway.words import count as written
    from gateway.words import counted

    printer = Printer(payload, as_json=as_json)
    next_seq: int | None = from_seq
    page: dict[str, Any] = {}
    with where.records() as records:
        name = stream or _only(records.streams(), "stream")
        while printer.printed < count:
            page = records.page(name, next_seq, min(count - printer.printed, PAGE))
            for record in page["records"]:
                printer.record(record, more=True)
            next_seq = page["next_from_seq"]
            if next_seq is None or not page["records"]:
                break
    if not as_json:
        waiting = page["next_seq"] - page["first_seq"]
        shown = f"{written(printer.printed)} of {counted(waiting, 'record')} of {name}."
        typer.echo(shown if waiting else f"Nothing waits in {name}.", err=True)


@app.command(epilog="\b\nExample:\n  fieldgate queue export telemetry -o queue.ndjson")
@asks
def export(
    where: Where,
    stream: StreamName = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where it goes. Left out: standard output.")
    ] = None,
    from_seq: FromSeq = None,
    to_seq: Annotated[int | None, typer.Option("--to", metavar="SEQ", min=1, help="End with this number.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write the records that wait in a stream, one JSON object a line; nothing is taken away."""
    from gateway.cli.exporting import export as write

    with where.records() as records:
        name = stream or _only(records.streams(), "stream")
        page = records.page(name, None, 1)
        first = max(page["first_seq"], from_seq or 0)
        end = page["next_seq"] if to_seq is None else min(page["next_seq"], to_seq + 1)
        lines = records.queue_lines(name, from_seq, to_seq)
        write(lines, output, total=max(0, end - first), force=force, what="record")


@app.command(epilog="\b\nExample:\n  fieldgate queue pause cloud")
@asks
def pause(where: Where, uplink: UplinkName = None, as_json: AsJson = False) -> None:
    """Have an uplink send nothing, until `resume`; a restart does not end that."""
    _act(where, uplink, "pause", as_json=as_json)


@app.command(epilog="\b\nExample:\n  fieldgate queue resume cloud")
@asks
def resume(where: Where, uplink: UplinkName = None, as_json: AsJson = False) -> None:
    """Have a paused uplink send again."""
    _act(where, uplink, "resume", as_json=as_json)


@app.command(epilog="\b\nExample:\n  fieldgate queue drain cloud")
@asks
def drain(where: Where, uplink: UplinkName = None, as_json: AsJson = False) -> None:
    """Have an uplink connect at once, and send what waits without lingering."""
    _act(where, uplink, "drain", as_json=as_json)


def _act(where: Where, uplink: str | None, action: Action, *, as_json: bool) -> None:
    from gateway.cli.shown import shown

    with where.records() as records:
        answer = records.act_on_uplink(uplink or _only(records.uplinks(), "uplink"), action)
    typer.echo(json.dumps(answer, indent=2) if as_json else shown(str(answer["message"])))


def _only(names: list[str], noun: str) -> str:
    """The name of the one stream or uplink that there is. Raises Failed where there are others, or none."""
    if len(names) == 1:
        return names[0]
    if not names:
        raise Failed(f"There is no {noun}.")
    raise Failed(f"There are several {noun}s; say which: {', '.join(names)}.")
