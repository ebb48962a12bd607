"""/api/v1/configuration: what holds and where it came from; a new one, checked, applied or refused."""

from __future__ import annotations

from typing import Any, Final

from bridge.web.operation import Operation
from bridge.web.routes import Call, Problem, Route
from config.errors import Problem as Mistake
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.api.shapes import moment
from gateway.configuration import ConfigurationError, FileChanged, Proposal, Report

MAX_TEXT: Final = 512 * 1024

_EFFECT: Final = s.words("live", "restart")
_NOW: Final = s.thing(
    {
        "file": s.told(s.maybe(s.TEXT), "null: it runs with the defaults."),
        "read_at": s.TIME,
        "values": s.listed(s.thing({"key": s.TEXT, "value": s.TEXT, "origin": s.TEXT, "change": _EFFECT})),
        "waiting_for_restart": s.listed(s.TEXT),
    }
)
_MISTAKE: Final = s.thing(
    {"file": s.TEXT, "line": s.maybe(s.COUNT), "key": s.maybe(s.TEXT), "message": s.TEXT},
)
_CHANGE: Final = s.thing(
    {
        "key": s.TEXT,
        "before": s.maybe(s.TEXT),
        "after": s.maybe(s.TEXT),
        "effect": _EFFECT,
        "reason": s.told(s.TEXT, "Why it waits for a restart; empty where it does not."),
    }
)
_PROPOSAL_PARTS: Final = {
    "is_valid": s.FLAG,
    "problems": s.listed(_MISTAKE),
    "changes": s.listed(_CHANGE),
    "advice": s.listed(s.TEXT),
    "base": s.told(s.TEXT, "Stands for the file as it is now; applying wants it back."),
}
_REPORT: Final = s.thing(
    {**_PROPOSAL_PARTS, "applied": s.listed(s.TEXT), "waiting_for_restart": s.listed(s.TEXT), "message": s.TEXT}
)
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

    async def reload(call: Call) -> dict[str, Any]:
        return _reported(await configuration.reload(call.user or ""))

    wrong = {422: "The configuration has mistakes; nothing was changed."}
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
                answer=s.thing(dict(_PROPOSAL_PARTS)),
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
                    **wrong,
                    409: "The file was changed meanwhile, or there is none.",
                    507: "The file can't be written.",
                },
            ),
        ),
        Route(
            method="POST",
            path="/api/v1/configuration/reload",
            handler=reload,
            role="operator",
            audit="reload the configuration",
            operation=Operation(
                summary="Read the file again, and every file that it names: what SIGHUP does",
                tag="configuration",
                body=s.EMPTY,
                answer=_REPORT,
                statuses=wrong,
            ),
        ),
    ]


def _mistake(item: Mistake) -> dict[str, Any]:
    return {"file": item.file, "line": item.line, "key": item.key or None, "message": item.message}


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {
        "is_valid": proposal.is_valid,
        "problems": [_mistake(item) for item in proposal.problems],
        "changes": [
            {
                "key": change.key,
                "before": change.before,
                "after": change.after,
                "effect": change.effect.value,
                "reason": change.reason,
            }
            for change in proposal.changes
        ],
        "advice": list(proposal.advice),
        "base": proposal.base,
    }


def _reported(report: Report) -> dict[str, Any]:
    """Raises Problem 422 when it was refused."""
    if not report.is_valid:
        raise Problem(422, report.message, problems=[_mistake(item) for item in report.problems])
    return {
        **_proposal(report),
        "applied": list(report.applied),
        "waiting_for_restart": list(report.waiting_for_restart),
        "message": report.message,
    }
