"""The last message of each topic that was published with RETAIN (MQTT 5 §3.3.1.3): a tree of topic levels.

A walk for a filter goes only down the branches that can match, so it costs what it finds, not what there is; `+` and
`#` look at the children of a level, in their order. The names of each level's children are kept sorted beside them:
a walk remembers where it is by name, in a few words of memory, and goes on rightly whatever came or went meanwhile.
So a subscriber whose queue has no room for more takes the rest as the queue drains, and nothing is copied for it.

What is on disk is the caller's affair: it asks `may_keep` when a message comes, and calls `keep` when the disk has it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from config.settings import Retained
from gateway.broker.message import Message
from gateway.mqtt.topics import matches

STRIDE: Final = 1000
"""How many branches one step of a walk looks at before it lets others go on: a millisecond or less."""


_AFTER_DOLLAR: Final = "%"
"""Names that begin with `$` are sorted before it, and nothing stands between."""


BRANCH_BYTES: Final = 400
"""What a level with others below it takes in memory beside its message, roughly: a short topic of 128 levels of its own
takes 50 KiB."""

_NO_NAMES: Final[list[str]] = []
_NO_NODES: Final[dict[str, _Node]] = {}
"""What a node without children has, never written to: most nodes are such, and an empty dict takes 64 bytes."""


class _Node:
    """One level: the message of the topic that ends here, and the levels below it."""

    __slots__ = ("below", "message", "names")

    def __init__(self) -> None:
        self.message: Message | None = None
        self.below = _NO_NODES
        self.names = _NO_NAMES
        """The keys of `below`, sorted."""


_Path: TypeAlias = list[tuple[_Node, str | None]]


class RetainedMessages:
    """Topic to retained message, within limits: a message beyond them is delivered but not kept, and is counted."""

    __slots__ = ("_expiries", "_limits", "_own", "_root", "_size", "refused", "size_bytes")

    def __init__(self, limits: Retained | None = None) -> None:
        self.limit(limits or Retained())
        self._root = _Node()
        self._root.below, self._root.names = {}, []
        self._size = 0
        self._own = 0
        """How many of them the server itself said, which take no place from the clients'."""
        self._expiries: list[tuple[float, str]] = []
        """A heap; an entry that no longer speaks of its topic's message is passed over when it is due."""
        self.size_bytes = 0
        """What they take in memory, roughly."""
        self.refused = 0

    def limit(self, limits: Retained) -> None:
        """Have other limits; what is kept above them stays."""
        self._limits = limits

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Message]:
        return (message for message in _walk([(self._root, None)], None) if message is not None)

    @property
    def from_clients(self) -> int:
        """How many of them clients published."""
        return self._size - self._own

    def get(self, topic: str) -> Message | None:
        """The topic's message, expired or not."""
        node = self._node(topic)
        return None if node is None else node.message

    def may_keep(self, message: Message) -> bool:
        """Whether `keep` would have room for it now; a refusal is counted. What stood under the topic stays then."""
        if not message.payload:
            return True
        old, new_branches = self._look(message.topic)
        size, size_bytes = self._size, self.size_bytes + new_branches * BRANCH_BYTES
        if old is not None:
            size -= 1
            size_bytes -= old.size_bytes
        limits = self._limits
        if size - self._own < limits.max_messages and size_bytes + message.size_bytes <= limits.max_bytes:
            return True
        self.refused += 1
        return False

    def keep(self, message: Message) -> bool:
        """Replace the topic's message; an empty payload only removes it [MQTT-3.3.1-6]. False when there is no room."""
        if not message.payload:
            self.remove(message.topic)
            return True
        if not self.may_keep(message):
            return False
        self._put(message)
        return True

    def keep_own(self, message: Message) -> None:
        """Replace what the server itself said under the topic, which clients can't publish to, whatever the limits."""
        self._own += self.get(message.topic) is None
        self._put(message)

    def restore(self, messages: Iterable[Message]) -> None:
        """Take what was on disk, whatever the limits of now are: it was kept under those of then."""
        for message in messages:
            self._put(message)

    def remove(self, topic: str) -> bool:
        """Forget the topic's message, and the branches that are empty then; false when there was none."""
        path: list[tuple[_Node, str]] = []
        node = self._root
        for level in topic.split("/"):
            path.append((node, level))
            child = node.below.get(level)
            if child is None:
                return False
            node = child
        if node.message is None:
            return False
        self._size -= 1
        self.size_bytes -= node.message.size_bytes
        node.message = None
        for parent, level in reversed(path):
            child = parent.below[level]
            if child.message is not None or child.below:
                break
            del parent.below[level]
            del parent.names[bisect_left(parent.names, level)]
            if not parent.below and parent is not self._root:
                parent.below, parent.names = _NO_NODES, _NO_NAMES
                self.size_bytes -= BRANCH_BYTES
        return True

    def forget_expired(self, now_s: float) -> list[str]:
        """Forget the messages whose Message Expiry Interval has passed; returns their topics, for the disk."""
        expired = []
        while self._expiries and self._expiries[0][0] <= now_s:
            _, topic = heapq.heappop(self._expiries)
            message = self.get(topic)
            if message is not None and message.is_expired(now_s):
                self.remove(topic)
                expired.append(topic)
        return expired

    def match(self, topic_filter: str, now_s: float, *, after: str | None = None) -> Matches:
        """The messages that a new subscription to the filter gets, in the order of their topics' levels.

        `after`: only what comes behind this topic, which the filter has to match, and which may be gone by now.
        """
        path: _Path = [(self._root, None)] if after is None else self._path_behind(after, topic_filter)
        return Matches(_walk(path, topic_filter.split("/")), now_s)

    def _path_behind(self, topic: str, topic_filter: str) -> _Path:
        """Where a walk stands that has just come by the topic; as far as its branch is still there."""
        if not matches(topic_filter, topic):
            raise ValueError(f"The filter {topic_filter!r} does not match the topic {topic!r}.")
        path: _Path = []
        node: _Node | None = self._root
        for level in topic.split("/"):
            if node is None:
                return path
            path.append((node, level))
            node = node.below.get(level)
        if node is not None and node.below and topic_filter.endswith("#"):
            path.append((node, None))
        return path

    def _look(self, topic: str) -> tuple[Message | None, int]:
        """The topic's message, and how many levels would have others below them for the first time with one."""
        node = self._root
        levels = topic.split("/")
        for i, level in enumerate(levels):
            child = node.below.get(level)
            if child is None:
                return None, len(levels) - i - (node.below is not _NO_NODES)
            node = child
        return node.message, 0

    def _node(self, topic: str) -> _Node | None:
        node: _Node | None = self._root
        for level in topic.split("/"):
            if node is None:
                break
            node = node.below.get(level)
        return node

    def _put(self, message: Message) -> None:
        node = self._root
        for level in message.topic.split("/"):
            child = node.below.get(level)
            if child is None:
                if node.below is _NO_NODES:
                    node.below, node.names = {}, []
                    self.size_bytes += BRANCH_BYTES
                child = node.below[level] = _Node()
                insort(node.names, level)
            node = child
        if node.message is None:
            self._size += 1
        else:
            self.size_bytes -= node.message.size_bytes
        node.message = message
        self.size_bytes += message.size_bytes
        if message.expires_at_s is not None:
            self._expire_later(message.expires_at_s, message.topic)

    def _expire_later(self, at_s: float, topic: str) -> None:
        heapq.heappush(self._expiries, (at_s, topic))
        # A topic that is published again and again leaves an entry each time; they are cleared away in one go.
        if len(self._expiries) > 64 + 2 * self._size:
            self._expiries = [entry for entry in self._expiries if self._is_current(*entry)]
            heapq.heapify(self._expiries)

    def _is_current(self, at_s: float, topic: str) -> bool:
        message = self.get(topic)
        return message is not None and message.expires_at_s == at_s


class Matches(Iterator[Message]):
    """What a filter finds, a bit at a time; the tree may change in between. Holds a few words for each level.

    `for message in matches` takes all that is left. `take` bounds the work of one turn of the loop.
    """

    __slots__ = ("_now_s", "_walk", "is_done")

    def __init__(self, walk: Iterator[Message | None], now_s: float) -> None:
        self._walk = walk
        self._now_s = now_s
        self.is_done = False
        """Whether there is nothing more to take."""

    def __next__(self) -> Message:
        for message in self._walk:
            if message is not None and not message.is_expired(self._now_s):
                return message
        self.is_done = True
        raise StopIteration

    def take(self, max_messages: int, now_s: float) -> list[Message]:
        """At most so many more, and no more than one stride of work: it may be none though `is_done` is false."""
        self._now_s = now_s
        found: list[Message] = []
        while len(found) < max_messages:
            try:
                message = next(self._walk)
            except StopIteration:
                self.is_done = True
                break
            if message is None:
                break
            if not message.is_expired(now_s):
                found.append(message)
        return found


def _walk(path: _Path, levels: list[str] | None) -> Iterator[Message | None]:
    """The messages that the filter's levels match, all with None; None in between, after each stride of work.

    `path` has the nodes that are being looked through, each with the name of the child that was looked at last.
    """
    wanted = [] if levels is None else levels
    has_rest = levels is None or levels[-1] == "#"
    if levels is not None and has_rest:
        wanted = levels[:-1]
    last = len(wanted)
    work = 0
    while path:
        work += 1
        if work >= STRIDE:
            work = 0
            yield None
        parent, name = path.pop()
        depth = len(path)
        child: _Node | None = None
        if depth < last and wanted[depth] != "+":
            if name is None:
                name = wanted[depth]
                child = parent.below.get(name)
        elif depth < last or has_rest:
            names = parent.names
            at = 0 if name is None else bisect_right(names, name)
            if depth == 0 and levels is not None and at < len(names) and names[at].startswith("$"):
                at = bisect_left(names, _AFTER_DOLLAR)  # [MQTT-4.7.2-1]
            if at < len(names):
                name = names[at]
                child = parent.below[name]
        if child is None:
            continue
        path.append((parent, name))
        if depth + 1 == last or (depth + 1 > last and has_rest):
            message = child.message
            if message is not None:
                yield message
        if child.below and (depth + 1 < last or has_rest):
            path.append((child, None))
