"""Any CSV with a header, played as devices.

A column `device`, `device_id` or `id` names the device of a row; without one the rows go round the fleet in turn. A
column `time`, `timestamp`, `ts`, `datetime` or `date` sets the pace: rows keep their distances in time, scaled so that
the mean is the asked-for rate; without one they come evenly. A time is RFC 3339 / ISO 8601 (UTC when it names no zone)
or a number of seconds or milliseconds since 1970. At its end the file begins again; the counter `n` that is added to
every payload goes on, so that no two payloads are alike.
"""

from __future__ import annotations

import bisect
import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from simulators.profiles import Message

DEVICE_COLUMNS = ("device", "device_id", "id")
TIME_COLUMNS = ("time", "timestamp", "ts", "datetime", "date")
MAX_ROWS = 2_000_000
_NOT_IN_A_TOPIC = re.compile(r"[+#/\s\x00-\x1f\x7f]+")
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,3})?")
_MILLISECONDS_FROM = 1e11  # as seconds that would be the year 5138


class ReplayError(ValueError):
    """The file can't be played; the text begins with its name and the line."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.path = path
        self.line = line


@dataclass(frozen=True, slots=True)
class _Row:
    time_s: float | None
    device: str | None
    values: dict[str, object]


class ReplayFeed:
    """The rows of a file as a feed; see the module's text. Raises ReplayError, or OSError when it can't be read."""

    def __init__(self, path: Path, *, count: int, rate_per_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._rows = list(_read(path))
        self._offsets_s = self._pace()
        named = sorted({row.device for row in self._rows if row.device is not None})
        self.clients: Sequence[str] = tuple(named) or tuple(f"replay-{number + 1:04d}" for number in range(count))
        self._device_of = {name: index for index, name in enumerate(self.clients)}
        self._what = _NOT_IN_A_TOPIC.sub("-", path.stem) or "replay"
        self._counter = "replay_n" if "n" in self._rows[0].values else "n"
        self._taken = 0

    def _pace(self) -> list[float] | None:
        """When each row is due, in seconds from the start; None: evenly."""
        if self._rows[0].time_s is None:
            return None
        self._rows.sort(key=lambda row: row.time_s or 0.0)
        times_s = [row.time_s or 0.0 for row in self._rows]
        span_s = times_s[-1] - times_s[0]
        if span_s <= 0:
            return None
        scale = len(times_s) / self._rate_per_s / span_s
        return [(time_s - times_s[0]) * scale for time_s in times_s]

    def due(self, elapsed_s: float) -> int:
        """As the file's times say, at the rate in the mean."""
        if self._offsets_s is None:
            return int(elapsed_s * self._rate_per_s)
        rounds, within_s = divmod(elapsed_s, len(self._rows) / self._rate_per_s)
        return int(rounds) * len(self._rows) + bisect.bisect_right(self._offsets_s, within_s)

    def take(self, can_speak: Callable[[int], bool], now_us: int) -> tuple[int, Message] | None:  # noqa: ARG002
        """The next row, when its device can speak: the rows keep their order."""
        row = self._rows[self._taken % len(self._rows)]
        name = self.clients[self._taken % len(self.clients)] if row.device is None else row.device
        device = self._device_of[name]
        if not can_speak(device):
            return None
        self._taken += 1
        payload = json.dumps({**row.values, self._counter: self._taken}, separators=(",", ":"), ensure_ascii=False)
        return device, Message(topic=f"plant/replay/{name}/{self._what}", payload=payload.encode())


def _read(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        rows = 0
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            device_at, time_at = _column(header, DEVICE_COLUMNS), _column(header, TIME_COLUMNS)
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise ReplayError(path, reader.line_num, f"{len(fields)} fields, but the header has {len(header)}.")
                rows += 1
                if rows > MAX_ROWS:
                    raise ReplayError(path, reader.line_num, f"More than {MAX_ROWS} rows; split the file.")
                yield _Row(
                    None if time_at is None else _time_s(path, reader.line_num, header[time_at], fields[time_at]),
                    None if device_at is None else _device(path, reader.line_num, fields[device_at]),
                    {name: _value(field) for name, field in zip(header, fields, strict=True)},
                )
        except csv.Error as error:
            raise ReplayError(path, reader.line_num, f"This is not CSV: {error}.") from error
        except UnicodeDecodeError as error:
            raise ReplayError(path, reader.line_num + 1, f"This is not UTF-8 text: {error.reason}.") from error
    if not rows:
        raise ReplayError(path, 1, "There is a header but no row to play.")


def _check_header(path: Path, header: list[str]) -> None:
    if not any(header):
        raise ReplayError(path, 1, "There is no header: the first line must name the columns.")
    for place, name in enumerate(header):
        if not name:
            raise ReplayError(path, 1, f"Column {place + 1} has no name.")
        if name in header[:place]:
            raise ReplayError(path, 1, f"Two columns are called {name!r}.")


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    lowered = [name.lower() for name in header]
    return next((lowered.index(name) for name in names if name in lowered), None)


def _device(path: Path, line: int, text: str) -> str:
    name = _NOT_IN_A_TOPIC.sub("-", text.strip())
    if not name:
        raise ReplayError(path, line, "The row names no device.")
    return name


def _time_s(path: Path, line: int, column: str, text: str) -> float:
    text = text.strip()
    if _DECIMAL.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number / 1000 if number >= _MILLISECONDS_FROM else number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{column} {text!r} is no time: expected one like 2025-06-15T12:00:00Z, or seconds since 1970."
        raise ReplayError(path, line, problem) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _value(field: str) -> object:
    """A number where the field is one, null where it is empty, else the text."""
    text = field.strip()
    if not text:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return field
