"""Topics that were seen, by name: how much flows on each, its last value, and the levels they make. Pure.

The publish path adds to one entry a topic and run; levels are put together when somebody asks for them, in about half
a microsecond a topic. Bounded: of more than `max_topics` those go that were seen the longest ago, long names are not
remembered, and of a payload only the beginning is.
"""

from __future__ import annotations

import enum
import heapq
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.record import FLAG_QOS_SHIFT, FLAG_RETAIN
from gateway.traffic.sample import Sample

MAX_TOPICS: Final = 10_000
MAX_TOPIC_BYTES: Final = 512
MAX_VALUE_BYTES: Final = 256

SPAN_US: Final = 10_000_000
"""Rates are over the last ten seconds: two counts of fixed spans, of which the older one counts for as much of it as
the last ten seconds still reach into."""
LEAST_SPAN_US: Final = 1_000_000
"""What a topic that is new is measured over at least."""


class Sort(enum.StrEnum):
    """The order of a level's branches."""

    PER_S = "per_s"
    """Busiest first."""
    NAME = "name"
    MESSAGES = "messages"
    """Most messages first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One name of a level, with all that is below it."""

    name: str
    topic: str
    """The whole topic, prefix and name."""
    children: int
    """How many topics that are remembered are below it."""
    messages: int
    """On it and below it, since its topics were seen first; an estimate where not all were looked at."""
    per_s: float
    last: Sample | None
    """The last message on exactly this topic; its payload is cut after 256 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is right below a prefix. `total`: how many branches there are, of which `branches` may be the first."""

    prefix: str
    total: int
    branches: Sequence[Branch]
    is_complete: bool
    """False when more topics were seen than are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSeen:
    """One topic."""

    topic: str
    messages: int
    per_s: float
    last: Sample


class _Entry:
    """One topic. `count` is of the span `span`, `before` of the one before it, `earlier` of all that ended."""

    __slots__ = ("before", "count", "earlier", "first_us", "last", "span")

    def __init__(self, now_us: int) -> None:
        self.first_us = now_us
        self.span = now_us // SPAN_US
        self.count = 0
        self.before = 0
        self.earlier = 0
        self.last: tuple[int, str, bytes, int, int] = (now_us, "", b"", 0, 0)
        """When the last message came, its publisher, what is kept of its payload, how long that was, its flags."""

    @property
    def messages(self) -> int:
        """How many came."""
        return self.earlier + self.count

    def turn(self, span: int) -> None:
        """Another span has begun."""
        self.before = self.count if span - self.span == 1 else 0
        self.earlier += self.count
        self.count = 0
        self.span = span

    def per_s(self, now_us: int) -> float:
        """How many a second, over the last ten."""
        lived_us = now_us - self.first_us
        if 0 <= lived_us < SPAN_US:
            return (self.earlier + self.count) * 1e6 / max(lived_us, LEAST_SPAN_US)
        spans = now_us // SPAN_US - self.span
        if spans == 0:
            return (self.count + self.before * (1 - now_us % SPAN_US / SPAN_US)) * 1e6 / SPAN_US
        if spans == 1:
            return self.count * (1 - now_us % SPAN_US / SPAN_US) * 1e6 / SPAN_US
        return 0.0

    def sample(self, topic: str) -> Sample:
        """The last message."""
        at_us, client, payload, size_bytes, flags = self.last
        return Sample(
            at_us=at_us,
            client=client,
            topic=topic,
            payload=payload,
            size_bytes=size_bytes,
            qos=flags >> FLAG_QOS_SHIFT,
            retain=bool(flags & FLAG_RETAIN),
        )


class _Group:
    """What a branch adds up to."""

    __slots__ = ("children", "exact", "messages", "per_s")

    def __init__(self) -> None:
        self.children = 0
        self.messages = 0
        self.per_s = 0.0
        self.exact: _Entry | None = None


class TopicTree:
    """See above. Topics are bytes, as in packets, and known to be valid."""

    __slots__ = ("_entries", "_max_topics", "is_complete")

    def __init__(self, max_topics: int = MAX_TOPICS) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        """The one that was seen the longest ago comes first."""
        self._max_topics = max_topics
        self.is_complete = True
        """False when more topics were seen than are remembered."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(
        self,
        client: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        weight: int = 1,
    ) -> None:
        """A run came, each message of which stands for `weight` messages."""
        span = now_us // SPAN_US
        if len(topics) == 1:
            last, counts = {topics[0]: 0}, None
        else:
            last = dict(zip(topics, range(len(topics)), strict=True))
            counts = None if len(last) == len(topics) else Counter(topics)
        entries = self._entries
        for topic, i in last.items():
            entry = entries.get(topic)
            if entry is None:
                entry = self._new(topic, now_us)
                if entry is None:
                    continue
            else:
                entries.move_to_end(topic)
                if span != entry.span:
                    entry.turn(span)
            entry.count += weight if counts is None else weight * counts[topic]
            payload = payloads[i]
            size_bytes = len(payload)
            if size_bytes > MAX_VALUE_BYTES:
                payload = payload[:MAX_VALUE_BYTES]
            entry.last = (now_us, client, payload, size_bytes, flags[i])

    def _new(self, topic: bytes, now_us: int) -> _Entry | None:
        if len(topic) > MAX_TOPIC_BYTES:
            self.is_complete = False
            return None
        if len(self._entries) >= self._max_topics:
            self._entries.popitem(last=False)
            self.is_complete = False
        entry = self._entries[topic] = _Entry(now_us)
        return entry

    def topic(self, topic: str, now_us: int) -> TopicSeen | None:
        """What is known of one topic; None: nothing."""
        entry = self._entries.get(topic.encode(errors="replace"))
        if entry is None:
            return None
        return TopicSeen(topic=topic, messages=entry.messages, per_s=entry.per_s(now_us), last=entry.sample(topic))

    def children(self, prefix: str, now_us: int, *, search: str = "", sort: Sort = Sort.PER_S, limit: int) -> Level:
        """The next level below `prefix`, of the topics that `search` is a part of (in any case)."""
        groups = self._groups(prefix.encode(errors="replace"), now_us, search.casefold())
        branches = [_branch(prefix, name.decode(), group) for name, group in _first(groups, sort, limit)]
        return Level(prefix=prefix, total=len(groups), branches=branches, is_complete=self.is_complete)

    def _groups(self, prefix: bytes, now_us: int, search: str) -> dict[bytes, _Group]:
        start = len(prefix)
        groups: dict[bytes, _Group] = {}
        for topic, entry in self._entries.items():
            if not topic.startswith(prefix) or (search and search not in topic.decode().casefold()):
                continue
            end = topic.find(b"/", start)
            name = topic[start:] if end < 0 else topic[start:end]
            group = groups.get(name)
            if group is None:
                group = groups[name] = _Group()
            if end < 0:
                group.exact = entry
            else:
                group.children += 1
            group.messages += entry.earlier + entry.count
            group.per_s += entry.per_s(now_us)
        return groups


def _first(groups: dict[bytes, _Group], sort: Sort, limit: int) -> list[tuple[bytes, _Group]]:
    if sort is Sort.NAME:
        return heapq.nsmallest(limit, groups.items(), key=lambda pair: pair[0])
    if sort is Sort.MESSAGES:
        return heapq.nsmallest(limit, groups.items(), key=lambda pair: (-pair[1].messages, pair[0]))
    return heapq.nsmallest(limit, groups.items(), key=lambda pair: (-pair[1].per_s, pair[0]))


def _branch(prefix: str, name: str, group: _Group) -> Branch:
    topic = prefix + name
    return Branch(
        name=name,
        topic=topic,
        children=group.children,
        messages=group.messages,
        per_s=group.per_s,
        last=None if group.exact is None else group.exact.sample(topic),
    )
