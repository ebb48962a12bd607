"""`fieldgate restore`: a backup becomes the data folder."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import GATEWAY_FILE, GatewayConfig, found
from gateway.cli.outcome import Failed

EXAMPLE = """\b
Example:
  systemctl stop fieldgate
  fieldgate restore -c /etc/fieldgate/gateway.yaml /mnt/usb/edge-01.tar.gz
Run it as the user that runs the gateway, so that the gateway can use the folder."""

AGAIN = (
    "Every stream begins a new epoch, so that no record is taken for one that was seen before. Records that were "
    "delivered after the backup was made are sent again, and the receiver takes them for new ones."
)

_UNKNOWN_FOLDER = (
    "Nothing here says which folder the data goes to: there is no gateway.yaml, and the backup has one of its own. "
    "Unpack that one first (tar -xzf {file} --strip-components=1 config), or give another with -c; then restore again. "
    "Nothing was changed."
)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `fieldgate backup` wrote.")],
    config: GatewayConfig = None,
    files_to: Annotated[
        Path | None,
        typer.Option("--files-to", metavar="FOLDER", help="Write the configuration files of the backup there, too."),
    ] = None,
    partly: Annotated[
        bool, typer.Option("--partly", help="Go on where not all records in the backup can be read.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Begin anew with what is in a backup; the gateway must be stopped.

    The whole backup is checked before anything changes. Data that is there is set aside, not deleted.
    """
    from config.loader import load_gateway_with_origins
    from gateway.broker.session import without_exchanges
    from gateway.cli.progress import ProgressLine
    from gateway.spool.restore import look_at
    from gateway.spool.restore import restore as bring_back
    from gateway.words import counted

    path = found(config, GATEWAY_FILE)
    loaded = load_gateway_with_origins(path, os.environ)
    data_dir = loaded.settings.gateway.data_dir
    manifest = look_at(file)
    if path is None and loaded.origins["gateway.data_dir"] == "default" and len(manifest.members) > 1:
        raise Failed(_UNKNOWN_FOLDER.format(file=shlex.quote(str(file))))
    if not yes:
        if not sys.stdin.isatty():
            raise Failed("There is no terminal to ask on. Give --yes to restore without asking.")
        typer.echo(f"The backup of gateway {_plain(manifest.gateway)} was made at {_plain(manifest.made_at)}. {AGAIN}")
        typer.confirm(f"Set aside what is in {data_dir}, and begin with the backup?", abort=True, err=True)
    with ProgressLine(sys.stderr) as line:
        done = bring_back(
            file,
            data_dir,
            files_to=files_to,
            partly=partly,
            session=without_exchanges,
            on_progress=lambda what, at, of: line.show(f"{what}: {_share(at, of)}"),
        )
    if as_json:
        document = {
            "data_dir": str(data_dir), "gateway": manifest.gateway, "made_at": manifest.made_at,
            "records": done.records, "lost_records": done.lost_records, "streams": done.streams,
            "set_aside": None if done.set_aside is None else str(done.set_aside), "files": list(map(str, done.files)),
            "message": AGAIN,
        }  # fmt: skip
        typer.echo(json.dumps(document))
        return
    typer.echo(
        f"Restored {counted(done.records, 'record')} of {counted(done.streams, 'stream')}, as they waited at "
        f"{_plain(manifest.made_at)}, into {data_dir}."
    )
    if done.lost_records:
        typer.echo(f"Of the backup {counted(done.lost_records, 'record')} could not be read.")
    if done.set_aside is not None:
        typer.echo(f"What was there is in {done.set_aside}; delete the folder when you no longer need it.")
    for path in done.files:
        typer.echo(f"Wrote {path}.")
    typer.echo(AGAIN)


def _share(done: int, total: int) -> str:
    return f"{100 * done // max(total, 1)} %"


def _plain(text: str) -> str:
    """A manifest may come from anybody: nothing of it is told to the terminal but what can be seen."""
    from gateway.logs import escaped

    return escaped(text)
