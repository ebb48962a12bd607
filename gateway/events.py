"""What happened, newest last, as people want to read it. Pure: `now` is a parameter; rows go out by a callback.

Kinds are kept apart, each with a bound of its own, so that a flood of one (devices that are refused, say) never pushes
out another (who paused the uplink). Texts may quote what devices and clouds said: they are one line, without control
characters, and never longer than MAX_TEXT.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from gateway.logs import escaped

MAX_TEXT: Final = 500
MAX_NAME: Final = 100


class Kind(enum.StrEnum):
    """What an event is about."""

    UPLINK = "uplink"
    SPOOL = "spool"
    GATEWAY = "gateway"
    DEVICE = "device"
    CONFIGURATION = "configuration"
    AUDIT = "audit"


class Severity(enum.StrEnum):
    """How much it matters: `warning` deserves a look, `error` means that data is or may be lost, or nothing works."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


CAPACITIES: Final = {
    Kind.UPLINK: 500,
    Kind.SPOOL: 300,
    Kind.GATEWAY: 200,
    Kind.DEVICE: 300,
    Kind.CONFIGURATION: 200,
    Kind.AUDIT: 500,
}
"""2 000 together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One of them. `subject` is what it is about (an uplink's, a stream's, a client's name); `state` where that stands
    now; `user` who did it."""

    id: int
    at_us: int
    kind: Kind
    severity: Severity
    text: str
    subject: str | None = None
    state: str | None = None
    user: str | None = None


class Events:
    """The newest events of each kind. `keep(key, body)` and `discard(key)` are told of rows; keys are the ids."""

    def __init__(self, *, keep: Callable[[int, bytes], None], discard: Callable[[int], None]) -> None:
        self._keep = keep
        self._discard = discard
        self._of: dict[Kind, deque[Event]] = {kind: deque() for kind in Kind}
        self._next_id = 1

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    @property
    def newest_id(self) -> int:
        """0 when there was none yet: tells cheaply whether anything is new."""
        return self._next_id - 1

    def load(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Take in the rows of an earlier process, before the first `add`; what can't be read is discarded."""
        for key, body in sorted(rows):
            try:
                event = _event(key, msgpack.unpackb(body))
            except (ValueError, TypeError, msgpack.UnpackException):
                self._discard(key)
                continue
            self._put(event)
            self._next_id = key + 1

    def add(
        self,
        now_us: int,
        kind: Kind,
        severity: Severity,
        text: str,
        *,
        subject: str | None = None,
        state: str | None = None,
        user: str | None = None,
    ) -> Event:
        """Something happened at `now_us` (since 1970): remembered, and kept over a restart."""
        event = Event(
            id=self._next_id,
            at_us=max(0, now_us),
            kind=kind,
            severity=severity,
            text=_line(text, MAX_TEXT),
            subject=_name(subject),
            state=_name(state),
            user=_name(user),
        )
        self._next_id += 1
        self._put(event)
        body = [event.at_us, event.kind, event.severity, event.text, event.subject, event.state, event.user]
        self._keep(event.id, msgpack.packb(body))
        return event

    def _put(self, event: Event) -> None:
        events = self._of[event.kind]
        events.append(event)
        if len(events) > CAPACITIES[event.kind]:
            self._discard(events.popleft().id)

    def newest(
        self,
        limit: int,
        *,
        kinds: Iterable[Kind] = tuple(Kind),
        severities: Iterable[Severity] = tuple(Severity),
        before: int | None = None,
    ) -> list[Event]:
        """At most `limit` of those kinds and severities, newest first, with ids below `before`."""
        wanted = frozenset(severities)
        lanes = [reversed(self._of[kind]) for kind in frozenset(kinds)]
        found: list[Event] = []
        for event in heapq.merge(*lanes, key=lambda item: -item.id):
            if len(found) >= limit:
                break
            if event.severity in wanted and (before is None or event.id < before):
                found.append(event)
        return found


def _event(key: int, values: Any) -> Event:
    at_us, kind, severity, text, subject, state, user = values
    if not isinstance(at_us, int) or not isinstance(text, str):
        raise TypeError("An event has a time and a text.")
    return Event(
        id=key,
        at_us=at_us,
        kind=Kind(kind),
        severity=Severity(severity),
        text=_line(text, MAX_TEXT),
        subject=_name(subject),
        state=_name(state),
        user=_name(user),
    )


def _name(text: Any) -> str | None:
    return None if text is None else _line(str(text), MAX_NAME)


def _line(text: str, most: int) -> str:
    """One line of at most so many characters, without lone surrogates, which neither JSON nor a row could hold."""
    line = escaped(text[:most]).encode("utf-8", "replace").decode()
    return line if len(line) <= most and len(text) <= most else f"{line[: most - 1]}…"
