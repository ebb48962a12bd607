"""`fieldgate tail`: records as they come."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.cli.api_options import Api, AsJson, CaFile, Token, TokenFile, client
from gateway.cli.options import GatewayConfig
from gateway.cli.outcome import Failed
from gateway.cli.record_text import Payload
from gateway.cli.tail_options import Count, PayloadOption

EXAMPLE = """\b
Example:
  fieldgate tail 'plant/+/temp'
  fieldgate tail --json --count 100 > records.jsonl"""

PATH = "/api/v1/tail"


def tail(
    filters: Annotated[
        list[str] | None, typer.Argument(metavar="[FILTER]…", help="Topic filters. Left out: everything.")
    ] = None,
    count: Count = None,
    payload: PayloadOption = Payload.SHORT,
    retained: Annotated[bool, typer.Option("--retained", help="Begin with what is retained.")] = False,
    api: Api = None,
    config: GatewayConfig = None,
    token: Token = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show records as the gateway takes them.

    Time, client, topic and payload of what was committed to disk, until Ctrl-C, SIGTERM or --count records; each
    line is written at once, into files too. What comes faster than it can be shown is counted, and said.
    """
    from gateway.cli.ending import Ending
    from gateway.cli.lines import Printer
    from gateway.cli.shown import shown

    asked = client(api, config, token=token, token_file=token_file, ca_file=ca_file)
    printer = Printer(payload, as_json=as_json)
    query = {"filter": filters or ["#"], "retained": "true" if retained else None}
    try:
        with Ending() as ending:
            for event in asked.follow(PATH, query):
                body = json.loads(event.data)
                with ending.held():
                    if event.name == "record":
                        printer.record(body)
                    elif event.name == "lost":
                        printer.lost(int(body.get("count", 0)))
                    elif event.name == "began":
                        typer.echo(f"Following {shown(', '.join(body['filters']))}. Ctrl-C ends it.", err=True)
                if count is not None and printer.printed >= count:
                    return
    except KeyboardInterrupt:
        return
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise Failed(f"{asked.url(PATH)} sent an event that is none of a gateway's: {error}.") from error
    raise Failed(f"{asked.url(PATH)} ended the stream: the gateway stops, or is restarted.")
