"""Sets of topic filters, and what they say of a topic or of another filter; pure.

A set is one tree of levels, shared by all clients. A level may hold `%c` and `%u`: it is filled in with the client's
own id and user name (`Names`) while the tree is walked, so that ten thousand clients need one tree, not ten thousand.
A walk visits each node at most once, whatever the topic or filter: neither can be made to cost more than the rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

CLIENT_ID: Final = "%c"
USERNAME: Final = "%u"
_PLACES: Final = re.compile("%[cu]")
_UNSAFE: Final = frozenset("+#/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Who asks. `username` is None for an anonymous client: what names `%u` is not about it."""

    client_id: str
    username: str | None

    def fill_in(self, template: str) -> str | None:
        """The level with the names in their places; None where one is missing. A name is never read as a template."""
        if template == CLIENT_ID:
            return self.client_id
        if template == USERNAME:
            return self.username
        if self.username is None and USERNAME in template:
            return None
        return _PLACES.sub(lambda place: self.client_id if place[0] == CLIENT_ID else self.username or "", template)


def is_unsafe(name: str | None) -> bool:
    """Whether a name, put into a filter, would reach beyond its one level, or what only the server says (`$SYS`)."""
    return name is not None and (name[:1] == "$" or not _UNSAFE.isdisjoint(name))


class _Node:
    __slots__ = ("children", "is_end", "is_open", "one", "templates")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.templates: dict[str, _Node] = {}
        self.one: _Node | None = None
        """What follows `+`."""
        self.is_end = False
        self.is_open = False
        """Whether `#` follows: all below, and this level itself (§4.7.1.2)."""


class FilterSet:
    """Valid topic filters, in any number. With `fills_in`, `%c` and `%u` stand for names; else they are plain text."""

    def __init__(self, *, fills_in: bool = False) -> None:
        self._root = _Node()
        self._fills_in = fills_in

    def __bool__(self) -> bool:
        root = self._root
        return root.is_open or bool(root.children or root.templates) or root.one is not None

    def add(self, topic_filter: str) -> None:
        """Put a filter into the set."""
        node = self._root
        for level in topic_filter.split("/"):
            if level == "#":
                node.is_open = True
                return
            if level == "+":
                node.one = node.one or _Node()
                node = node.one
            elif self._fills_in and _PLACES.search(level):
                node = node.templates.setdefault(level, _Node())
            else:
                node = node.children.setdefault(level, _Node())
        node.is_end = True

    def covers(self, topic: str, names: Names) -> bool:
        """Whether one of the filters takes the topic; of a filter: everything that it takes."""
        levels = topic.split("/")
        nodes = [self._root]
        hides = topic[:1] == "$"  # from wildcards in the first level [MQTT-4.7.2-1]
        for level in levels:
            if not hides:
                for node in nodes:
                    if node.is_open:
                        return True
            if level == "#":
                return False
            nodes = _below(nodes, level, names, with_wildcards=not hides)
            if not nodes:
                return False
            hides = False
        return any(node.is_end or node.is_open for node in nodes)

    def overlaps(self, topic_filter: str, names: Names) -> bool:
        """Whether there may be a topic that the filter takes, and one of the set, too."""
        nodes, is_first = [self._root], True
        for level in topic_filter.split("/"):
            hides = is_first and level[:1] == "$"
            if not hides and any(node.is_open for node in nodes):
                return True
            if level == "#":
                return not is_first or any(_has_plain(node, names) for node in nodes)
            if level == "+":
                nodes = [below for node in nodes for below in _all_below(node, names, plain=is_first)]
            else:
                nodes = _below(nodes, level, names, with_wildcards=not hides)
            if not nodes:
                return False
            is_first = False
        return any(node.is_end or node.is_open for node in nodes)


def _below(nodes: list[_Node], level: str, names: Names, *, with_wildcards: bool) -> list[_Node]:
    """The nodes one level deeper that take this level; of `+` only those that take every level."""
    found = []
    for node in nodes:
        if (child := node.children.get(level)) is not None:
            found.append(child)
        if node.templates:
            found += [child for template, child in node.templates.items() if names.fill_in(template) == level]
        if with_wildcards and node.one is not None:
            found.append(node.one)
    return found


def _all_below(node: _Node, names: Names, *, plain: bool) -> list[_Node]:
    """All nodes one level deeper; `plain`: without those that begin with `$`."""
    found = [child for level, child in node.children.items() if not (plain and level[:1] == "$")]
    for template, child in node.templates.items():
        level = names.fill_in(template)
        if level is not None and not (plain and level[:1] == "$"):
            found.append(child)
    return [*found, node.one] if node.one is not None else found


def _has_plain(root: _Node, names: Names) -> bool:
    """Whether a filter of the tree takes topics that do not begin with `$`."""
    return root.is_open or bool(_all_below(root, names, plain=True))
