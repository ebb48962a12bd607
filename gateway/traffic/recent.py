"""The newest messages, as far as they fit into a few bytes: what a device or a topic said last. Pure.

Runs stay as the columns that they came in; an object for a message is made when somebody asks for it. Of a long payload
only the beginning is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, TypeAlias

from bridge.record import FLAG_QOS_SHIFT, FLAG_RETAIN, Properties
from gateway.traffic.sample import Sample

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_PAYLOAD_BYTES: Final = 1024

RUN_BYTES: Final = 400
MESSAGE_BYTES: Final = 100
"""What a run and a message take in memory beside names and payloads, roughly."""
ONE_BYTES: Final = RUN_BYTES + MESSAGE_BYTES


_Run: TypeAlias = tuple[
    str,
    int,
    Sequence[bytes],
    Sequence[bytes],
    Sequence[int] | None,
    bytes | bytearray,
    Sequence[Properties | None] | None,
    int,
]
"""Client, when it came, topics, payloads, how long those were (None: all are whole), flags, properties, and what it
takes in memory. No class of its own: to make one costs as much as all the rest."""


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
        if len(payloads) == 1 and properties is None and len(payloads[0]) <= MAX_PAYLOAD_BYTES:
            size_bytes = ONE_BYTES + len(payloads[0]) + len(topics[0])
            self._runs.append((client, now_us, topics, payloads, None, flags, None, size_bytes))
        else:
            size_bytes = self._add(client, now_us, topics, payloads, flags, properties)
        size_bytes += self.size_bytes
        while size_bytes > self._max_bytes:
            size_bytes -= self._runs.popleft()[-1]
        self.size_bytes = size_bytes

    def _add(
        self,
        client: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        properties: Sequence[Properties | None] | None,
    ) -> int:
        sizes: list[int] | None = list(map(len, payloads))
        if max(sizes or ()) > MAX_PAYLOAD_BYTES:
            payloads = [payload[:MAX_PAYLOAD_BYTES] for payload in payloads]
            size_bytes = sum(map(len, payloads))
        else:
            size_bytes = sum(sizes or ())
            sizes = None
        if properties is not None:
            size_bytes += sum(each.size_bytes for each in properties if each is not None)
        size_bytes += RUN_BYTES + MESSAGE_BYTES * len(payloads) + sum(map(len, topics))
        self._runs.append((client, now_us, topics, payloads, sizes, flags, properties, size_bytes))
        return size_bytes

    def newest(self, *, client: str | None = None, topic: str | None = None, limit: int) -> list[Sample]:
        """Those of a client, on a topic, or both; newest first."""
        found: list[Sample] = []
        raw = None if topic is None else topic.encode(errors="replace")
        for run in reversed(self._runs):
            topics = run[2]
            if (client is not None and run[0] != client) or (raw is not None and raw not in topics):
                continue
            for i in range(len(topics) - 1, -1, -1):
                if raw is None or topics[i] == raw:
                    if len(found) >= limit:
                        return found
                    found.append(_sample(run, i))
        return found


def _sample(run: _Run, i: int) -> Sample:
    client, at_us, topics, payloads, sizes, flags, properties, _ = run
    return Sample(
        at_us=at_us,
        client=client,
        topic=topics[i].decode(),
        payload=payloads[i],
        size_bytes=len(payloads[i]) if sizes is None else sizes[i],
        qos=flags[i] >> FLAG_QOS_SHIFT,
        retain=bool(flags[i] & FLAG_RETAIN),
        properties=None if properties is None else properties[i],
    )
