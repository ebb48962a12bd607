"""`fieldgate doctor`: what is wrong with this box, and what to do about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.api_options import AsJson
from gateway.cli.options import GATEWAY_FILE, GatewayConfig, found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import GatewaySettings
    from gateway.cli.doctor.finding import Finding, Report

EXAMPLE = """\b
Example:
  fieldgate doctor -c /etc/fieldgate/gateway.yaml
Run it as the user who runs the gateway: sudo -u fieldgate fieldgate doctor …"""


def doctor(
    config: GatewayConfig = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave out the way to the cloud.")] = False,
    no_publish: Annotated[bool, typer.Option("--no-publish", help="Publish no probe to the cloud.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", min=0.1, help="Seconds for each step.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong, and say what to do.

    The configuration and its files, the data folder and its disk, clock, limits, ports, certificates; and the way to
    each cloud broker, step by step, up to a probe of four bytes that receivers count and ignore. A gateway may be
    running. Fails when something is wrong.
    """
    from gateway.cli.doctor.finding import is_well, summary

    findings: list[Finding] = []
    show = _nothing if as_json else _Page().show
    for report in _reports(found(config, GATEWAY_FILE), offline=offline, publishes=not no_publish, timeout_s=timeout):
        findings += report.findings
        show(report)
    if as_json:
        import json

        body = {"is_well": is_well(findings), "findings": [one.to_dict() for one in findings]}
        typer.echo(json.dumps(body, indent=2, ensure_ascii=False))
    else:
        typer.echo(summary(findings))
    if not is_well(findings):
        raise typer.Exit(1)


def _reports(path: Path | None, *, offline: bool, publishes: bool, timeout_s: float) -> Iterator[Report]:
    """One after the other, as they are made: the last ones may take a while."""
    import datetime as dt

    from gateway.cli.doctor import doors, machine, proc
    from gateway.cli.doctor.folder import check_folder

    report, settings = _configuration(path)
    yield report
    now = dt.datetime.now(dt.UTC)
    yield machine.check_clock(now, is_synchronised=machine.kernel_clock_is_synchronised())
    if settings is None:
        return
    report, gateway = check_folder(settings)
    yield report
    yield machine.check_limits(settings, gateway)
    yield machine.check_memory(settings, proc.available_bytes(proc.read("/proc/meminfo")))
    yield doors.check_ports(settings, gateway)
    yield doors.check_certificates(settings, now)
    yield doors.check_access_files(settings)
    for uplink in settings.uplinks if not offline else ():
        from gateway.cli import loop
        from gateway.cli.doctor.link import check_link

        yield loop.run(check_link(settings, uplink, timeout_s=timeout_s, publishes=publishes))


def _configuration(path: Path | None) -> tuple[Report, GatewaySettings | None]:
    from config.advice import advice
    from config.errors import ConfigError
    from config.loader import load_gateway
    from gateway.cli.doctor.finding import Report

    report = Report("configuration")
    try:
        settings = load_gateway(path, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            report.wrong(str(problem), "Mend it; `fieldgate check` says whether it is right.")
        return report, None
    report.ok(f"{path} is right" if path is not None else f"no ./{GATEWAY_FILE} here: these are the defaults")
    for sentence in advice(settings):
        report.warning(sentence, "")
    return report, settings


def _nothing(_report: Report) -> None:
    """For programs everything comes at the end."""


class _Page:
    """Prints findings; in colours on a terminal."""

    def __init__(self) -> None:
        encoding = (sys.stdout.encoding or "").lower().replace("-", "")
        self._has_unicode = encoding in {"utf8", "utf16", "utf32"}
        self._paint: Callable[[str, str | None], str] = self._coloured if sys.stdout.isatty() else self._plain

    def show(self, report: Report) -> None:
        """An area and what was found there; nothing for one without findings."""
        from gateway.cli.doctor.finding import COLOURS, lines

        if not report.findings:
            return
        typer.echo(self._paint(report.area, None))
        for finding in report.findings:
            first, *rest = lines(finding, has_unicode=self._has_unicode)
            mark, _, text = first.partition(" ")
            typer.echo(f"  {self._paint(mark, COLOURS[finding.level])} {text}")
            for line in rest:
                typer.echo(f"  {line}")

    @staticmethod
    def _coloured(text: str, colour: str | None) -> str:
        return typer.style(text, fg=colour, bold=True)

    @staticmethod
    def _plain(text: str, _colour: str | None) -> str:
        return text
