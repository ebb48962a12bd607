"""What a check found, and how it is shown. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.cli.shown import shown


class Level(enum.Enum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`text` says what was found, `advice` what to do about it."""

    area: str
    level: Level
    text: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"area": self.area, "level": self.level.value, "text": self.text, "advice": self.advice}


class Report:
    """Findings of one area as they are made."""

    def __init__(self, area: str) -> None:
        self.area = area
        self.findings: list[Finding] = []

    def ok(self, text: str) -> None:
        """All is well."""
        self._add(Level.OK, text, "")

    def warning(self, text: str, advice: str) -> None:
        """It works, and may not for long."""
        self._add(Level.WARNING, text, advice)

    def wrong(self, text: str, advice: str) -> None:
        """It does not work."""
        self._add(Level.WRONG, text, advice)

    def skipped(self, text: str) -> None:
        """It could not be looked at."""
        self._add(Level.SKIPPED, text, "")

    def _add(self, level: Level, text: str, advice: str) -> None:
        self.findings.append(Finding(area=self.area, level=level, text=text, advice=advice))


MARKS: Final = {Level.OK: "✓", Level.WARNING: "!", Level.WRONG: "✗", Level.SKIPPED: "-"}
PLAIN_MARKS: Final = {Level.OK: "ok", Level.WARNING: "!", Level.WRONG: "X", Level.SKIPPED: "-"}
COLOURS: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "red", Level.SKIPPED: None}


def lines(finding: Finding, *, has_unicode: bool = True) -> list[str]:
    """The mark, what was found, and below it what to do."""
    mark = (MARKS if has_unicode else PLAIN_MARKS)[finding.level]
    word = f"{finding.level.value}: " if finding.level in {Level.WARNING, Level.WRONG} else ""
    made = [f"{mark} {word}{shown(finding.text)}"]
    if finding.advice:
        made.append(f"  {'→' if has_unicode else '->'} {shown(finding.advice)}")
    return made


def is_well(findings: Iterable[Finding]) -> bool:
    """Nothing is wrong; warnings may be."""
    return all(finding.level is not Level.WRONG for finding in findings)


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if not wrong and not warnings:
        return "All is well."
    parts = [f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong"] if wrong else ["Nothing is wrong"]
    if warnings:
        parts.append(f"{warnings} {'warning' if warnings == 1 else 'warnings'}")
    return f"{', '.join(parts)}."
