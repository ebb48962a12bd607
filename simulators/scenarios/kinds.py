"""The kinds of written values that scenarios have beyond those of the gateway's configuration."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from config.units import format_duration
from simulators.units import parse_rate_bits_per_s

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number between two bounds, both included."""

    minimum: float
    maximum: float
    secret: bool = False

    @property
    def expected(self) -> str:
        return f"a number from {self.minimum:g} to {self.maximum:.12g}"

    def parse(self, text: str) -> float:
        if not _NUMBER.fullmatch(text) or not self.minimum <= float(text) <= self.maximum:
            raise ValueError(f"expected {self.expected}, found {text!r}")
        return float(text)

    def write(self, value: Any) -> str:
        return f"{value:.12g}"

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent:
    """A share, written as `20%`; the setting is between 0 and 1."""

    maximum: float = 1.0
    expected: str = "a share such as 20% or 0.5%"
    secret: bool = False

    def parse(self, text: str) -> float:
        number = text.removesuffix("%").rstrip()
        if not text.endswith("%") or not _NUMBER.fullmatch(number):
            raise ValueError(f"expected {self.expected}, found {text!r}")
        share = float(number) / 100
        if share > self.maximum:
            raise ValueError(f"expected a share of at most {self.maximum:.0%}, found {text!r}")
        return share

    def write(self, value: Any) -> str:
        return f"{100 * value:g}%"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BitRate:
    """A rate of bits a second: `512kbit`, `10Mbit`."""

    expected: str = "a rate such as 512kbit or 10Mbit"
    secret: bool = False

    def parse(self, text: str) -> float:
        try:
            bits = parse_rate_bits_per_s(text)
        except ValueError as error:
            raise ValueError(f"expected {self.expected}, found {text!r}") from error
        if not 1_000 <= bits <= 1e11:
            raise ValueError(f"expected a rate from 1kbit to 100Gbit, found {text!r}")
        return bits

    def write(self, value: Any) -> str:
        return f"{value / 1000:g}kbit"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "examples": ["512kbit", "10Mbit"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOfDay:
    """`14:00`, as seconds after midnight. YAML 1.1 reads such a word as a number to base 60; here it stays a text."""

    expected: str = "a time of day such as 14:00"
    secret: bool = False

    def parse(self, text: str) -> float:
        found = _TIME_OF_DAY.fullmatch(text)
        if not found or int(found[1]) * 60 + int(found[2]) > 24 * 60:
            raise ValueError(f"expected {self.expected}, found {text!r}")
        return int(found[1]) * 3600.0 + int(found[2]) * 60.0

    def write(self, value: Any) -> str:
        hours, seconds = divmod(int(value), 3600)
        return f"{hours:02d}:{seconds // 60:02d}"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": _TIME_OF_DAY.pattern}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A date and time, as RFC 3339 writes it; UTC where no offset is written."""

    expected: str = "a date and time such as 2025-06-16T06:00:00Z"
    secret: bool = False

    def parse(self, text: str) -> datetime:
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"expected {self.expected}, found {text!r}") from error
        if not 1990 <= found.year <= 2100:
            raise ValueError(f"expected a time between the years 1990 and 2100, found {text!r}")
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)

    def write(self, value: Any) -> str:
        return str(value.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


def shown_duration(seconds: float) -> str:
    """As a scenario writes it, rounded to milliseconds."""
    return format_duration(round(seconds, 3)) if math.isfinite(seconds) else "for ever"
