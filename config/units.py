"""Durations and sizes as people write them: `250ms`, `1m30s`, `128KiB`, `1GiB`. Pure.

A number without its unit is refused, so that nobody has to guess: 250 what?
"""

from __future__ import annotations

import re
from decimal import Decimal

from config.errors import nearest

DURATION_UNITS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
"""Seconds in each unit of time, smallest first."""

SIZE_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
"""Bytes in each unit of size."""

_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
DURATION_PATTERN = rf"^(?:{_NUMBER} ?(?:us|ms|s|m|h|d))+$"
SIZE_PATTERN = rf"^{_NUMBER} ?(?:B|KB|MB|GB|KiB|MiB|GiB)$"

_PART = re.compile(rf"({_NUMBER}) ?([^0-9. ]*)")


def parse_duration(text: str) -> float:
    """Seconds of a written duration: `250ms`, `1.5s`, `1m30s` (units fall); ValueError says what is wrong."""
    parts = _parts(text, "a duration such as 250ms, 30s or 1h")
    if any(not unit for _, unit in parts):
        raise ValueError(f"{text!r} has no unit; write {_with_units(text, 'ms', 's')}")
    total, last = Decimal(0), Decimal("Infinity")
    for number, unit in parts:
        if unit not in DURATION_UNITS:
            hint = nearest(unit, DURATION_UNITS)
            raise ValueError(f"{unit!r} in {text!r} is not a unit of time; expected us, ms, s, m, h or d{hint}")
        if DURATION_UNITS[unit] >= last:
            raise ValueError(f"the units of {text!r} must fall from large to small, each once, as in 1h30m")
        last = DURATION_UNITS[unit]
        total += Decimal(number) * last
    return float(total)


def format_duration(seconds: float) -> str:
    """The shortest exact way to write so many seconds: 0.25 is `250ms`, 604800 is `7d`."""
    exact = Decimal(repr(float(seconds)))
    for unit in reversed(DURATION_UNITS):
        count = exact / DURATION_UNITS[unit]
        if exact and count == count.to_integral_value():
            return f"{count.to_integral_value():f}{unit}"
    return f"{exact:f}s" if exact else "0s"


def parse_size(text: str) -> int:
    """Bytes of a written size: `128KiB`, `1GB`, `1.5MiB`; ValueError says what is wrong."""
    parts = _parts(text, "a size such as 128KiB or 1GiB")
    if len(parts) != 1:
        raise ValueError(f"{text!r} is not a size; write one number and one unit, such as 128KiB or 1GiB")
    number, unit = parts[0]
    if not unit:
        raise ValueError(f"{text!r} has no unit; write {_with_units(text, 'B', 'KiB', 'MiB')}")
    if unit not in SIZE_UNITS:
        raise ValueError(f"{unit!r} in {text!r} is not a unit of size; {_size_hint(number, unit)}")
    total = Decimal(number) * SIZE_UNITS[unit]
    if total != total.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(total)


def format_size(size_bytes: int) -> str:
    """The shortest exact way to write so many bytes: 131072 is `128KiB`, 1000000 is `1MB`, 1500 is `1500B`."""
    for unit in ("GiB", "MiB", "KiB", "GB", "MB", "KB"):
        if size_bytes and size_bytes % SIZE_UNITS[unit] == 0:
            return f"{size_bytes // SIZE_UNITS[unit]}{unit}"
    return f"{size_bytes}B"


def _parts(text: str, expected: str) -> list[tuple[str, str]]:
    if text.startswith("-"):
        raise ValueError(f"expected {expected}, found {text!r}, which is negative")
    if not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        raise ValueError(f"expected {expected}, found {text!r}")
    return _PART.findall(text)


def _with_units(text: str, *units: str) -> str:
    *first, last = (f"{text}{unit}" for unit in units)
    return f"{', '.join(first)} or {last}"


def _size_hint(number: str, unit: str) -> str:
    letter = unit[0].upper()
    if unit.upper() in {"K", "M", "G"}:
        return f"write {number}{letter}B (powers of 1000) or {number}{letter}iB (powers of 1024)"
    return f"expected B, KB, MB, GB, KiB, MiB or GiB{nearest(unit, SIZE_UNITS)}"
