"""What can be wrong with a configuration.

    ConfigError          the configuration can't be used; carries every Problem that was found
      Problem            one mistake: where it is, which key, and a sentence that says what to write instead

A `ConfigError` is the operator's to mend: trying again without an edit never helps.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

DEFAULT = "default"
_VARIABLE = "environment variable "


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value was written: a file with line and column (both from 1), or an environment variable."""

    source: str
    line: int | None = None
    column: int | None = None

    @classmethod
    def variable(cls, name: str) -> Place:
        """The place of what an environment variable holds."""
        return cls(source=_VARIABLE + name)

    @property
    def in_environment(self) -> bool:
        """Whether an environment variable holds the value."""
        return self.source.startswith(_VARIABLE)

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. `file` may also name an environment variable; `key` is dotted: `uplinks[cloud].batch.linger`."""

    file: str
    line: int | None
    column: int | None
    key: str
    message: str

    @classmethod
    def at(cls, place: Place, key: str, message: str) -> Problem:
        """The problem of the value that was written at `place`."""
        return cls(file=place.source, line=place.line, column=place.column, key=key, message=message)

    @property
    def where(self) -> str:
        """`gateway.yaml:14:7`, as editors and terminals understand it."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, for a page or a script."""
        return {"file": self.file, "line": self.line, "key": self.key or None, "message": self.message}

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"


class ConfigError(Exception):
    """The configuration can't be used. `problems` holds all mistakes: file by file, the first that was met first, those
    of the environment last; within a file in the order of its lines, what is about all of it last."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        met = list(problems)
        order = {file: number for number, file in reversed(list(enumerate(problem.file for problem in met)))}
        self.problems = tuple(
            sorted(
                met,
                key=lambda p: (
                    p.file.startswith(_VARIABLE),
                    order[p.file],
                    p.line is None,
                    p.line or 0,
                    p.column or 0,
                ),
            )
        )
        count = len(self.problems)
        head = "1 problem in the configuration:" if count == 1 else f"{count} problems in the configuration:"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


def nearest(written: str, right: Iterable[str], cutoff: float = 0.6) -> str:
    """A half-sentence that offers the right name closest to `written`, or an empty string when none is close."""
    folded = {name.casefold(): name for name in right}
    word = written.casefold()
    found = difflib.get_close_matches(word, folded, n=1, cutoff=cutoff)
    if not found and len(word) >= 3:
        begun = [name for name in folded if name.startswith(word)]
        found = begun if len(begun) == 1 else []
    return f"; did you mean {folded[found[0]]!r}?" if found else ""
