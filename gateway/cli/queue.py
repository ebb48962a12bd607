"""`fieldgate queue`: what waits for the cloud, and the uplinks that carry it."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.api_options import Api, AsJson, CaFile, Token, TokenFile, client
from gateway.cli.options import GatewayConfig
from gateway.cli.outcome import Failed
from gateway.cli.record_text import Payload
from gateway.cli.tail_options import PayloadOption

if TYPE_CHECKING:
    from gateway.cli.api_client import ApiClient

EXAMPLE = """\b
Example:
  fieldgate queue peek
  fieldgate queue pause cloud"""

PATH: Final = "/api/v1/queue"
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
def peek(
    stream: StreamName = None,
    from_seq: FromSeq = None,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, help="So many records.")] = 20,
    payload: PayloadOption = Payload.SHORT,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the first records that wait in a stream; nothing is taken away."""
    from gateway.cli.lines import Printer
    from gateway.cli.words import count as written

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    name = stream or _only(asked, "stream")
    printer = Printer(payload, as_json=as_json)
    next_seq: int | None = from_seq
    page: dict[str, Any] = {}
    while printer.printed < count:
        page = asked.get(_path(name), {"from_seq": next_seq, "limit": min(count - printer.printed, PAGE)})
        for record in page["records"]:
            printer.record(record, more=True)
        next_seq = page["next_from_seq"]
        if next_seq is None or not page["records"]:
            break
    if not as_json:
        waiting = page["next_seq"] - page["first_seq"]
        typer.echo(f"{written(printer.printed)} of {written(waiting)} records of {name}.", err=True)


@app.command(epilog="\b\nExample:\n  fieldgate queue export telemetry -o queue.ndjson")
def export(
    stream: StreamName = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where it goes. Left out: standard output.")
    ] = None,
    from_seq: FromSeq = None,
    to_seq: Annotated[int | None, typer.Option("--to", metavar="SEQ", min=1, help="End with this number.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
) -> None:
    """Write the records that wait in a stream, one JSON object a line; nothing is taken away."""
    from gateway.cli.exporting import export as write

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    name = stream or _only(asked, "stream")
    page = asked.get(_path(name), {"limit": 1})
    first = max(page["first_seq"], from_seq or 0)
    end = page["next_seq"] if to_seq is None else min(page["next_seq"], to_seq + 1)
    lines = asked.lines(f"{_path(name)}/export", {"from_seq": from_seq, "to_seq": to_seq})
    write(lines, output, total=max(0, end - first), force=force, what="records")


@app.command(epilog="\b\nExample:\n  fieldgate queue pause cloud")
def pause(
    uplink: UplinkName = None,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Have an uplink send nothing, until `resume`; a restart does not end that."""
    _act(client(api, config, token=token, token_file=token_file, ca_file=ca_file), uplink, "pause", as_json=as_json)


@app.command(epilog="\b\nExample:\n  fieldgate queue resume cloud")
def resume(
    uplink: UplinkName = None,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Have a paused uplink send again."""
    _act(client(api, config, token=token, token_file=token_file, ca_file=ca_file), uplink, "resume", as_json=as_json)


@app.command(epilog="\b\nExample:\n  fieldgate queue drain cloud")
def drain(
    uplink: UplinkName = None,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Have an uplink connect at once, and send what waits without lingering."""
    _act(client(api, config, token=token, token_file=token_file, ca_file=ca_file), uplink, "drain", as_json=as_json)


def _act(asked: ApiClient, uplink: str | None, action: str, *, as_json: bool) -> None:
    from gateway.cli.shown import shown

    name = uplink or _only(asked, "uplink")
    answer = asked.post(f"/api/v1/uplinks/{urllib.parse.quote(name, safe='')}/{action}", {})
    typer.echo(json.dumps(answer, indent=2) if as_json else shown(str(answer["message"])))


def _path(stream: str) -> str:
    return f"{PATH}/{urllib.parse.quote(stream, safe='')}"


def _only(asked: ApiClient, noun: str) -> str:
    """The name of the one stream or uplink that there is. Raises Failed where there are others."""
    names = [str(one["name"]) for one in asked.get("/api/v1/streams")[f"{noun}s"]]
    if len(names) == 1:
        return names[0]
    raise Failed(f"There are several {noun}s; say which: {', '.join(names)}.")
