"""Server-sent events, from lines to events (HTML Living Standard §9.2.6). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_EVENT_CHARACTERS: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """`name` is what `event:` said, `message` where it said nothing."""

    name: str
    data: str


class EventReader:
    """Takes lines, with or without their ends; comments and unknown fields are passed over."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []
        self._characters = 0

    def feed(self, line: str) -> ServerEvent | None:
        """The event that ends with this line. Raises ValueError for one that is too large to be kept."""
        line = line.rstrip("\r\n")
        if not line:
            return self._ended()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._characters += len(value)
            if self._characters > MAX_EVENT_CHARACTERS:
                raise ValueError("an event is larger than 64 MiB")
            self._data.append(value)
        return None

    def _ended(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data, self._characters = "", [], 0
        return ServerEvent(name=name, data="\n".join(data)) if data else None
