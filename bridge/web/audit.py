"""What was done, by whom, and whether it was let pass: one line an action in the log `fieldgate.audit`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

logger = logging.getLogger("fieldgate.audit")

Outcome = Literal["done", "refused", "failed"]
"""`refused`: it was not allowed or not possible; `failed`: it broke on the way."""

OnAudit = Callable[["Audit"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One action. `user` is None for a stranger; `why` says in a sentence what was wrong, unless it was done."""

    user: str | None
    role: str | None
    address: str
    action: str
    target: str
    outcome: Outcome
    why: str = ""
