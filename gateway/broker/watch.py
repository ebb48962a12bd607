"""A look at what flows through, for an operator (`fieldgate tail` and the like): a subscriber within the process.

    watch = broker.watch(["plant/+/temp"])
    try:
        while await watch.wait():
            for sample in watch.take(): ...
            watch.lost ...
    finally:
        watch.close()

It sees everything that its filters match, whoever published it and whatever his rights are: it is the operator's. It
sees a message when its commit is on disk, QoS 0 and what no stream takes too, and nothing of what was refused. Topics
that nobody watches cost nothing, for watches are found with a topic's route; of those that are watched no more is made
into objects than somebody has room for, and than a person or a file can take: who watches everything of a busy gateway
must not halve what it can do for its devices.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from gateway.broker.message import Message
from gateway.broker.retained import RetainedMessages
from gateway.mqtt.topics import matches
from gateway.traffic.sample import Sample

MAX_PENDING: Final = 1000
MAX_PENDING_BYTES: Final = 1024 * 1024
MAX_PER_S: Final = 2000
"""On the long run; a burst may fill all that may be pending."""
MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""Of a longer payload the beginning is shown."""
SAMPLE_BYTES: Final = 200
"""What one takes in memory beside names and payload, roughly."""


class Watch:
    """Made by `Broker.watch`. What does not fit into its bounds is not kept, and counted in `lost`."""

    __slots__ = (
        "_has_news",
        "_max_pending",
        "_max_pending_bytes",
        "_now_s",
        "_on_close",
        "_pending",
        "_pending_bytes",
        "_retained",
        "_tokens",
        "_tokens_at_s",
        "filters",
        "is_closed",
        "lost",
    )

    def __init__(
        self,
        filters: Sequence[str],
        *,
        max_pending: int,
        max_pending_bytes: int,
        now_s: Callable[[], float],
        retained: RetainedBelow | None,
        on_close: Callable[[Watch], None],
    ) -> None:
        self.filters = tuple(filters)
        self.lost = 0
        """How many it could not keep, since it began."""
        self.is_closed = False
        self._pending: deque[Sample] = deque()
        self._pending_bytes = 0
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._now_s = now_s
        self._tokens = float(max_pending)
        """How many more may come now; they grow by MAX_PER_S."""
        self._tokens_at_s = now_s()
        self._retained = retained
        self._on_close = on_close
        self._has_news = asyncio.Event()
        if retained is not None:
            self._has_news.set()

    async def wait(self) -> bool:
        """Wait until there may be something to take, or something was lost; false when it is closed."""
        if self._has_news.is_set():
            await asyncio.sleep(0)  # whoever watches everything of a busy gateway must let it work all the same
        else:
            await self._has_news.wait()
        return not self.is_closed

    def take(self, max_samples: int = MAX_PENDING) -> list[Sample]:
        """What is there, oldest first: at the beginning what is retained, a bit at a time, if that was asked for."""
        found: list[Sample] = []
        if self._retained is not None:
            found = self._retained.take(max_samples)
            if not self._retained.is_done:
                return found
            self._retained = None
        pending = self._pending
        while pending and len(found) < max_samples:
            sample = pending.popleft()
            self._pending_bytes -= _size_bytes(sample)
            found.append(sample)
        if not pending and not self.is_closed:
            self._has_news.clear()
        return found

    def close(self) -> None:
        """Watch no more; idempotent. Whoever waits is told."""
        if not self.is_closed:
            self.is_closed = True
            self._on_close(self)
            self._pending.clear()
            self._pending_bytes = 0
            self._retained = None
            self._has_news.set()

    def offer(self, rows: Sequence[int], sample: Callable[[int], Sample]) -> None:
        """These came; `sample` makes one of them."""
        if self.is_closed:
            return
        now_s = self._now_s()
        tokens = min(self._max_pending, self._tokens + (now_s - self._tokens_at_s) * MAX_PER_S)
        kept = 0
        for i in rows[: min(self._max_pending - len(self._pending), int(tokens))]:
            each = sample(i)
            size_bytes = _size_bytes(each)
            if self._pending_bytes + size_bytes > self._max_pending_bytes:
                break
            self._pending.append(each)
            self._pending_bytes += size_bytes
            kept += 1
        self._tokens = tokens - kept
        self._tokens_at_s = now_s
        self.lost += len(rows) - kept
        self._has_news.set()


class RetainedBelow:
    """What is retained below some filters, each message once, a bit at a time."""

    __slots__ = ("_filters", "_matches", "_now_s", "_place")

    def __init__(self, retained: RetainedMessages, filters: Sequence[str], now_s: Callable[[], float]) -> None:
        self._filters = filters
        self._matches = [retained.match(each, now_s()) for each in filters]
        self._now_s = now_s
        self._place = 0

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more."""
        return self._place >= len(self._matches)

    def take(self, max_samples: int) -> list[Sample]:
        """At most so many more; it may be none though there are."""
        if self.is_done:
            return []
        found = self._matches[self._place].take(max_samples, self._now_s())
        earlier = self._filters[: self._place]
        if self._matches[self._place].is_done:
            self._place += 1
        return [
            sample_of(message, None) for message in found if not any(matches(each, message.topic) for each in earlier)
        ]


def show(message: Message, at_us: int, watches: Sequence[Watch]) -> None:
    """One message that is on disk, or that no disk was to have."""
    for watch in watches:
        watch.offer(range(1), lambda _: sample_of(message, at_us))


def sample_of(message: Message, at_us: int | None) -> Sample:
    """A message as it is shown."""
    return Sample(
        at_us=at_us,
        client=message.origin,
        topic=message.topic,
        payload=message.payload[:MAX_PAYLOAD_BYTES],
        size_bytes=len(message.payload),
        qos=message.qos,
        retain=message.retain,
        properties=message.properties,
    )


def _size_bytes(sample: Sample) -> int:
    size = SAMPLE_BYTES + len(sample.topic) + len(sample.client) + len(sample.payload)
    return size if sample.properties is None else size + sample.properties.size_bytes
