"""The values of options as Mosquitto reads them; what it would not take becomes a remark. Pure."""

from __future__ import annotations

import re

from gateway.cli.import_mosquitto.conf import Line, Section
from gateway.cli.import_mosquitto.remarks import Remarks

_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


def flag(section: Section, option: str, remarks: Remarks) -> tuple[bool | None, Line | None]:
    """`true` or `false`, and the line that says so; None where none does."""
    line = section.take(option)
    if line is None:
        return None, None
    if line.value in {"true", "false", "1", "0"}:
        return line.value in {"true", "1"}, line
    remarks.left_out(line, "expected true or false; Mosquitto does not take it either.")
    return None, line


def whole(section: Section, option: str, remarks: Remarks, *, lowest: int = 0) -> tuple[int | None, Line | None]:
    """A whole number, and the line that says so; None where none does."""
    line = section.take(option)
    if line is None:
        return None, None
    if re.fullmatch(r"-?[0-9]{1,18}", line.value) and int(line.value) >= lowest:
        return int(line.value), line
    remarks.left_out(line, f"expected a whole number from {lowest} on; Mosquitto does not take it either.")
    return None, line


def text(section: Section, option: str, remarks: Remarks) -> tuple[str | None, Line | None]:
    """What stands behind the option; None where nothing does."""
    line = section.take(option)
    if line is None:
        return None, None
    if line.value:
        return line.value, line
    remarks.left_out(line, "there is no value behind it; Mosquitto does not take it either.")
    return None, line


def expiration(value: str) -> str | None:
    """`2m`, `14d`, `1y` of `persistent_client_expiration` as a duration of ours: there `m` is a month."""
    found = re.fullmatch(r"([0-9]{1,6})([hdwmy])", value)
    if found is None:
        return None
    return f"{found[1]}h" if found[2] == "h" else f"{int(found[1]) * _DAYS[found[2]]}d"
