"""What flows: topics with rates and last values, and the newest messages; always on, bounded in time and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bridge.ports import Clock
from bridge.record import Properties
from gateway.traffic.budget import Budget
from gateway.traffic.recent import Recent
from gateway.traffic.sample import Sample
from gateway.traffic.topics import Level, Sort, TopicSeen, TopicTree

MAX_CLIENT_ID_CHARS: Final = 512
"""Of clients with longer names nothing is remembered: each topic holds the name of who published there last."""


class Traffic:
    """Told of every run by the broker (`gateway.broker.ports.Observer`).

    `random` gives numbers from 0.0 up to 1.0: which runs are looked at when there are too many for all of them
    (`gateway.traffic.budget`). Then counts of topics are estimates, and the newest messages are not all of them.
    """

    __slots__ = ("_budget", "_clock", "_recent", "_topics")

    def __init__(self, clock: Clock, random: Callable[[], float]) -> None:
        self._clock = clock
        self._budget = Budget(random)
        self._topics = TopicTree()
        self._recent = Recent()

    def saw(
        self,
        client_id: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        """A run of publishes was taken; `flags` are those of records. On the hot path: guarded by tests/bench."""
        budget = self._budget
        budget.seen += len(topics)
        if budget.skip and now_us < budget.until_us:
            budget.skip -= 1
            return
        step = budget.step(len(topics), now_us)
        if not step or len(client_id) > MAX_CLIENT_ID_CHARS:
            return
        if step > 1:
            some = slice(budget.start(step), None, step)
            topics, payloads, flags = topics[some], payloads[some], flags[some]
            properties = None if properties is None else properties[some]
        self._topics.add(client_id, now_us, topics, payloads, flags, budget.weight)
        self._recent.add(client_id, now_us, topics, payloads, flags, properties)

    @property
    def sampled(self) -> float:
        """The share of the messages of the last ten seconds that was looked at, 0.0 to 1.0."""
        return self._budget.share(self._clock.now_us())

    def children(self, prefix: str = "", *, search: str = "", sort: Sort = Sort.PER_S, limit: int = 200) -> Level:
        """The next level below `prefix`, which is empty or ends with a slash."""
        return self._topics.children(prefix, self._clock.now_us(), search=search, sort=sort, limit=limit)

    def topic(self, topic: str) -> TopicSeen | None:
        """What is known of one topic; None: nothing."""
        return self._topics.topic(topic, self._clock.now_us())

    def recent(self, *, client: str | None = None, topic: str | None = None, limit: int = 50) -> list[Sample]:
        """The newest messages of a client, on a topic, or both, newest first."""
        return self._recent.newest(client=client, topic=topic, limit=limit)
