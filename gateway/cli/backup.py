"""`fieldgate backup`: the data folder and the configuration in one file, while the gateway runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import GATEWAY_FILE, GatewayConfig, found
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from config.settings import GatewaySettings

EXAMPLE = """\b
Example:
  fieldgate backup -c /etc/fieldgate/gateway.yaml /mnt/usb/edge-01.tar.gz
The file holds what devices said and password hashes: keep it as safe as the box itself."""


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write, a .tar.gz; the folder must be there.")],
    config: GatewayConfig = None,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Leave out the configuration, password and ACL files.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Overwrite FILE without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Back up the data folder; the gateway may be running.

    Holds all records that wait, dead letters, sessions, retained messages, history and events as they were at one
    moment, and the configuration with the password and ACL files that it names. Private keys and the passwords of
    uplinks are not in it.
    """
    from bridge.clock import SystemClock
    from config.loader import load_gateway
    from gateway.cli.progress import ProgressLine
    from gateway.cli.words import size
    from gateway.spool.backup import back_up
    from gateway.words import counted

    path = found(config, GATEWAY_FILE)
    settings = load_gateway(path, os.environ)
    if not file.parent.is_dir():
        raise Failed(f"There is no folder {file.parent}. Make it, or give another one.")
    if file.exists() and not yes:
        if not sys.stdin.isatty():
            raise Failed(f"{file} is there already. Give another name, or --yes to overwrite it.")
        typer.confirm(f"{file} is there already. Overwrite it?", abort=True, err=True)
    try:
        with ProgressLine(sys.stderr) as line:
            made = back_up(
                settings.gateway.data_dir,
                file,
                gateway=settings.gateway.id,
                configuration=() if data_only else _files(path, settings),
                now_us=SystemClock().now_us(),
                on_progress=lambda what, done, of: line.show(f"{what}: {size(done)} of {size(max(done, of))}"),
            )
    except OSError as error:
        if error.filename is None or not Path(error.filename).name.startswith(f".{file.name}."):
            raise
        raise Failed(f"{file} can't be written: {error.strerror}. Give another folder, or make it yours.") from error
    if as_json:
        document = {
            "file": str(made.file), "size_bytes": made.size_bytes, "made_at": made.made_at, "records": made.records,
            "dead_letters": made.dead_letters, "files": [name.partition("/")[2] for name in made.files],
        }  # fmt: skip
        typer.echo(json.dumps(document))
        return
    beside = f"; with {', '.join(name.partition('/')[2] for name in made.files)}" if made.files else ""
    typer.echo(
        f"Wrote {file}, {size(made.size_bytes)}: {counted(made.records, 'record')}, "
        f"{counted(made.dead_letters, 'dead letter')}{beside}."
    )


def _files(path: Path | None, settings: GatewaySettings) -> list[Path]:
    """The configuration, and the files of users and rights that it names."""
    files = [path, settings.api.password_file, settings.api.token_file]
    for access in settings.access:
        files += [access.password_file, access.acl_file]
    return [file for file in files if file is not None]
