"""Who subscribed to what: a tree of topic levels, in which wildcards are branches of their own."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Node(Generic[K, V]):
    """One level of the tree: the levels below it, and what was put exactly here."""

    __slots__ = ("children", "entries")

    def __init__(self) -> None:
        self.children: dict[str, _Node[K, V]] = {}
        self.entries: dict[K, V] = {}


class SubscriptionTree(Generic[K, V]):
    """Topic filters to entries; a lookup costs the topic's levels, not the number of filters.

    Wildcards are as in MQTT 5 §4.7.1; a topic that begins with `$` is not matched by a filter that begins with a
    wildcard [MQTT-4.7.2-1].
    """

    __slots__ = ("_root", "_size")

    def __init__(self) -> None:
        self._root: _Node[K, V] = _Node()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, topic_filter: str, key: K, value: V) -> bool:
        """Put `value` for `key` under the filter; false when it replaced an earlier one."""
        node = self._root
        for level in topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        is_new = key not in node.entries
        node.entries[key] = value
        self._size += is_new
        return is_new

    def remove(self, topic_filter: str, key: K) -> bool:
        """Take `key` away from the filter, and the branches that are empty then; false when it was not there."""
        path: list[tuple[_Node[K, V], str]] = []
        node = self._root
        for level in topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                return False
            path.append((node, level))
            node = child
        if key not in node.entries:
            return False
        del node.entries[key]
        self._size -= 1
        for parent, level in reversed(path):
            child = parent.children[level]
            if child.entries or child.children:
                break
            del parent.children[level]
        return True

    def match(self, topic: str) -> dict[K, list[V]]:
        """Every key with a filter that matches the topic, and its values: more than one where filters overlap."""
        found: dict[K, list[V]] = {}
        nodes = [self._root]
        wild = not topic.startswith("$")
        for level in topic.split("/"):
            below: list[_Node[K, V]] = []
            for node in nodes:
                children = node.children
                if (child := children.get(level)) is not None:
                    below.append(child)
                if wild:
                    if (child := children.get("+")) is not None:
                        below.append(child)
                    if (child := children.get("#")) is not None:
                        _collect(child, found)
            if not below:
                return found
            nodes = below
            wild = True
        for node in nodes:
            _collect(node, found)
            # "sport/#" matches "sport" too (§4.7.1.2).
            if (child := node.children.get("#")) is not None:
                _collect(child, found)
        return found


def _collect(node: _Node[K, V], found: dict[K, list[V]]) -> None:
    for key, value in node.entries.items():
        found.setdefault(key, []).append(value)
