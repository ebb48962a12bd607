"""The log: one line an event on standard error, as text for people or JSON for machines; repeated lines are limited.

Text:  2026-01-31T12:00:00.123Z INFO    gateway.listener: Listening on 127.0.0.1:1883
JSON:  {"@timestamp":"2026-01-31T12:00:00.123456Z","log.level":"info","message":"Listening on …","ecs.version":"8.11.0",
        "log.logger":"gateway.listener",…}      one object a line, by the Elastic Common Schema; extra facts are labels

A traceback goes into the JSON line's `error.stack_trace`; a text line says only what was raised and where, and carries
the traceback (the one case of more than one line an event) when the level is debug. What a device wrote can't break a
line: control characters are escaped. What an operator did, and what came of it, is never left out.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from bridge.version import VERSION
from config.settings import Log, LogFormat

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

BURST = 10
WINDOW_S = 30.0
MAX_KINDS = 1000
KIND_CHARACTERS = 200

AUDIT = "fieldgate.audit"
_ECS_OF_AUDIT = {"user": "user.name", "role": "user.roles", "address": "source.address", "action": "event.action"}
_ECS_OUTCOMES = {"done": "success", "refused": "failure", "failed": "failure"}

ECS_VERSION = "8.11.0"
SERVICE = "fieldgate"

_NUMBERS = re.compile(r"\d+")
_PLACEHOLDERS = re.compile(r"%(?:\([^)]*\))?[#0\- +]*[\d*]*(?:\.[\d*]+)?[a-zA-Z%]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_RESERVED = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "repeated", "always"}


def set_up(log: Log, *, stream: TextIO | None = None, service: str = SERVICE) -> None:
    """Send every logger's lines to `stream` (standard error if left out); a second call replaces the first.

    `service` is what JSON lines say of whom they are.
    """
    level = LEVELS[log.level]
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(
        JsonLines(service) if log.format is LogFormat.JSON else TextLines(with_traceback=level <= logging.DEBUG)
    )
    if level > logging.DEBUG:
        handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "of_fieldgate", False):
            root.removeHandler(old)
    handler.of_fieldgate = True  # type: ignore[attr-defined]  # marks ours, so that only ours is replaced
    root.addHandler(handler)
    root.setLevel(level)
    # Libraries speak about their own working at info and debug (aiosqlite: every statement); ours say what it means.
    for name in ("aiosqlite", "amqtt", "transitions", "asyncio", "aiohttp", "paho"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def is_json() -> bool:
    """True when the log was set up to be read by a machine: then nothing else may be written beside it."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def escaped(text: str) -> str:
    """`text` on one line: control characters and line separators as they are written in Python."""
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


class RepeatLimiter:
    """Lets `burst` lines of a kind through in `window_s`. Pure: `now` is a parameter, in seconds.

    Two lines are of a kind when logger, level and the beginning of the wording, without its numbers, agree. At most
    `max_kinds` kinds are remembered; the one unseen for longest is forgotten.
    """

    def __init__(self, *, burst: int = BURST, window_s: float = WINDOW_S, max_kinds: int = MAX_KINDS) -> None:
        self._burst = burst
        self._window_s = window_s
        self._max_kinds = max_kinds
        self._kinds: OrderedDict[tuple[str, int, str], _Kind] = OrderedDict()

    def admit(self, now: float, logger: str, level: int, wording: str) -> int | None:
        """None: leave this line out. A number: write it, and say that so many like it were left out before."""
        key = (logger, level, _NUMBERS.sub("0", wording[:KIND_CHARACTERS]))
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(now)
            if len(self._kinds) > self._max_kinds:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(key)
        left_out = 0
        if now - kind.since >= self._window_s:
            left_out = kind.seen - self._burst
            kind.since = now
            kind.seen = 0
        kind.seen += 1
        return max(0, left_out) if kind.seen <= self._burst else None


class _Kind:
    __slots__ = ("seen", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.seen = 0


class RepeatFilter(logging.Filter):
    """The limiter on a handler. Critical lines always pass, and those that are logged with `always` as an extra."""

    def __init__(self) -> None:
        super().__init__()
        self._limiter = RepeatLimiter()

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that is left out; the next of its kind says how many were."""
        if record.levelno >= logging.CRITICAL or getattr(record, "always", False):  # an audit has no gaps
            return True
        left_out = self._limiter.admit(time.monotonic(), record.name, record.levelno, _wording(record))
        if left_out is None:
            return False
        record.repeated = left_out
        return True


def _wording(record: logging.LogRecord) -> str:
    """What tells one kind of line from another: the words that the program wrote, not those that are filled in.

    Devices choose what is filled in: one that comes under a new client id each time would make each line a new kind.
    Only where the program wrote no words of its own ("%s") does the whole text have to do.
    """
    if record.args and isinstance(record.msg, str) and any(map(str.isalpha, _PLACEHOLDERS.sub("", record.msg))):
        return record.msg
    return record.getMessage()


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra=`: facts beside the sentence."""
    return {key: value for key, value in record.__dict__.items() if key not in _RESERVED}


def _time(record: logging.LogRecord, precision: str) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _raised(error: BaseException) -> str:
    """What was raised and the innermost line it came from, on one line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


class TextLines(logging.Formatter):
    """For people and journals."""

    def __init__(self, *, with_traceback: bool = False) -> None:
        super().__init__()
        self._with_traceback = with_traceback

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        parts = [f"{_time(record, 'milliseconds')} {record.levelname:<7} {record.name}: {record.getMessage()}"]
        parts += [f"{key}={value}" for key, value in _extras(record).items()]
        if repeated := getattr(record, "repeated", 0):
            parts.append(f"({repeated} more like this were left out)")
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            parts.append(f"[{_raised(error)}]")
        line = escaped(" ".join(parts))
        if error is not None and self._with_traceback:
            line += "\n" + "".join(traceback.format_exception(error)).rstrip()
        return line


class JsonLines(logging.Formatter):
    """For machines: one JSON object a line, by the Elastic Common Schema (ECS logging, dotted names)."""

    def __init__(self, service: str = SERVICE) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end. Labels are words in ECS: whatever they are, their text is written."""
        is_audit = record.name == AUDIT
        line: dict[str, Any] = {
            "@timestamp": _time(record, "microseconds"),
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            "ecs.version": ECS_VERSION,
            "log.logger": record.name,
            "event.kind": "event",
            "event.dataset": f"{self._service}.{'audit' if is_audit else 'log'}",
            "service.name": self._service,
            "service.version": VERSION,
            "process.pid": record.process or os.getpid(),
        }
        facts = _extras(record)
        if is_audit:
            line["event.outcome"] = _ECS_OUTCOMES.get(str(facts.pop("outcome", "")), "unknown")
            told = {name: facts.pop(key, None) for key, name in _ECS_OF_AUDIT.items()}
            line.update((name, value) for name, value in told.items() if value is not None)
            if "user.roles" in line:
                line["user.roles"] = [line["user.roles"]]  # ECS has a list of them
        labels = {key: str(value) for key, value in facts.items()}
        if repeated := getattr(record, "repeated", 0):
            labels["left_out"] = str(repeated)
        if labels:
            line["labels"] = labels
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error.type"] = type(error).__name__
            line["error.message"] = str(error)
            line["error.stack_trace"] = "".join(traceback.format_exception(error))
        return _dumps(line)


def _dumps(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):  # text with lone surrogates: write it as ASCII text instead
        return orjson.dumps(_plain(line)).decode()


def _plain(value: Any) -> Any:
    """The same in ASCII, and of the same shape: an index takes no text where an object was."""
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.encode("ascii", "backslashreplace").decode() if isinstance(value, str) else value
