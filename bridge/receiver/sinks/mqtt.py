"""Each record published again on its own topic, QoS, retain and MQTT 5 properties kept.

A record of QoS 1 or 2 is delivered when the broker acknowledged it; QoS 0 has no acknowledgement and is delivered when
it was handed to the socket. What was delivered is noted in the receiver's state after each batch. A connection lost in
the middle of a batch costs nothing twice: what was acknowledged is remembered. A crash in the middle of a batch
publishes that batch again: at least once, as QoS 1 is.

Only a reason that speaks of one record (its topic or its payload is not accepted, it is too large) makes it a refusal,
which the receiver sets aside; every other is somebody's mistake or a passing state, and is tried again. So is a record
that no packet can carry; and one with characters for which a broker may close the connection, when it was in flight
each time the broker did: published again and again it would stand in the way of all the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, Protocol

from bridge.errors import LinkError, LinkLost, LinkRefused, SinkRefused, SinkUnavailable
from bridge.flow.reasons import describe
from bridge.ports import Clock, Delivery, Link, LinkEvents, LinkLimits, Publish
from bridge.receiver.batch import Batch, Refusal, cut
from bridge.receiver.errors import StateUnusable
from bridge.receiver.intervals import Intervals
from bridge.receiver.ledger import LaneKey, Ledger
from bridge.receiver.sinks.packet_rules import impossible, is_disputed
from bridge.receiver.state import Aside, State
from bridge.record import Record

ACK_TIMEOUT_S: Final = 30.0
_TURN: Final = 100
_OVERHEAD_BYTES: Final = 64
_OF_THE_RECORD: Final = frozenset({0x90, 0x95, 0x99})
"""Topic name invalid, packet too large, payload format invalid (MQTT 5 §3.4.2.1)."""
_NEVER_CONNECTS: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})


class DrainingLink(Link, Protocol):
    """A link that can tell when what was published has left: QoS 0 has no other sign."""

    async def drain(self) -> None:
        """Return when all has gone to the socket, or the link is gone."""


class Mqtt:
    """The sink; it is the owner of its link and hears its events."""

    def __init__(
        self, *, address: str, state: State, clock: Clock, connect: Callable[[LinkEvents], DrainingLink], window: int
    ) -> None:
        """`address` names the broker in messages; `connect` makes a new link that tells its events to its argument."""
        self._address = address
        self._state = state
        self._clock = clock
        self._connect = connect
        self._window = window
        self._listener: _Listener | None = None
        self._link: DrainingLink | None = None
        self._limits = LinkLimits()
        self._delivered: dict[LaneKey, Intervals] = {}
        """What was acknowledged and is not in the ledger yet."""
        self._losses: dict[tuple[LaneKey, int], int] = {}
        """How many connections in a row were lost while the record was in flight."""

    @property
    def name(self) -> str:
        """As the protocol says."""
        return f"mqtt:{self._address}"

    async def open(self) -> Ledger:
        """Connect."""
        self._listener = _Listener()
        self._link = self._connect(self._listener)
        try:
            self._limits = await self._link.connect()
            return await self._state.ledger(self.name)
        except LinkRefused as error:
            kind = SinkRefused if error.reason_code in _NEVER_CONNECTS else SinkUnavailable
            raise kind(f"The sink's broker {self._address} refused the connection: {error}") from error
        except (LinkError, StateUnusable) as error:
            raise SinkUnavailable(str(error)) from error

    async def write(self, batch: Batch) -> Sequence[Refusal]:
        """Publish what of the batch is not acknowledged yet; returns when all of it is, and noted."""
        link, listener = self._link, self._listener
        if link is None or listener is None:
            raise SinkUnavailable(f"The sink's broker {self._address} is not connected.")
        exchange = _Exchange(self._delivered)
        listener.exchange = exchange
        try:
            await self._publish(batch, link, listener, exchange)
            asides = [self._aside(refusal) for refusal in exchange.refusals]
            await self._state.save_progress(self.name, batch.ledger_rows, asides=asides)
        except TimeoutError as error:
            raise SinkUnavailable(
                f"The sink's broker {self._address} acknowledged nothing for {ACK_TIMEOUT_S:g} s."
            ) from error
        except LinkError as error:
            self._losses = {key: self._losses.get(key, 0) + 1 for key in exchange.in_flight()}
            raise SinkUnavailable(str(error)) from error
        except StateUnusable as error:
            raise SinkUnavailable(str(error)) from error
        finally:
            listener.exchange = None
        self._losses.clear()
        self._delivered.clear()
        return exchange.refusals

    def _aside(self, refusal: Refusal) -> Aside:
        return Aside(
            received_at_us=self._clock.now_us(),
            code=refusal.code,
            reason=refusal.reason,
            topic=refusal.topic,
            data=refusal.payload,
        )

    async def close(self) -> None:
        """Disconnect."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _publish(self, batch: Batch, link: DrainingLink, listener: _Listener, exchange: _Exchange) -> None:
        window = min(self._window, self._limits.receive_maximum)
        number = 0
        for portion in batch.portions:
            known = self._delivered.get(portion.lane, Intervals())
            wanted = known.missing(portion.block.first_seq, portion.block.next_seq)
            for record in chain.from_iterable(cut(portion.block, start, stop) for start, stop in wanted):
                while len(exchange.waiting) >= window:
                    await listener.progress()
                number += 1
                if number % _TURN == 0:
                    await self._hand_over(link, listener, exchange)
                self._publish_one(portion.lane, record, link, exchange)
        while exchange.waiting:
            await listener.progress()
        await self._hand_over(link, listener, exchange)

    async def _hand_over(self, link: DrainingLink, listener: _Listener, exchange: _Exchange) -> None:
        """Wait for the socket to take what was published; only then QoS 0 counts as delivered."""
        await link.drain()
        await asyncio.sleep(0)  # `drain` returns for a lost link too, which is told one turn later
        if listener.lost is not None:
            raise LinkLost(f"The connection to the sink's broker {self._address} is lost: {listener.lost}")
        for lane, seq in exchange.published:
            exchange.note(lane, seq)
        exchange.published.clear()

    def _publish_one(self, lane: LaneKey, record: Record, link: Link, exchange: _Exchange) -> None:
        limits = self._limits
        size = len(record.payload) + len(record.topic.encode()) + _OVERHEAD_BYTES
        if limits.maximum_packet_size_bytes is not None and size > limits.maximum_packet_size_bytes:
            exchange.refuse(lane, record, f"{size} bytes are more than the broker takes")
            return
        reason = impossible(record)
        if reason is None and self._losses.get((lane, record.seq), 0) > 1 and is_disputed(record):
            reason = (
                "it has control characters in its topic or properties, and the broker closes the connection over it"
            )
        if reason is not None:
            exchange.refuse(lane, record, reason)
            return
        qos = min(record.qos, limits.maximum_qos)
        packet_id = link.publish(_message(record, qos, limits.retain_available, self._clock.now_us()))
        if qos:
            exchange.waiting[packet_id] = (lane, record)
        else:
            exchange.published.append((lane, record.seq))


class _Exchange:
    """The acknowledgements of one write."""

    __slots__ = ("_delivered", "error", "published", "refusals", "waiting")

    def __init__(self, delivered: dict[LaneKey, Intervals]) -> None:
        self._delivered = delivered
        self.waiting: dict[int, tuple[LaneKey, Record]] = {}
        self.published: list[tuple[LaneKey, int]] = []
        """Of QoS 0, and not known to have left."""
        self.refusals: list[Refusal] = []
        self.error: str | None = None

    def in_flight(self) -> list[tuple[LaneKey, int]]:
        """What was published and is not known to have arrived."""
        return [*((lane, record.seq) for lane, record in self.waiting.values()), *self.published]

    def note(self, lane: LaneKey, seq: int) -> None:
        self._delivered.setdefault(lane, Intervals()).add(seq, seq + 1)

    def refuse(self, lane: LaneKey, record: Record, reason: str) -> None:
        self.refusals.append(
            Refusal(
                lane=lane,
                seq=record.seq,
                topic=record.topic,
                payload=record.payload,
                reason=f"The sink does not take record {record.seq} on {record.topic}: {reason}.",
            )
        )

    def acknowledged(self, packet_id: int, reason_code: int) -> None:
        lane, record = self.waiting.pop(packet_id, (None, None))
        if lane is None or record is None:
            return
        if reason_code < 0x80:  # 0x10, nobody subscribes, too: here that is nobody's fault
            self.note(lane, record.seq)
        elif reason_code in _OF_THE_RECORD:
            self.refuse(lane, record, describe(reason_code))
        else:
            self.error = f"The sink's broker did not take {record.topic}: {describe(reason_code)}."


class _Listener:
    """The events of one link; whoever waits for an acknowledgement is woken."""

    def __init__(self) -> None:
        self.exchange: _Exchange | None = None
        self.lost: Exception | None = None
        self._wake = asyncio.Event()

    async def progress(self) -> None:
        """Return after something happened. Raises LinkLost, SinkUnavailable, TimeoutError."""
        if self.lost is None and (self.exchange is None or self.exchange.error is None):
            self._wake.clear()
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await self._wake.wait()
        if self.exchange is not None and self.exchange.error is not None:
            raise SinkUnavailable(self.exchange.error)
        if self.lost is not None:
            raise LinkLost(f"The connection to the sink's broker is lost: {self.lost}")

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        if self.exchange is not None:
            self.exchange.acknowledged(packet_id, reason_code)
        self._wake.set()

    def on_delivery(self, delivery: Delivery) -> None:
        """Nothing is subscribed; what an old session of this client id still holds is not ours to take."""

    def on_lost(self, error: Exception) -> None:
        self.lost = error
        self._wake.set()


def _message(record: Record, qos: int, retain_available: bool, now_us: int) -> Publish:
    properties = record.properties
    retain = record.retain and retain_available
    if properties is None:
        return Publish(topic=record.topic, payload=record.payload, qos=qos, retain=retain)
    expiry_s = properties.message_expiry_interval
    if expiry_s is not None:
        # A server passes on what is left of it (MQTT 5 §3.3.2.3.3). At least a second: whether it is over, the next
        # broker says; two clocks that disagree must not delete anything here.
        expiry_s = min(expiry_s, max(1, expiry_s - (now_us - record.received_at_us) // 1_000_000))
    return Publish(
        topic=record.topic,
        payload=record.payload,
        qos=qos,
        retain=retain,
        user_properties=properties.user_property,
        content_type=properties.content_type,
        response_topic=properties.response_topic,
        correlation_data=properties.correlation_data,
        payload_format_indicator=properties.payload_format_indicator,
        message_expiry_interval_s=expiry_s,
    )
