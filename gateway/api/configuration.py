"""/api/v1/configuration: what holds and where it came from; a new one, checked, applied or refused."""

from __future__ import annotations

from typing import Any, Final

from bridge.web import reports
from bridge.web.operation import Operation
from bridge.web.routes import Call, Problem, Route
from config.report import Proposal, Report
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.api.shapes import moment
from gateway.configuration_file import ConfigurationError, FileChanged

MAX_TEXT: Final = 512 * 1024

_NOW: Final = s.thing(
    {
        "file": s.told(s.maybe(s.TEXT), "null: it runs with the defaults."),
        "read_at": s.TIME,
        "values": s.listed(s.thing({"key": s.TEXT, "value": s.TEXT, "origin": s.TEXT, "change": reports.EFFECT})),
        "waiting_for_restart": s.listed(s.TEXT),
    }
)
_BASE: Final = {"base": s.told(s.TEXT, "Stands for the file as it is now; applying wants it back.")}
_REPORT: Final = reports.shape(_BASE)
_TEXT: Final = s.told({"type": "string", "maxLength": MAX_TEXT}, "The whole file, as YAML.")


def routes(parts: Parts) -> list[Route]:
    """Look, check, apply, reload."""
    configuration = parts.configuration

    async def now(_call: Call) -> dict[str, Any]:
        return {
            "file": None if configuration.path is None else str(configuration.path),
            "read_at": moment(configuration.read_at_us),
            "values": [
                {"key": item.key, "value": item.value, "origin": item.origin, "change": item.change.value}
                for item in configuration.effective()
            ],
            "waiting_for_restart": list(configuration.waiting_for_restart),
        }

    async def check(call: Call) -> dict[str, Any]:
        return _proposal(await configuration.check(call.body["text"]))

    async def apply(call: Call) -> dict[str, Any]:
        try:
            report = await configuration.apply(call.body["text"], call.body["base"], call.user or "")
        except FileChanged as error:
            raise Problem(409, str(error)) from error
        except ConfigurationError as error:
            raise Problem(507 if isinstance(error.__cause__, OSError) else 409, str(error)) from error
        return _reported(report)

    return [
        Route(
            method="GET",
            path="/api/v1/configuration",
            handler=now,
            operation=Operation(summary="What holds, and where it came from", tag="configuration", answer=_NOW),
        ),
        Route(
            method="POST",
            path="/api/v1/configuration/check",
            handler=check,
            role="operator",
            audit="check a configuration",
            operation=Operation(
                summary="What a new file would come to; changes nothing",
                tag="configuration",
                body=s.thing({"text": _TEXT}),
                answer=s.thing({**reports.PROPOSAL, **_BASE}),
            ),
        ),
        Route(
            method="POST",
            path="/api/v1/configuration",
            handler=apply,
            role="operator",
            audit="apply a configuration",
            operation=Operation(
                summary="Write a new file, and have it in force",
                tag="configuration",
                body=s.thing({"text": _TEXT, "base": {"type": "string", "maxLength": 200}}),
                answer=_REPORT,
                statuses={
                    **reports.WRONG,
                    409: "The file was changed meanwhile, or there is none.",
                    507: "The file can't be written.",
                },
            ),
        ),
        reports.reload_route(configuration.reload, tell=_reported, answer=_REPORT),
    ]


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {**reports.proposed(proposal), "base": proposal.base}


def _reported(report: Report) -> dict[str, Any]:
    """Raises Problem 422 when it was refused."""
    return {**reports.reported(report), "base": report.base}
