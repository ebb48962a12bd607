"""Sets of topic filters, and what they say of a topic or of another filter; pure.

A set is one tree of levels, shared by all clients. A level may hold `%c` and `%u`: it is filled in with the client's
own id and user name (`Names`) while the tree is walked, so that ten thousand clients need one tree, not ten thousand.
A walk visits each node at most once, whatever the topic or filter: neither can be made to cost more than the rules.

A message for ten thousand subscribers asks ten thousand times about one topic: what a set says of it is found once, as
far as it says the same to everybody, and as the names that a client must have where it does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

CLIENT_ID: Final = "%c"
USERNAME: Final = "%u"
_PLACES: Final = re.compile("%[cu]")
_UNSAFE: Final = frozenset("+#/")

Conditions = tuple[tuple[str, str], ...]
"""What must hold of a client: each template, with its names, is this level."""


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
        self._last: tuple[str | None, bool | tuple[Conditions, ...]] = None, False
        """What was asked about last, and what holds for all; else what one of which must hold of a client."""

    def __bool__(self) -> bool:
        root = self._root
        return root.is_open or bool(root.children or root.templates) or root.one is not None

    def add(self, topic_filter: str) -> None:
        """Put a filter into the set."""
        self._last = None, False
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
        last, answer = self._last
        if last != topic:
            answer = self._covers(topic)
            self._last = topic, answer
        if isinstance(answer, bool):
            return answer
        fill_in = names.fill_in
        for conditions in answer:
            for template, level in conditions:
                if fill_in(template) != level:
                    break
            else:
                return True
        return False

    def _covers(self, topic: str) -> bool | tuple[Conditions, ...]:
        """What `covers` says to everybody; or, where that depends on names, what one of which must hold."""
        nodes: list[tuple[_Node, Conditions]] = [(self._root, ())]
        found: list[Conditions] = []
        hides = topic[:1] == "$"  # from wildcards in the first level [MQTT-4.7.2-1]
        for level in topic.split("/"):
            below: list[tuple[_Node, Conditions]] = []
            for node, conditions in nodes:
                if node.is_open and not hides:
                    if not conditions:
                        return True
                    found.append(conditions)
                    continue  # what is below asks for more
                if level == "#":
                    continue
                if (child := node.children.get(level)) is not None:
                    below.append((child, conditions))
                for template, child in node.templates.items():
                    below.append((child, (*conditions, (template, level))))
                if node.one is not None and not hides:
                    below.append((node.one, conditions))
            nodes = below
            if not nodes:
                break
            hides = False
        for node, conditions in nodes:
            if node.is_end or node.is_open:
                if not conditions:
                    return True
                found.append(conditions)
        return tuple(found) or False

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
