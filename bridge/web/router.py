"""Which route a path belongs to. Pure.

A template's `{name}` is one segment, percent-decoded after the path was cut at its slashes, so that what stands there
may hold a slash of its own (`%2F`); a last `{name...}` takes all that is left. Of several templates that fit, one with
more fixed segments goes first. A path with `.` or `..` in it fits nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A path with places for names in it."""

    segments: tuple[str, ...]
    names: tuple[str | None, ...]
    takes_rest: bool

    @classmethod
    def of(cls, path: str) -> Template:
        """Read `/devices/{client}`, `/topics/{rest...}`. Raises ValueError."""
        if not path.startswith("/"):
            raise ValueError(f"A path begins with /: {path!r} does not.")
        segments = tuple(path.split("/")[1:])
        names = tuple(part[1:-1] if part.startswith("{") and part.endswith("}") else None for part in segments)
        takes_rest = names[-1] is not None and names[-1].endswith("...")
        if any("..." in (name or "") for name in names[:-1]):
            raise ValueError(f"Only the end of a path may be {{name...}}: {path!r}.")
        if takes_rest:
            names = (*names[:-1], (names[-1] or "")[:-3])
        return cls(segments=segments, names=names, takes_rest=takes_rest)

    @property
    def fixed(self) -> int:
        """How many segments are given."""
        return sum(name is None for name in self.names)

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """What stands in the places, decoded; None where the path is another one."""
        size = len(self.segments)
        if len(parts) < size or (len(parts) > size and not self.takes_rest):
            return None
        found: dict[str, str] = {}
        for number, (segment, name) in enumerate(zip(self.segments, self.names, strict=True)):
            if name is None:
                if parts[number] != segment:
                    return None
                continue
            is_rest = self.takes_rest and number == size - 1
            raw = "/".join(parts[number:]) if is_rest else parts[number]
            if not raw and not is_rest:
                return None
            try:
                found[name] = unquote(raw, errors="strict")
            except UnicodeDecodeError:
                return None
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """What a path leads to, and what stands in its places; `value` None: only other methods lead anywhere."""

    value: T | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()


class Router(Generic[T]):
    """Finds values by method and path."""

    def __init__(self, entries: Iterable[tuple[str, str, T]]) -> None:
        """`entries`: method, template, value. Raises ValueError when two say the same."""
        self._entries: list[tuple[Template, str, T]] = []
        seen: set[tuple[str, tuple[str, ...]]] = set()
        for method, path, value in entries:
            template = Template.of(path)
            shape = tuple(
                "{}" if name is not None else part for part, name in zip(template.segments, template.names, strict=True)
            )
            if (method, shape) in seen:
                raise ValueError(f"{method} {path} is there twice.")
            seen.add((method, shape))
            self._entries.append((template, method, value))
        self._entries.sort(key=lambda entry: -entry[0].fixed)

    def find(self, method: str, raw_path: str) -> Found[T] | None:
        """Where it leads (HEAD as GET); None: nowhere with any method. `raw_path` is still percent-encoded."""
        wanted = "GET" if method == "HEAD" else method
        parts = raw_path.split("/")[1:]
        if not raw_path.startswith("/") or any(unquote(part) in {".", ".."} for part in parts):
            return None
        allowed: set[str] = set()
        for template, own, value in self._entries:
            found = template.match(parts)
            if found is None:
                continue
            if own == wanted:
                return Found(value=value, path=found)
            allowed.add(own)
        if not allowed:
            return None
        if "GET" in allowed:
            allowed.add("HEAD")
        return Found(allowed=tuple(sorted(allowed)))
