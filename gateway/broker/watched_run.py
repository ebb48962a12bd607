"""A run of publishes that somebody watches (`gateway.broker.watch`), until its commit is on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.broker.routes import Route
from gateway.broker.watch import MAX_PAYLOAD_BYTES
from gateway.mqtt.packets import PublishBatch
from gateway.traffic.sample import Sample


class WatchedRun:
    """Made by `Incoming`, shown by its `Receipt`."""

    __slots__ = ("_at_us", "_batch", "_client_id", "_routes")

    def __init__(self, client_id: str, at_us: int, batch: PublishBatch, routes: Mapping[bytes, Route]) -> None:
        """`routes` has each of its topics."""
        self._client_id = client_id
        self._at_us = at_us
        self._batch = batch
        self._routes = routes

    def show(self) -> None:
        """Its commit is on disk: to everybody who watches one of its topics."""
        routes = self._routes
        topics = self._batch.topics
        for watch in {watch for route in routes.values() for watch in route.watches}:
            watched = {topic for topic, route in routes.items() if watch in route.watches}
            rows: Sequence[int] = range(len(topics))
            if len(watched) < len(routes):
                rows = [i for i, topic in enumerate(topics) if topic in watched]
            watch.offer(rows, self._sample)

    def _sample(self, i: int) -> Sample:
        batch = self._batch
        payload = batch.payloads[i]
        return Sample(
            at_us=self._at_us,
            client=self._client_id,
            topic=self._routes[batch.topics[i]].topic,
            payload=payload[:MAX_PAYLOAD_BYTES],
            size_bytes=len(payload),
            qos=batch.qos,
            retain=bool(batch.first_bytes[i] & 1),
            properties=None if batch.properties is None else batch.properties[i],
        )
