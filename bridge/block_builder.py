"""The making of a block (`bridge.block`): columns that grow until they are its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgpack

from bridge.record import Properties


class _Index(dict[Any, int]):
    """Gives every key met the next number: the position it will have in the block's table."""

    def __missing__(self, key: Any) -> int:
        position = self[key] = len(self)
        return position


class BlockBuilder:
    """The open block of a stream: columns that grow until they are sealed.

    `extend` runs once a batch of publishes, not once a record: every line in it is one call into C over the whole
    batch. Guarded by tests/bench (durable ingest).
    """

    __slots__ = (
        "_client_index",
        "_clients",
        "_delta_us",
        "_flags",
        "_payloads",
        "_property_index",
        "_property_sets",
        "_received_at_us",
        "_topic_index",
        "_topics",
        "count",
        "plain_size_bytes",
        "size_bytes",
    )

    def __init__(self, received_at_us: int) -> None:
        self._received_at_us = received_at_us
        self._topics = _Index()
        self._clients = _Index()
        self._topic_index: list[int] = []
        self._client_index: list[int] = []
        self._delta_us: list[int] = []
        self._flags = bytearray()
        self._payloads: list[bytes] = []
        self._property_sets: dict[Properties, int] | None = None
        self._property_index: list[int] = []
        self.count = 0
        self.size_bytes = 0
        self.plain_size_bytes = 0

    @property
    def received_at_us(self) -> int:
        """When the block's first record came."""
        return self._received_at_us

    def extend(
        self,
        *,
        client: str,
        now_us: int,
        topics: Sequence[bytes],
        payloads: Sequence[bytes],
        flags: bytes | bytearray,
        plain_size_bytes: int,
        properties: Sequence[Properties | None] | None = None,
    ) -> None:
        """Append one client's publishes, oldest first; columns of one length. Topics are UTF-8, checked before."""
        n = len(payloads)
        known, clients = len(self._topics), len(self._clients)
        if n == 1:  # many connections with a window of one: the calls over columns would cost more than the record
            self._topic_index.append(self._topics[topics[0]])
            self._client_index.append(self._clients[client])
            self._delta_us.append(now_us - self._received_at_us)
            self._payloads.append(payloads[0])
            self.size_bytes += len(payloads[0]) + 8
        else:
            self._topic_index += map(self._topics.__getitem__, topics)
            self._client_index += [self._clients[client]] * n
            self._delta_us += [now_us - self._received_at_us] * n
            self._payloads += payloads
            self.size_bytes += sum(map(len, payloads)) + 8 * n
        self._flags += flags
        if properties is not None or self._property_sets is not None:
            self._extend_properties(n, properties)
        if len(self._topics) > known:
            self.size_bytes += sum(map(len, islice(reversed(self._topics), len(self._topics) - known)))
        if len(self._clients) > clients:
            self.size_bytes += len(client)
        self.plain_size_bytes += plain_size_bytes
        self.count += n

    def _extend_properties(self, n: int, properties: Sequence[Properties | None] | None) -> None:
        if self._property_sets is None:
            self._property_sets = {}
            self._property_index = [0] * self.count
        if properties is None:
            self._property_index += [0] * n
            return
        sets = self._property_sets
        for item in properties:
            if item is None:
                self._property_index.append(0)
                continue
            position = sets.get(item)
            if position is None:
                position = sets[item] = len(sets) + 1
                self.size_bytes += item.size_bytes
            self._property_index.append(position)

    def encode(self) -> bytes:
        """The block's bytes."""
        block: list[Any] = [
            self._received_at_us,
            [topic.decode() for topic in self._topics],
            list(self._clients),
            self._topic_index,
            self._client_index,
            self._delta_us,
            bytes(self._flags),
            self._payloads,
        ]
        if self._property_sets is not None:
            block.append([[item.to_map() for item in self._property_sets], self._property_index])
        packed: bytes = msgpack.packb(block)
        return packed
