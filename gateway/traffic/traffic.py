"""What flows: a tree of topics with rates and last values, and the newest messages; always on, and cheap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.ports import Clock
from bridge.record import Properties
from gateway.traffic.sample import Sample
from gateway.traffic.topics import Branch, Level, Sort, TopicSeen


class Traffic:
    """`random` gives numbers from 0.0 to 1.0: which runs are looked at when there are too many for all of them."""

    def __init__(self, clock: Clock, random: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random

    def saw(
        self,
        client_id: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        """A run of publishes was taken; `flags` are those of records (`bridge.record`)."""

    @property
    def sampled(self) -> float:
        """The share of the messages of the last seconds that was looked at, 0.0 to 1.0."""
        return 1.0

    def children(self, prefix: str = "", *, search: str = "", sort: Sort = Sort.PER_S, limit: int = 200) -> Level:
        """The next level below `prefix`, which is empty or ends with a slash."""
        return Level(prefix=prefix, total=0, branches=[], is_complete=True)

    def topic(self, topic: str) -> TopicSeen | None:
        """What is known of one topic; None: nothing."""
        return None

    def recent(self, *, client: str | None = None, topic: str | None = None, limit: int = 50) -> list[Sample]:
        """The newest messages of a client, of a topic, or of both, newest first."""
        return []


__all__ = ["Branch", "Level", "Sample", "Sort", "TopicSeen", "Traffic"]
