"""`fieldgate import`: the configuration of another broker as one of the gateway's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.api_options import AsJson
from gateway.cli.options import GATEWAY_FILE
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from gateway.cli.import_mosquitto.remarks import Remark

EXAMPLE = """\b
Example:
  fieldgate import mosquitto /etc/mosquitto/mosquitto.conf -o gateway.yaml"""

MOSQUITTO_EXAMPLE = """\b
Example:
  fieldgate import mosquitto /etc/mosquitto/mosquitto.conf -o gateway.yaml
  fieldgate import mosquitto mosquitto.conf > gateway.yaml"""

_HAS_IPV6: Final = Path("/proc/net/if_inet6")

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make a gateway.yaml of another broker's configuration."
)


@app.command(epilog=MOSQUITTO_EXAMPLE)
def mosquitto(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A mosquitto.conf; its include_dir is read, too.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where the gateway.yaml goes. Left out: standard output."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a gateway.yaml of a mosquitto.conf.

    Its password and ACL files are used as they are. What could not be carried over is listed, each with its file, its
    line and why; nothing is dropped in silence, and no door becomes wider than it was. Fails when `fieldgate check`
    would not take the result.
    """
    from gateway.cli.import_mosquitto.reading import read_conf
    from gateway.cli.import_mosquitto.translation import NOT_KNOWN, translate
    from gateway.cli.import_mosquitto.writing import report, yaml_text

    lines = read_conf(file)
    imported = translate(lines, has_ipv6=_has_ipv6())
    if lines and len(lines) == sum(one.sentence.startswith(NOT_KNOWN) for one in imported.remarks):
        raise Failed(f"No line of {file} is an option of Mosquitto's. Give the name of a mosquitto.conf.")
    if not imported.has_doors:
        for line in report(imported.remarks):
            typer.echo(line, err=True)
        raise Failed(f"No listener of {file} could be carried over, so there is nothing to write.")
    text = yaml_text(imported, str(file))
    problems = _problems(text, name=str(output or GATEWAY_FILE))
    if output is not None:
        _write(output, text, force=force)
    if as_json:
        _print_json(None if output is not None else text, imported.remarks, problems)
    else:
        if output is None:
            typer.echo(text, nl=False)
        for line in report(imported.remarks):
            typer.echo(line, err=True)
        if output is not None:
            typer.echo(f"Written: {output}. Try it: fieldgate check -c {output}, then fieldgate doctor.", err=True)
    if problems:
        raise Failed("The gateway would not start with it yet:\n" + "\n".join(f"  {problem}" for problem in problems))


def _print_json(text: str | None, remarks: tuple[Remark, ...], problems: list[str]) -> None:
    import json

    body = {
        "yaml": text,
        "remarks": [
            {"kind": one.kind.value, "place": one.place, "option": one.option, "sentence": one.sentence}
            for one in remarks
        ],
        "problems": problems,
    }
    typer.echo(json.dumps(body, indent=2, ensure_ascii=False))


def _has_ipv6() -> bool:
    try:
        return bool(_HAS_IPV6.read_text())
    except OSError:
        return False


def _problems(text: str, *, name: str) -> list[str]:
    """What `fieldgate check` would say against a file of that name."""
    import tempfile

    from config.errors import ConfigError
    from config.loader import load_gateway
    from gateway.accesses import check_files

    with tempfile.TemporaryDirectory(prefix="fieldgate-import-") as folder:
        path = Path(folder) / "gateway.yaml"
        path.touch(mode=0o600)
        path.write_text(text)
        try:
            settings = load_gateway(path, {})
            check_files(settings.access)
        except ConfigError as error:
            return [str(problem).replace(str(path), name) for problem in error.problems]
    return []


def _write(path: Path, text: str, *, force: bool) -> None:
    """A new file that only its owner reads: it may hold a password of a bridge."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Failed(f"{path} is there already. Give another name, or --force to write over it.") from error
