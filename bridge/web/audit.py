"""What was done, by whom, and whether it was let pass: one line an action in the log `fieldgate.audit`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

logger = logging.getLogger("fieldgate.audit")

Outcome = Literal["done", "refused", "failed"]
"""`refused`: it was not allowed or not possible; `failed`: it broke on the way."""

OnAudit = Callable[["Audit"], None]

MAX_TARGET_LENGTH: Final = 200


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

    def __str__(self) -> str:
        who = "a stranger" if self.user is None else f"{self.user} ({self.role})"
        what = f"{self.action}: {self.target}" if self.target else self.action
        why = f": {self.why}" if self.why else ""
        return f"{who} from {self.address}: {what}: {self.outcome}{why}"


def write(audit: Audit) -> None:
    """Put it into the log: what was done as information, the rest as a warning."""
    logger.log(
        logging.INFO if audit.outcome == "done" else logging.WARNING,
        "%s",
        audit,
        extra={
            "user": audit.user,
            "role": audit.role,
            "address": audit.address,
            "action": audit.action,
            "target": audit.target,
            "outcome": audit.outcome,
        },
    )


def printable(text: str) -> str:
    """What a caller wrote, with nothing in it that a terminal or a log would obey, cut at MAX_TARGET_LENGTH."""
    cut = text if len(text) <= MAX_TARGET_LENGTH else f"{text[:MAX_TARGET_LENGTH]}…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
