"""Patterns for user names and client ids: `*` stands for any characters, `?` for one; pure."""

from __future__ import annotations

import re


class Pattern:
    """One pattern. A match costs no more than the name's length times the pattern's: names are the clients' choice."""

    __slots__ = ("_head", "_middle", "_tail", "_tail_characters", "is_any")

    def __init__(self, text: str) -> None:
        first, *rest = (_compiled(part) for part in text.split("*"))
        self.is_any = not text.strip("*") and bool(rest)
        self._head = first
        self._tail = rest.pop() if rest else None
        self._tail_characters = len(text.rpartition("*")[2])
        self._middle = rest

    def matches(self, name: str) -> bool:
        """Whether the whole name is as the pattern says."""
        if self.is_any:
            return True
        if self._tail is None:
            return self._head.fullmatch(name) is not None
        found = self._head.match(name)
        for part in self._middle:
            if found is None:
                return False
            found = part.search(name, found.end())  # the first place is as good as any: the parts have fixed lengths
        start = len(name) - self._tail_characters
        return found is not None and start >= found.end() and self._tail.fullmatch(name, start) is not None


def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(re.escape(part).replace(r"\?", "."), re.DOTALL)
