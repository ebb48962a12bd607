"""The receiving half of a connection: publishes into the store's open commit, and QoS 2 ids until their PUBREL.

A run of publishes goes in as columns, and its packet ids wait for the commit. The way of a plain run (`_publish`, and
`Client.on_commit`) is the hot path: its cost is per run and per distinct topic, not per publish; at 500 connections
with a window of one it is most of what a publish costs. Guarded by tests/bench.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bridge.record import FLAGS_MASK
from gateway.broker.batches import first_invalid, fitting, part, rows_of
from gateway.broker.commons import Party
from gateway.broker.exchanges import Receipt, Repeat
from gateway.broker.releasing import WAITING_BYTES, Releasing
from gateway.broker.routes import MAX_CACHED_TOPIC_BYTES, SLOW, Route
from gateway.broker.unreleased import FREE_IDS
from gateway.broker.watched_run import WatchedRun
from gateway.mqtt.errors import (
    LimitExceeded,
    ProtocolViolation,
    ReceiveMaximumExceeded,
    TopicNameInvalid,
)
from gateway.mqtt.packets import PublishBatch, Version
from gateway.mqtt.reason_codes import ReasonCode

MAX_ALLOWED_TOPICS: Final = 1000
"""How many topics it is remembered of that a client may publish to them."""

_RECORD_FLAGS: Final = bytes(first & FLAGS_MASK for first in range(256))
"""A PUBLISH's first byte to a record's flags: QoS and RETAIN stay, type and DUP go."""


class Incoming:
    """One connection's publishes. `unanswered` counts QoS 1 publishes that wait for their commit.

    The window is the connection's own (MQTT 5 §4.9): QoS 2 ids that an earlier connection left take no place in it. A
    client that has lost its memory would never release them, and could publish nothing more.
    """

    __slots__ = (
        "_activity",
        "_allowed",
        "_client",
        "_commons",
        "_inherited",
        "_receive_maximum",
        "_session",
        "_traffic",
        "releasing",
        "unanswered",
    )

    def __init__(self, client: Party, receive_maximum: int) -> None:
        self._client = client
        self._commons = client.commons
        self._session = client.session
        self._activity = client.session.activity
        self._traffic = client.commons.traffic
        self._receive_maximum = receive_maximum
        self.releasing = Releasing(client)
        self._inherited = self.releasing.inherited
        self.unanswered = 0
        self._allowed: set[bytes] | None = None
        """Topics that the client may publish to; None: any."""
        self.forget_rights()

    def forget_rights(self) -> None:
        """The session's rights have changed: ask them anew."""
        self._allowed = None if self._session.rights.is_unlimited else set()

    def _ask(self, topics: Iterable[bytes]) -> bool:
        """Whether the client may publish to all of the topics, whose names are known to be valid."""
        allowed = self._allowed
        if allowed is None:
            return True
        may_publish = self._session.rights.may_publish
        if len(allowed) >= MAX_ALLOWED_TOPICS:
            allowed.clear()
        is_allowed = True
        for topic in topics:
            if topic not in allowed:
                if not may_publish(topic.decode()):
                    is_allowed = False
                elif len(topic) <= MAX_CACHED_TOPIC_BYTES:
                    allowed.add(topic)
        return is_allowed

    def publish(self, batch: PublishBatch) -> None:
        """Take a run. Raises ReceiveMaximumExceeded, LimitExceeded or TopicNameInvalid.

        What came before the fault is taken first.
        """
        qos = batch.qos
        commons = self._commons
        now_us = commons.clock.now_us()
        commons.counters.publish_bytes_received += batch.size_bytes
        activity = self._activity
        activity.published += len(batch.topics)
        activity.published_bytes += batch.size_bytes
        topic = batch.topics[-1]
        activity.last_topic = topic if len(topic) <= MAX_CACHED_TOPIC_BYTES else topic[:MAX_CACHED_TOPIC_BYTES]
        activity.last_us = now_us
        if qos == 0:
            self._publish(batch, now_us)
            return
        awaiting = self._session.awaiting_release
        excess: ProtocolViolation | None = None
        room = self._receive_maximum - self.unanswered - (len(awaiting) - len(self._inherited))
        if self._client.version is Version.V5 and len(batch.payloads) > room:
            fits = fitting(batch, room, awaiting)
            if fits < len(batch.payloads):
                excess = ReceiveMaximumExceeded(
                    f"More than the announced {self._receive_maximum} publishes are unacknowledged."
                )
                batch = part(batch, 0, fits)
        if qos == 2:
            wanted = len(awaiting) + len(batch.payloads)
            if wanted > FREE_IDS and wanted > (share := self._commons.unreleased.share()):
                fits = fitting(batch, share - len(awaiting), awaiting)
                if fits < len(batch.payloads):
                    excess = LimitExceeded(
                        f"{len(awaiting)} publishes with QoS 2 wait for PUBREL; all sessions have too many of them."
                    )
                    batch = part(batch, 0, fits)
            ids = batch.packet_ids
            if len(set(ids)) < len(ids) or not awaiting.keys().isdisjoint(ids):
                self._publish_with_repeats(batch, now_us)
            else:
                self._publish(batch, now_us)
        else:
            self._publish(batch, now_us)
        if excess is not None:
            raise excess

    def _publish_with_repeats(self, batch: PublishBatch, now_us: int) -> None:
        """A run in which QoS 2 ids come that are pending: those are only answered again, in their place."""
        awaiting = self._session.awaiting_release
        start = 0
        seen: set[bytes] = set()
        for i, packet_id in enumerate(batch.packet_ids):
            if packet_id in seen or packet_id in awaiting:
                self._publish(part(batch, start, i), now_us)
                start = i + 1
                seen.clear()
                if packet_id not in awaiting:
                    continue  # The first of the two was refused just now, in its place: that answer is for both.
                self.releasing.count_repeat(batch, i)
                self._commons.counters.duplicates += 1
                self._commons.store.after_commit(
                    self._client, Repeat(packet_id, awaiting[packet_id]), held_bytes=WAITING_BYTES
                )
            else:
                seen.add(packet_id)
        self._publish(part(batch, start, len(batch)), now_us)

    def _publish(self, batch: PublishBatch, now_us: int) -> None:
        topics = batch.topics
        n = len(topics)
        commons = self._commons
        routes = commons.routes
        try:
            if n == 1:
                fast = routes[topics[0]].fast
                if self._allowed is not None and topics[0] not in self._allowed and not self._ask(topics):
                    fast = SLOW
            elif n:
                distinct = set(topics)
                streams = {routes[topic].fast for topic in distinct}
                fast = streams.pop() if len(streams) == 1 else SLOW
                if self._allowed is not None and not distinct <= self._allowed and not self._ask(distinct):
                    fast = SLOW
            else:
                return
        except TopicNameInvalid:
            # Those before the bad one are still taken.
            self._publish(part(batch, 0, first_invalid(batch, routes)), now_us)
            raise
        qos = batch.qos
        flags = batch.first_bytes.translate(_RECORD_FLAGS)
        store = commons.store
        if fast == SLOW or qos << 1 | 1 in flags or not store.has_room:
            self._publish_slowly(batch, flags, now_us)
            return
        store.append(
            fast,
            client=self._client.client_id,
            now_us=now_us,
            topics=topics,
            payloads=batch.payloads,
            flags=flags,
            plain_size_bytes=batch.size_bytes,
            properties=batch.properties,
        )
        if self._traffic is not None:
            self._traffic.saw(self._client.client_id, now_us, topics, batch.payloads, flags, batch.properties)
        if qos == 1:
            self.unanswered += n
            store.after_commit(self._client, batch.packet_ids)
        elif qos == 0:
            store.after_commit(self._client, n)
        else:
            self._await_release(Receipt(self._session, 2, batch.packet_ids, size=n), batch.packet_ids)

    def _publish_slowly(self, batch: PublishBatch, flags: bytes | bytearray, now_us: int) -> None:
        """A run for several streams or none, for local subscribers, with RETAIN, not allowed, or with no room for it.

        One that goes whole into one stream is not taken apart for local subscribers either.
        """
        commons = self._commons
        session = self._session
        store = commons.store
        qos = batch.qos
        n = len(batch)
        routes = {topic: commons.routes[topic] for topic in set(batch.topics)}
        streams = {None if route.is_refused else route.stream for route in routes.values()}
        refusals: dict[int, ReasonCode] = {}
        taken = batch
        is_stored = False
        stream = streams.pop() if len(streams) == 1 else None
        if stream is not None and store.has_room and self._ask(routes):
            self._store(stream, batch, flags, now_us)
            is_stored = True
        else:
            taken, is_stored = self._sort(batch, routes, refusals, now_us)
        booking = None
        if len(taken):
            booking = commons.delivery.book_run(
                taken, routes, origin=session.client_id, username=session.username, access=session.access
            )
        watched = self._show(batch, routes, refusals, now_us)
        receipt = Receipt(
            session,
            qos,
            batch.packet_ids,
            size=n,
            booking=booking,
            refusals=refusals,
            needs_disk=is_stored or (qos == 2 and session.is_durable) or (booking is not None and booking.needs_disk),
            watched=watched,
        )
        # What no stream took waits in memory alone.
        held_bytes = 0
        if not is_stored:
            held_bytes = WAITING_BYTES * n
            if booking is not None or watched is not None:
                held_bytes += sum(map(len, taken.payloads))
        if qos == 2:
            pending = [packet_id for i, packet_id in enumerate(batch.packet_ids) if i not in refusals]
            self._await_release(receipt, pending, held_bytes)
        else:
            self.unanswered += n if qos else 0
            store.after_commit(self._client, receipt, held_bytes=held_bytes)

    def _show(
        self, batch: PublishBatch, routes: Mapping[bytes, Route], refusals: Mapping[int, ReasonCode], now_us: int
    ) -> WatchedRun | None:
        """Let those look at it who want to: at what was not refused, and a watch not before it is on disk."""
        if refusals:
            batch = rows_of(batch, [i for i in range(len(batch)) if i not in refusals])
            if not len(batch):
                return None
        client_id = self._client.client_id
        if self._traffic is not None:
            flags = batch.first_bytes.translate(_RECORD_FLAGS)
            self._traffic.saw(client_id, now_us, batch.topics, batch.payloads, flags, batch.properties)
        if self._commons.routes.watches and any(route.watches for route in routes.values()):
            return WatchedRun(client_id, now_us, batch, routes)
        return None

    def _sort(
        self,
        batch: PublishBatch,
        routes: Mapping[bytes, Route],
        refusals: dict[int, ReasonCode],
        now_us: int,
    ) -> tuple[PublishBatch, bool]:
        """Each publish into its stream; returns those that local subscribers get, and whether any was stored."""
        qos = batch.qos
        has_room = self._commons.store.has_room
        forbidden = {topic for topic in routes if not self._ask((topic,))}
        lanes: dict[int, list[int]] = {}
        rows: list[int] = []
        for i, raw in enumerate(batch.topics):
            route = routes[raw]
            if route.is_refused or raw in forbidden:
                refusals[i] = ReasonCode.NOT_AUTHORIZED
                continue
            if route.stream is not None:
                if has_room:
                    lanes.setdefault(route.stream, []).append(i)
                else:
                    refusals[i] = ReasonCode.QUOTA_EXCEEDED
                    if qos:
                        continue
            rows.append(i)
        for stream, lane in lanes.items():
            run = batch if len(lane) == len(batch) else rows_of(batch, lane)
            self._store(stream, run, run.first_bytes.translate(_RECORD_FLAGS), now_us)
        return (batch if len(rows) == len(batch) else rows_of(batch, rows)), bool(lanes)

    def _store(self, stream: int, run: PublishBatch, flags: bytes | bytearray, now_us: int) -> None:
        self._commons.store.append(
            stream,
            client=self._client.client_id,
            now_us=now_us,
            topics=run.topics,
            payloads=run.payloads,
            flags=flags,
            plain_size_bytes=run.size_bytes,
            properties=run.properties,
        )

    def _await_release(self, receipt: Receipt, packet_ids: list[bytes], held_bytes: int = 0) -> None:
        """QoS 2: the ids are pending from now on, on disk with the same commit as the records."""
        session = self._session
        session.awaiting_release.update(dict.fromkeys(packet_ids, receipt))
        if session.is_durable and packet_ids:
            receipt.change = self._commons.sessions.remember(session)
        self._commons.store.after_commit(self._client, receipt, held_bytes=held_bytes)
