"""Parts of a run of publishes, for those runs that cannot be taken whole."""

from __future__ import annotations

from collections.abc import Container, Sequence

from gateway.broker.routes import Routes
from gateway.mqtt.errors import TopicNameInvalid
from gateway.mqtt.packets import PublishBatch


def part(batch: PublishBatch, start: int, stop: int) -> PublishBatch:
    """The publishes [start, stop) of a run."""
    if start == 0 and stop == len(batch):
        return batch
    return rows_of(batch, range(start, stop))


def rows_of(batch: PublishBatch, rows: Sequence[int]) -> PublishBatch:
    """These publishes of a run; their size on the wire is shared out evenly."""
    properties = batch.properties
    return PublishBatch(
        qos=batch.qos,
        topics=[batch.topics[i] for i in rows],
        payloads=[batch.payloads[i] for i in rows],
        packet_ids=[batch.packet_ids[i] for i in rows] if batch.qos else [],
        first_bytes=bytearray(batch.first_bytes[i] for i in rows),
        properties=None if properties is None else [properties[i] for i in rows],
        size_bytes=batch.size_bytes * len(rows) // max(1, len(batch)),
    )


def fitting(batch: PublishBatch, room: int, awaiting: Container[bytes]) -> int:
    """How many publishes from the start of the run fit into the window; pending QoS 2 ids take no place."""
    places = room
    for i, packet_id in enumerate(batch.packet_ids):
        if batch.qos == 2 and packet_id in awaiting:
            continue
        if places <= 0:
            return i
        places -= 1
    return len(batch)


def first_invalid(batch: PublishBatch, routes: Routes) -> int:
    """Where the first publish stands whose topic name is not valid."""
    for i, topic in enumerate(batch.topics):
        try:
            routes[topic]
        except TopicNameInvalid:
            return i
    return len(batch)
