"""What is said of a configuration: each value, each change, what a text would come to, and what came of it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from config.errors import Problem


class Applies(enum.Enum):
    """When a change of a key takes hold."""

    LIVE = "live"
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One key of what is in force; secrets masked. `change` says when another value would take hold."""

    key: str
    value: str
    origin: str
    change: Applies


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between what is in force and a file; None: not there. `reason` says why it waits, if it does."""

    key: str
    before: str | None
    after: str | None
    effect: Applies
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a text would come to. `base` is the hash of the file as it is now, for who wants to put another there."""

    problems: Sequence[Problem] = ()
    changes: Sequence[Change] = ()
    advice: Sequence[str] = ()
    base: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether it could be applied."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Proposal):
    """What was done: nothing, where there are problems. `message` is the sentence for whoever asked for it."""

    applied: Sequence[str] = ()
    """Dotted keys that hold now."""
    waiting_for_restart: Sequence[str] = ()
    """All that wait, also since earlier."""
    message: str
