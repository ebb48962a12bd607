"""What came of reading a configuration again, as the HTTP interface tells it, and the route that has it done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bridge.web import schemas as s
from bridge.web.operation import Operation
from bridge.web.routes import Call, Problem, Route
from config.report import Proposal, Report

Reload = Callable[[str], Awaitable[Report]]
"""Reads the file again, for whoever is named."""

PATH: Final = "/api/v1/configuration/reload"
WRONG: Final = {422: "The configuration has mistakes; nothing was changed."}

EFFECT: Final = s.words("live", "restart")
_MISTAKE: Final = s.thing(
    {"file": s.TEXT, "line": s.maybe(s.COUNT), "key": s.maybe(s.TEXT), "message": s.TEXT},
)
_CHANGE: Final = s.thing(
    {
        "key": s.TEXT,
        "before": s.maybe(s.TEXT),
        "after": s.maybe(s.TEXT),
        "effect": EFFECT,
        "reason": s.told(s.TEXT, "Why it waits for a restart; empty where it does not."),
    }
)
PROPOSAL: Final[Mapping[str, Any]] = {
    "is_valid": s.FLAG,
    "problems": s.listed(_MISTAKE),
    "changes": s.listed(_CHANGE),
    "advice": s.listed(s.TEXT),
}


def shape(more: Mapping[str, Any] | None = None) -> s.Part:
    """The schema of what `reported` makes; `more`: of what the program tells besides."""
    done = {"applied": s.listed(s.TEXT), "waiting_for_restart": s.listed(s.TEXT), "message": s.TEXT}
    return s.thing({**PROPOSAL, **(more or {}), **done})


def proposed(proposal: Proposal) -> dict[str, Any]:
    """What a text would come to."""
    return {
        "is_valid": proposal.is_valid,
        "problems": [item.to_dict() for item in proposal.problems],
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
    }


def reported(report: Report) -> dict[str, Any]:
    """What was done. Raises Problem 422 when it was refused."""
    if not report.is_valid:
        raise Problem(422, report.message, problems=[item.to_dict() for item in report.problems])
    return {
        **proposed(report),
        "applied": list(report.applied),
        "waiting_for_restart": list(report.waiting_for_restart),
        "message": report.message,
    }


def reload_route(
    reload: Reload, *, tell: Callable[[Report], dict[str, Any]] = reported, answer: s.Part | None = None
) -> Route:
    """The route; `tell` and `answer` where a program tells more than `reported`."""

    async def handler(call: Call) -> dict[str, Any]:
        return tell(await reload(call.user or ""))

    return Route(
        method="POST",
        path=PATH,
        handler=handler,
        role="operator",
        audit="reload the configuration",
        operation=Operation(
            summary="Read the file again, and every file that it names: what SIGHUP does",
            tag="configuration",
            body=s.EMPTY,
            answer=answer or shape(),
            statuses=WRONG,
        ),
    )
