"""Where a topic's messages go: one `Route` for each distinct topic, found once and kept.

The hot path of the broker: a run of 1 400 publishes on a few topics costs one dict lookup for each distinct topic, so
the checks of the topic, the search for its stream and the walk through the subscriptions happen only when a topic is
new or the subscriptions changed. The cache is bounded, is emptied as a whole when it is full, and keeps no long topics:
a device that makes up topics without end costs a fresh search each, and some megabytes at most. Guarded by tests/bench
(durable ingest).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final
from weakref import WeakValueDictionary

from config.settings import Stream
from gateway.broker.audience import NOBODY, Audience
from gateway.broker.held import Held, Target, target_of
from gateway.broker.session import Session
from gateway.broker.shared_group import SharedGroup
from gateway.broker.subscriptions import SubscriptionTree
from gateway.broker.turns import Turns
from gateway.broker.watch import Watch
from gateway.mqtt.errors import TopicNameInvalid
from gateway.mqtt.topics import MAX_TOPIC_LEVELS, SHARE, check_topic_name, matches

MAX_CACHED_TOPICS: Final = 20_000
MAX_CACHED_TOPIC_BYTES: Final = 512
MAX_CACHED_TARGETS: Final = 100_000
"""Of audiences that were made for the topics in the cache, 300 bytes each: where three hundred subscribe to everything,
and one to thousands of topics, each of those topics has an audience of three hundred of its own."""

BRIDGE_STATE: Final = "$SYS/broker/connection/+/state"
"""What a Mosquitto that bridges to this broker says of its connection: the one thing below $SYS that clients write."""

MAX_LOOKS: Final = 50
"""See `Routes.forget`."""

OWN: Final = b"$SYS/broker/"

SLOW: Final = -1
"""`Route.fast` of a topic whose messages need more than to be stored."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """`stream` is the stream's place in the settings, None for a topic that no stream takes.

    `fast` is the stream when its messages need only be stored: no local subscriber, not watched, and not refused;
    else SLOW.
    """

    topic: str
    stream: int | None
    audience: Audience
    is_refused: bool
    """$SYS is the server's own, and $share/ is no topic: clients do not publish there (§4.7.2, §4.8.2)."""
    fast: int
    groups: tuple[Turns, ...] = ()
    """Shared subscriptions: one member of each gets the message."""
    watches: tuple[Watch, ...] = ()
    """Operators who look on."""

    @property
    def targets(self) -> Mapping[Session, Target]:
        """Who gets the topic's messages, but for shared subscriptions."""
        return self.audience.targets


class Routes(dict[bytes, Route]):
    """Topic bytes to route; a topic not met before is looked up when it is asked for.

    `routes[topic]` raises TopicNameInvalid for a topic that §4.7 does not allow.
    """

    __slots__ = ("_audiences", "_looks", "_max_levels", "_shared", "_streams", "_subscriptions", "_targets", "watches")

    def __init__(
        self,
        streams: Sequence[Stream],
        subscriptions: SubscriptionTree[Session, Held],
        shared: SubscriptionTree[SharedGroup, None] | None = None,
        *,
        max_levels: int = MAX_TOPIC_LEVELS,
    ) -> None:
        super().__init__()
        self._max_levels = max_levels
        self._subscriptions = subscriptions
        self._shared: SubscriptionTree[SharedGroup, None] = SubscriptionTree() if shared is None else shared
        self._looks = 0
        self._targets = 0
        """In the audiences that were made since the cache was empty."""
        self._audiences: WeakValueDictionary[Hashable, Audience] = WeakValueDictionary()
        """Those in use, by what makes them."""
        self.watches: SubscriptionTree[Watch, None] = SubscriptionTree()
        """Who looks on (`gateway.broker.watch`); `forget` their filters when they come and go."""
        self._streams: SubscriptionTree[int, None]
        self.order_streams(streams)

    def order_streams(self, streams: Sequence[Stream]) -> None:
        """Records go into these streams from now on, by their places."""
        self._streams = SubscriptionTree()
        for place, stream in enumerate(streams):
            for topic_filter in stream.topics:
                self._streams.add(topic_filter, place, None)
        self.clear()

    def limit(self, max_levels: int) -> None:
        """A topic has at most so many levels from now on."""
        self._max_levels = max_levels
        self.clear()

    def __missing__(self, raw: bytes) -> Route:
        # What the server itself says has as many levels as it has; clients publish there in vain.
        route = self._find(check_topic_name(raw, MAX_TOPIC_LEVELS if raw.startswith(OWN) else self._max_levels))
        if len(raw) <= MAX_CACHED_TOPIC_BYTES:
            if len(self) >= MAX_CACHED_TOPICS or self._targets > MAX_CACHED_TARGETS:
                self.clear()
                self._targets = 0
            self[bytes(raw)] = route
        return route

    def of_taken(self, topic: str) -> Route:
        """That of a message that was taken, a will, whatever number of levels a topic may have by now."""
        try:
            return self[topic.encode()]
        except TopicNameInvalid:
            return self._find(topic)

    def _find(self, topic: str) -> Route:
        # First match wins; a filter that begins with a wildcard takes no topic that begins with `$`.
        stream = min(self._streams.match(topic), default=None)
        audience = self._audience(topic)
        groups = tuple(map(partial(self._turns, topic), self._shared.match(topic))) if self._shared else ()
        watches = tuple(self.watches.match(topic)) if self.watches else ()
        is_refused = _is_reserved(topic)
        return Route(
            topic=topic,
            stream=stream,
            audience=audience,
            is_refused=is_refused,
            fast=SLOW if stream is None or audience is not NOBODY or groups or watches or is_refused else stream,
            groups=groups,
            watches=watches,
        )

    def refuses(self, raw: bytes) -> bool:
        """Whether clients may not publish there. Looks up no subscribers: it is asked for each will. Raises as `[]`."""
        return _is_reserved(check_topic_name(raw, self._max_levels))

    def _audience(self, topic: str) -> Audience:
        """Who subscribed to the topic and may read it; the same object for topics with the same subscriptions."""
        found = {
            session: held
            for session, held in self._subscriptions.match(topic).items()
            if session.rights.is_unlimited or session.rights.may_read(topic)
        }
        if not found:
            return NOBODY
        # A subscription is one session's: where each has one, they tell all of it.
        key = tuple(chain.from_iterable(found.values()))
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience({session: target_of(held) for session, held in found.items()})
            self._targets += len(found)
        return audience

    def _turns(self, topic: str, group: SharedGroup) -> Turns:
        listed = group.listed
        turns = group.turns(topic)
        self._targets += group.listed - listed
        return turns

    def forget(self, topic_filters: Iterable[str]) -> None:
        """Subscriptions to the filters have changed: the topics they take are to be looked up anew.

        A filter without wildcards is one topic. For others every topic is looked at, which costs about a fiftieth of
        looking all of them up; when that was done fifty times, the cache is emptied, so that a burst of subscriptions
        costs no more than twice what emptying it would.
        """
        wild = []
        for topic_filter in topic_filters:
            if "+" in topic_filter or "#" in topic_filter:
                wild.append(topic_filter)
            else:
                self.pop(topic_filter.encode(), None)
        if not (wild and self):
            return
        self._looks += len(wild)
        if self._looks > MAX_LOOKS:
            self._looks = 0
            self.clear()
            return
        for topic_filter in wild:
            takes = _pattern(topic_filter).fullmatch
            for raw in [raw for raw in self if takes(raw)]:
                del self[raw]


def _is_reserved(topic: str) -> bool:
    return topic.startswith(("$SYS", SHARE)) and not matches(BRIDGE_STATE, topic)


def _pattern(topic_filter: str) -> re.Pattern[bytes]:
    """A filter as an expression on topics (§4.7.1): to look through thousands of them, it is five times faster."""
    levels = topic_filter.encode().split(b"/")
    has_rest = levels[-1] == b"#"
    if has_rest:
        levels.pop()
    text = b"/".join(b"[^/]*" if level == b"+" else re.escape(level) for level in levels)
    if has_rest:
        text = text + b"(?:/.*)?" if levels else b".*"
    return re.compile((b"(?!\\$)" if topic_filter[0] in "+#" else b"") + text, re.DOTALL)  # [MQTT-4.7.2-1]
