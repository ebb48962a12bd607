"""What was done, by whom, and whether it was let pass: one line an action in the log `fieldgate.audit`."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from bridge.web.errors import Problem
from bridge.web.routes import Call, Route

logger = logging.getLogger("fieldgate.audit")

Outcome = Literal["done", "refused", "failed"]
"""`refused`: it was not allowed or not possible; `failed`: it broke on the way."""

OnAudit = Callable[["Audit"], None]

MAX_TARGET_LENGTH: Final = 200
TOLD_OF_VIEWER: Final = 20
TOLD_WITHIN_S: Final = 3600.0
MAX_VIEWERS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One action. `user` is None for a stranger; `why` says in a sentence what was wrong, unless it was done.

    `user`, `target` and `why` are fit for a log: what a caller wrote is escaped and cut.
    """

    user: str | None
    role: str | None
    address: str
    action: str
    target: str
    outcome: Outcome
    why: str = ""

    @property
    def sentence(self) -> str:
        """What a person reads: "anna: disconnect a device: pump-1: done"."""
        parts = (self.user or "a stranger", self.action, self.target, self.outcome, self.why)
        return ": ".join(part for part in parts if part)


def of(route: Route, call: Call, problem: Problem | None) -> Audit:
    """What a call of an audited route came to; `problem` None: it was done."""
    return Audit(
        user=None if call.user is None else printable(call.user),
        role=call.role,
        address=call.address,
        action=route.audit or "",
        target=printable(call.target or ""),
        outcome="done" if problem is None else "refused" if problem.status < 500 else "failed",
        why="" if problem is None else printable(problem.message),
    )


class Viewers:
    """How much is told of each who may only look: TOLD_OF_VIEWER actions in TOLD_WITHIN_S. Pure; `now_s` is monotonic.

    To log in and out and to be refused is all that they can do, as often as they like; they must neither fill the disk
    by it, nor push what operators did out of the list of events.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By user: since when is counted, and how many there were."""

    def admit(self, user: str, now_s: float) -> bool:
        """Whether this one is told of, too; it counts."""
        since_s, told = self._told.get(user, (now_s, 0))
        if now_s - since_s >= TOLD_WITHIN_S:
            since_s, told = now_s, 0
        self._told[user] = since_s, min(told + 1, TOLD_OF_VIEWER + 1)
        self._told.move_to_end(user)
        if len(self._told) > MAX_VIEWERS:
            self._told.popitem(last=False)
        return told < TOLD_OF_VIEWER


def write(audit: Audit, *, always: bool) -> None:
    """Put it into the log: what was done as information, the rest as a warning.

    `always`: it is not left out as a repetition. Lines about strangers are, or they could fill the disk.
    """
    logger.log(
        logging.INFO if audit.outcome == "done" else logging.WARNING,
        "Asked to %s: %s",  # the wording by which repetitions are known
        audit.action,
        f"{audit.outcome}: {audit.why}" if audit.why else audit.outcome,
        extra={
            "user": audit.user,
            "role": audit.role,
            "address": audit.address,
            "action": audit.action,
            "target": audit.target,
            "outcome": audit.outcome,
            "always": always,
        },
    )


def printable(text: str) -> str:
    """What a caller wrote, with nothing in it that a terminal or a log would obey, cut at MAX_TARGET_LENGTH."""
    cut = text if len(text) <= MAX_TARGET_LENGTH else f"{text[:MAX_TARGET_LENGTH]}…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
