"""The receiving half of a connection: publishes into the store's open commit, and QoS 2 ids until their PUBREL.

A run of publishes goes in as columns, and its packet ids wait for the commit. The way of a plain run (`_publish`, and
`Client.on_commit`) is the hot path: its cost is per run and per distinct topic, not per publish; at 500 connections
with a window of one it is most of what a publish costs. Guarded by tests/bench.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.record import FLAGS_MASK
from gateway.broker.batches import first_invalid, fitting, part, rows_of
from gateway.broker.exchanges import Receipt, Released, Repeat
from gateway.broker.message import Message, expiry
from gateway.broker.routes import SLOW
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError, ReceiveMaximumExceeded, TopicNameInvalid
from gateway.mqtt.packets import PublishBatch, PubRel, Version
from gateway.mqtt.reason_codes import ReasonCode

if TYPE_CHECKING:
    from gateway.broker.client import Client

WAITING_BYTES: Final = 64
"""What a publish that only waits for a commit takes in memory, roughly."""

_DUP: Final = 0x08

_RECORD_FLAGS: Final = bytes(first & FLAGS_MASK for first in range(256))
"""A PUBLISH's first byte to a record's flags: QoS and RETAIN stay, type and DUP go."""


class Incoming:
    """One connection's publishes. `unanswered` counts QoS 1 publishes that wait for their commit.

    The window is the connection's own (MQTT 5 §4.9): QoS 2 ids that an earlier connection left take no place in it. A
    client that has lost its memory would never release them, and could publish nothing more.
    """

    __slots__ = ("_broker", "_client", "_inherited", "_receive_maximum", "_repeated", "_session", "unanswered")

    def __init__(self, client: Client, receive_maximum: int) -> None:
        self._client = client
        self._broker = client.broker
        self._session = client.session
        self._receive_maximum = receive_maximum
        self._inherited = set(client.session.awaiting_release)
        self._repeated: dict[bytes, int] = {}
        """Pending ids whose PUBLISH came again on this connection without DUP, and what it said."""
        self.unanswered = 0

    def publish(self, batch: PublishBatch) -> None:
        """Take a run. Raises ReceiveMaximumExceeded or TopicNameInvalid, after what came before the fault is taken."""
        qos = batch.qos
        if qos == 0:
            self._publish(batch)
            return
        awaiting = self._session.awaiting_release
        excess: ReceiveMaximumExceeded | None = None
        room = self._receive_maximum - self.unanswered - (len(awaiting) - len(self._inherited))
        if self._client.version is Version.V5 and len(batch.payloads) > room:
            fits = fitting(batch, room, awaiting)
            if fits < len(batch.payloads):
                excess = ReceiveMaximumExceeded(
                    f"More than the announced {self._receive_maximum} publishes are unacknowledged."
                )
                batch = part(batch, 0, fits)
        if qos == 2:
            ids = batch.packet_ids
            if len(set(ids)) < len(ids) or not awaiting.keys().isdisjoint(ids):
                self._publish_with_repeats(batch)
            else:
                self._publish(batch)
        else:
            self._publish(batch)
        if excess is not None:
            raise excess

    def _publish_with_repeats(self, batch: PublishBatch) -> None:
        """A run in which QoS 2 ids come that are pending: those are only answered again, in their place."""
        awaiting = self._session.awaiting_release
        start = 0
        seen: set[bytes] = set()
        for i, packet_id in enumerate(batch.packet_ids):
            if packet_id in seen or packet_id in awaiting:
                self._publish(part(batch, start, i))
                start = i + 1
                seen.clear()
                if packet_id not in awaiting:
                    continue  # The first of the two was refused just now, in its place: that answer is for both.
                self._count_repeat(batch, i)
                self._broker.counters.duplicates += 1
                self._broker.store.after_commit(
                    self._client, Repeat(packet_id, awaiting[packet_id]), held_bytes=WAITING_BYTES
                )
            else:
                seen.add(packet_id)
        self._publish(part(batch, start, len(batch)))

    def _count_repeat(self, batch: PublishBatch, i: int) -> None:
        """Raises ProtocolError where a pending id comes again and again with the same message, and none says DUP.

        A repeat with DUP is answered however often it comes [MQTT-4.3.3-10]. Without it a client either repeats and
        does not say so [MQTT-3.3.1-1], or gives two messages one id [MQTT-2.2.1-3]: that is let pass once, as
        Mosquitto does, but a client that goes on so would send the same for ever.
        """
        if batch.first_bytes[i] & _DUP:
            return
        packet_id = batch.packet_ids[i]
        said = hash((batch.topics[i], batch.payloads[i]))
        if self._repeated.get(packet_id) == said:
            number = int.from_bytes(packet_id, "big")
            raise ProtocolError(f"The PUBLISH with packet identifier {number} came three times, and not marked as DUP.")
        self._repeated[packet_id] = said

    def _publish(self, batch: PublishBatch) -> None:
        topics = batch.topics
        n = len(topics)
        broker = self._broker
        routes = broker.routes
        try:
            if n == 1:
                fast = routes[topics[0]].fast
            elif n:
                streams = {routes[topic].fast for topic in set(topics)}
                fast = streams.pop() if len(streams) == 1 else SLOW
            else:
                return
        except TopicNameInvalid:
            # Those before the bad one are still taken.
            self._publish(part(batch, 0, first_invalid(batch, routes)))
            raise
        qos = batch.qos
        flags = batch.first_bytes.translate(_RECORD_FLAGS)
        store = broker.store
        if fast == SLOW or qos << 1 | 1 in flags or not store.has_room:
            self._publish_mixed(batch, flags)
            return
        store.append(
            fast,
            client=self._client.client_id,
            now_us=broker.clock.now_us(),
            topics=topics,
            payloads=batch.payloads,
            flags=flags,
            plain_size_bytes=batch.size_bytes,
            properties=batch.properties,
        )
        if qos == 1:
            self.unanswered += n
            store.after_commit(self._client, batch.packet_ids)
        elif qos == 0:
            store.after_commit(self._client, n)
        else:
            self._await_release(Receipt(self._session, 2, batch.packet_ids, size=n), batch.packet_ids)

    def _publish_mixed(self, batch: PublishBatch, flags: bytes | bytearray) -> None:
        """A run for several streams or none, for local subscribers, with RETAIN, or with no room for it."""
        broker = self._broker
        qos = batch.qos
        has_room = broker.store.has_room
        now_s = broker.clock.monotonic_s()
        refusals: dict[int, ReasonCode] = {}
        messages: list[Message] = []
        lanes: dict[int, list[int]] = {}
        for i, raw in enumerate(batch.topics):
            route = broker.routes[raw]
            if route.is_refused:
                refusals[i] = ReasonCode.NOT_AUTHORIZED
                continue
            if route.stream is not None:
                if has_room:
                    lanes.setdefault(route.stream, []).append(i)
                else:
                    refusals[i] = ReasonCode.QUOTA_EXCEEDED
                    if qos:
                        continue
            if route.targets or route.groups or flags[i] & 1:
                properties = batch.properties[i] if batch.properties is not None else None
                messages.append(
                    Message(
                        topic=route.topic,
                        payload=bytes(batch.payloads[i]),
                        qos=qos,
                        retain=bool(flags[i] & 1),
                        origin=self._client.client_id,
                        properties=properties,
                        expires_at_s=expiry(properties, now_s),
                    )
                )
        now_us = broker.clock.now_us()
        for stream, rows in lanes.items():
            run = batch if len(rows) == len(batch) else rows_of(batch, rows)
            broker.store.append(
                stream,
                client=self._client.client_id,
                now_us=now_us,
                topics=run.topics,
                payloads=run.payloads,
                flags=run.first_bytes.translate(_RECORD_FLAGS),
                plain_size_bytes=run.size_bytes,
                properties=run.properties,
            )
        receipt = Receipt(
            self._session,
            qos,
            batch.packet_ids,
            size=len(batch),
            messages=messages,
            refusals=refusals,
            needs_disk=bool(lanes) or (qos == 2 and self._session.is_durable),
        )
        # What no stream took waits in memory alone.
        held_bytes = 0 if lanes else WAITING_BYTES * len(batch) + sum(message.size_bytes for message in messages)
        if qos == 2:
            taken = [packet_id for i, packet_id in enumerate(batch.packet_ids) if i not in refusals]
            self._await_release(receipt, taken, held_bytes)
        else:
            self.unanswered += len(batch) if qos else 0
            broker.store.after_commit(self._client, receipt, held_bytes=held_bytes)

    def _await_release(self, receipt: Receipt, packet_ids: list[bytes], held_bytes: int = 0) -> None:
        """QoS 2: the ids are pending from now on, on disk with the same commit as the records."""
        session = self._session
        session.awaiting_release.update(dict.fromkeys(packet_ids, receipt))
        if session.is_durable and packet_ids:
            receipt.change = self._broker.sessions.remember(session)
        self._broker.store.after_commit(self._client, receipt, held_bytes=held_bytes)

    def release(self, packet: PubRel) -> None:
        """PUBREL: the ids are free again; PUBCOMP says so when the disk knows."""
        session = self._session
        awaiting = session.awaiting_release
        is_committing = False
        for packet_id in packet.packet_ids:
            # An id that is not pending is answered like the others, without reason 0x92: its exchange was completed
            # before a crash or a lost connection, and a client that reads of an error would report a loss.
            receipt = awaiting.pop(packet_id, None)
            is_committing |= receipt is not None and receipt.outcome is None
            self._inherited.discard(packet_id)
            if self._repeated:
                self._repeated.pop(packet_id, None)
        if session.is_durable:
            # Also when none was pending: the disk may still hold what memory has let go of.
            released = Released(session, packet.packet_ids)
            released.change = self._broker.sessions.remember(session)
            self._broker.store.after_commit(self._client, released)
        elif is_committing:  # The client did not wait for PUBREC; PUBCOMP does not overtake it.
            self._broker.store.after_commit(self._client, Released(session, packet.packet_ids))
        else:
            self._client.reply(writer.pubcomps(packet.packet_ids, version=self._client.version))
