"""The newest messages, as far as they fit into a few bytes: what a device or a topic said last. Pure.

Runs stay as the columns that they came in; an object for a message is made when somebody asks for it. Of a long payload
only the beginning is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bridge.record import FLAG_QOS_SHIFT, FLAG_RETAIN, Properties
from gateway.traffic.sample import Sample

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_PAYLOAD_BYTES: Final = 1024

RUN_BYTES: Final = 400
MESSAGE_BYTES: Final = 100
"""What a run and a message take in memory beside names and payloads, roughly."""


class _Run(NamedTuple):
    client: str
    at_us: int
    topics: Sequence[bytes]
    payloads: Sequence[bytes]
    sizes: Sequence[int] | None
    """How long the payloads were; None: all are whole."""
    flags: bytes | bytearray
    properties: Sequence[Properties | None] | None
    size_bytes: int


class Recent:
    """A ring of runs, bounded by `max_bytes`."""

    __slots__ = ("_max_bytes", "_runs", "size_bytes")

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._runs: deque[_Run] = deque()
        self._max_bytes = max_bytes
        self.size_bytes = 0
        """What is held, roughly."""

    def add(
        self,
        client: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        """A run came; the caller does not change the columns any more."""
        sizes: list[int] | None = None
        if len(payloads) == 1:
            size = len(payloads[0])
            longest, size_bytes = size, size + len(topics[0])
        else:
            sizes = list(map(len, payloads))
            longest, size_bytes = max(sizes), sum(sizes) + sum(map(len, topics))
        if longest > MAX_PAYLOAD_BYTES:
            sizes = sizes or [longest]
            payloads = [payload[:MAX_PAYLOAD_BYTES] for payload in payloads]
            size_bytes = sum(map(len, payloads)) + sum(map(len, topics))
        else:
            sizes = None
        if properties is not None:
            size_bytes += sum(each.size_bytes for each in properties if each is not None)
        size_bytes += RUN_BYTES + MESSAGE_BYTES * len(payloads) + len(client)
        runs = self._runs
        runs.append(_Run(client, now_us, topics, payloads, sizes, flags, properties, size_bytes))
        held_bytes = self.size_bytes + size_bytes
        while held_bytes > self._max_bytes:
            held_bytes -= runs.popleft().size_bytes
        self.size_bytes = held_bytes

    def newest(self, *, client: str | None = None, topic: str | None = None, limit: int) -> list[Sample]:
        """Those of a client, on a topic, or both; newest first."""
        found: list[Sample] = []
        raw = None if topic is None else topic.encode(errors="replace")
        for run in reversed(self._runs):
            if (client is not None and run.client != client) or (raw is not None and raw not in run.topics):
                continue
            for i in _places(run, raw):
                if len(found) >= limit:
                    return found
                found.append(_sample(run, i))
        return found


def _places(run: _Run, raw: bytes | None) -> Iterator[int]:
    backwards = range(len(run.payloads) - 1, -1, -1)
    return iter(backwards) if raw is None else (i for i in backwards if run.topics[i] == raw)


def _sample(run: _Run, i: int) -> Sample:
    flags = run.flags[i]
    return Sample(
        at_us=run.at_us,
        client=run.client,
        topic=run.topics[i].decode(),
        payload=run.payloads[i],
        size_bytes=len(run.payloads[i]) if run.sizes is None else run.sizes[i],
        qos=flags >> FLAG_QOS_SHIFT,
        retain=bool(flags & FLAG_RETAIN),
        properties=None if run.properties is None else run.properties[i],
    )
