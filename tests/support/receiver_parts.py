"""What the receiver's tests stand on: a link and a sink that do as they are told, and waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bridge.compression import Codec
from bridge.errors import LinkLost, LinkUnreachable, SinkError
from bridge.frame import decode_frame
from bridge.ports import Delivery, LinkEvents, LinkLimits, Publish
from bridge.receiver.batch import Batch, Portion, Refusal
from bridge.receiver.ledger import Lane, LaneKey, Ledger
from tests.support.receiver_frames import frame

TIMEOUT_S = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; one turn of the event loop between two looks."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - the condition may be of a database or a thread, which set no event
            await asyncio.sleep(0)


def batch(ledger: Ledger, *frames: bytes) -> Batch:
    """The records of these frames that the ledger does not have, as a writer would give them to a sink."""
    draft = ledger.draft()
    portions = []
    for data in frames:
        found = decode_frame(data, 1 << 24, Codec())
        lane = LaneKey(found.header.gateway, found.header.stream, found.header.epoch)
        for block in found.blocks:
            assert draft.lane(lane).admit(block.first_seq, len(block)) == [(block.first_seq, block.next_seq)]
            portions.append(Portion(lane=lane, block=block))
    records = sum(len(portion.block) for portion in portions)
    made = Batch(portions=portions, ledger_rows=draft.rows(), records=records)
    ledger.accept(draft)
    return made


class FakeClock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def now_us(self) -> int:
        return int(self.now_s * 1e6)


class FakeLink:
    """A link in memory; the test is the broker."""

    def __init__(self, events: LinkEvents, *, limits: LinkLimits, reachable: bool = True) -> None:
        self.events = events
        self.limits = limits
        self.reachable = reachable
        self.subscribed: list[tuple[str, int]] = []
        self.acknowledged: list[int] = []
        self.published: list[Publish] = []
        self.closed = False
        self.lost = False
        self.socket = asyncio.Event()
        """Set while the socket takes what is published."""
        self.socket.set()
        self._packet_id = 0

    async def connect(self) -> LinkLimits:
        if not self.reachable:
            raise LinkUnreachable("Nobody is there.")
        return self.limits

    def publish(self, message: Publish) -> int:
        if self.lost:
            raise LinkLost("It is gone.")
        self.published.append(message)
        self._packet_id += 1
        return self._packet_id if message.qos else 0

    async def subscribe(self, topic_filter: str, *, qos: int) -> None:
        self.subscribed.append((topic_filter, qos))

    def acknowledge(self, delivery: Delivery) -> None:
        if not self.lost:
            self.acknowledged.append(delivery.packet_id)

    async def drain(self) -> None:
        await self.socket.wait()

    async def close(self) -> None:
        self.closed = True

    # -- what the test does

    def deliver(self, packet_id: int, payload: bytes | None = None, *, duplicate: bool = False) -> None:
        """A frame comes; without a payload ten records that begin at 10 times the packet id, minus 9."""
        data = frame(packet_id * 10 - 9, 10) if payload is None else payload
        topic = "fieldgate/v1/edge-01/telemetry"
        self.events.on_delivery(
            Delivery(topic=topic, payload=data, qos=1, retain=False, packet_id=packet_id, duplicate=duplicate)
        )

    def lose(self) -> None:
        """The connection ends."""
        self.lost = True
        self.socket.set()
        self.events.on_lost(LinkLost("The cable was cut."))


class FakeBroker:
    """Makes the links; `links[-1]` is the present one."""

    def __init__(self) -> None:
        self.links: list[FakeLink] = []
        self.session_present = False
        self.reachable = True
        self.limits = LinkLimits()

    def connect(self, events: LinkEvents) -> FakeLink:
        limits = self.limits if not self.session_present else LinkLimits(session_present=True)
        self.links.append(FakeLink(events, limits=limits, reachable=self.reachable))
        return self.links[-1]

    async def online(self) -> FakeLink:
        """The present link, once it is subscribed."""
        await until(lambda: bool(self.links) and bool(self.links[-1].subscribed) and not self.links[-1].lost)
        return self.links[-1]


class FakeSink:
    """Keeps sequence numbers in memory; `errors` are raised one a write, `gate` holds writes back."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seqs: list[int] = []
        self.writes = 0
        self.errors: list[SinkError] = []
        self.open_errors: list[SinkError] = []
        self.refusals: Sequence[Refusal] = ()
        self.gate = asyncio.Event()
        self.gate.set()
        self.opened = 0
        self._durable: dict[LaneKey, bytes] = {}

    async def open(self) -> Ledger:
        self.opened += 1
        if self.open_errors:
            raise self.open_errors.pop(0)
        return Ledger({key: Lane.decode(data) for key, data in self._durable.items()})

    async def write(self, batch: Batch) -> Sequence[Refusal]:
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.writes += 1
        self.seqs += [record.seq for portion in batch.portions for record in portion.block]
        self._durable.update({LaneKey(*row[:3]): row[3] for row in batch.ledger_rows})
        refusals, self.refusals = self.refusals, ()
        return refusals

    async def close(self) -> None:
        return None
