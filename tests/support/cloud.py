"""Fakes for what an uplink stands between: a spool that is strict about its contract, and a broker with moods."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bridge.block_builder import BlockBuilder
from bridge.compression import Codec
from bridge.errors import LinkLost, LinkRefused, LinkUnreachable
from bridge.frame import Frame, decode_frame
from bridge.ports import Backlog, Gap, LinkEvents, LinkLimits, Peek, Publish, StoredBlock
from config.settings import Compression

EPOCH = "00112233445566aa"
CODEC = Codec()


def stored_block(
    first_seq: int, payloads: Sequence[bytes], *, now_us: int = 0, compressed: bool = False
) -> StoredBlock:
    """A block as the spool would hand it over; the record with sequence number n has the topic `t/n`."""
    builder = BlockBuilder(now_us)
    builder.extend(
        client="device",
        now_us=now_us,
        topics=[f"t/{first_seq + i}".encode() for i in range(len(payloads))],
        payloads=list(payloads),
        flags=bytes([2] * len(payloads)),
        plain_size_bytes=0,
    )
    raw = builder.encode()
    return StoredBlock(
        first_seq=first_seq,
        count=len(payloads),
        received_at_us=now_us,
        raw_size_bytes=len(raw),
        plain_size_bytes=sum(map(len, payloads)) + 10 * len(payloads),
        compressed=compressed,
        body=CODEC.compress(raw, Compression.ZSTD) if compressed else raw,
    )


@dataclass
class FakeStream:
    """One stream: blocks and gaps side by side, no hole between them."""

    next_seq: int = 1
    watermark: int = 1
    blocks: list[tuple[StoredBlock, list[bytes]]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    dead: dict[int, str] = field(default_factory=dict)
    payloads: dict[int, bytes] = field(default_factory=dict)


class FakeOutbox:
    """`bridge.ports.Outbox` in memory; an AssertionError tells of a caller that breaks the contract."""

    def __init__(self, streams: Sequence[str] = ("telemetry",), *, now_us: Callable[[], int] = lambda: 0) -> None:
        self.of = {name: FakeStream() for name in streams}
        self.on_release: Callable[[str, int], None] = lambda _stream, _next_seq: None
        self.releases = 0
        self.release_takes_s = 0.001
        self._now_us = now_us
        self._callbacks: list[Callable[[], None]] = []

    @property
    def streams(self) -> Sequence[str]:
        return tuple(self.of)

    def epoch(self, stream: str) -> str:
        assert stream in self.of
        return EPOCH

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def backlog(self, stream: str) -> Backlog:
        it = self.of[stream]
        waiting = [block for block, _ in it.blocks if block.next_seq > it.watermark]
        return Backlog(
            next_to_deliver_seq=it.watermark,
            next_seq=it.next_seq,
            oldest_received_at_us=waiting[0].received_at_us if waiting else None,
            size_bytes=sum(len(block.body) for block in waiting),
        )

    def add(self, stream: str, payloads: Sequence[bytes], *, compressed: bool = False) -> None:
        """Commit a block."""
        it = self.of[stream]
        block = stored_block(it.next_seq, payloads, now_us=self._now_us(), compressed=compressed)
        it.blocks.append((block, list(payloads)))
        it.payloads.update(zip(range(block.first_seq, block.next_seq), payloads, strict=True))
        it.next_seq = block.next_seq
        self._changed()

    def drop_oldest(self, stream: str) -> None:
        """Make room as a full spool would: the oldest block becomes a gap."""
        it = self.of[stream]
        if it.blocks:
            block, _ = it.blocks.pop(0)
            it.gaps.append(Gap(first_seq=block.first_seq, count=block.count, reason="full"))
            it.gaps.sort(key=lambda gap: gap.first_seq)
            self._changed()

    def _changed(self) -> None:
        for callback in self._callbacks:
            callback()

    async def peek(self, stream: str, from_seq: int, *, max_records: int, max_bytes: int) -> Peek:
        await asyncio.sleep(0.001)
        it = self.of[stream]
        gaps: list[Gap] = []
        at = from_seq
        for gap in it.gaps:
            stop = gap.first_seq + gap.count
            if gap.first_seq <= at < stop:
                gaps.append(Gap(first_seq=at, count=stop - at, reason=gap.reason))
                at = stop
        run: list[StoredBlock] = []
        for block, _ in it.blocks:
            if block.next_seq <= at:
                continue
            assert run or block.first_seq >= at, f"peeked from {at}, inside the block at {block.first_seq}"
            if block.first_seq != at:
                break
            records, size = sum(b.count for b in run), sum(len(b.body) for b in run)
            if run and (records + block.count > max_records or size + len(block.body) > max_bytes):
                break
            run.append(block)
            at = block.next_seq
        return Peek(blocks=tuple(run), gaps=tuple(gaps))

    async def release(self, stream: str, next_seq: int) -> None:
        it = self.of[stream]
        assert next_seq > it.watermark, "released twice"
        assert all(not b.first_seq < next_seq < b.next_seq for b, _ in it.blocks), "released within a block"
        self.releases += 1
        self.on_release(stream, next_seq)
        it.watermark = next_seq
        it.blocks = [(block, payloads) for block, payloads in it.blocks if block.next_seq > next_seq]
        it.gaps = [gap for gap in it.gaps if gap.first_seq + gap.count > next_seq]
        await asyncio.sleep(self.release_takes_s)

    async def dead_letter(self, stream: str, first_seq: int, count: int, *, reason: str) -> None:
        await asyncio.sleep(0.001)
        it = self.of[stream]
        stop = first_seq + count
        blocks: list[tuple[StoredBlock, list[bytes]]] = []
        for block, payloads in it.blocks:
            if block.next_seq <= first_seq or block.first_seq >= stop:
                blocks.append((block, payloads))
                continue
            inside = range(max(first_seq, block.first_seq), min(stop, block.next_seq))
            it.dead.update(dict.fromkeys(inside, reason))
            it.gaps.append(Gap(first_seq=inside.start, count=len(inside), reason="dead_letter"))
            before, after = payloads[: inside.start - block.first_seq], payloads[inside.stop - block.first_seq :]
            for first, part in ((block.first_seq, before), (inside.stop, after)):
                if part:
                    blocks.append((stored_block(first, part, now_us=block.received_at_us), part))
        it.blocks = blocks
        it.gaps.sort(key=lambda gap: gap.first_seq)
        self._changed()


Answer = int | None | str
"""The broker on a frame: a reason code, None for silence, "cut" to hang up, "cut_after" to take it first."""


class FakeBroker:
    """Takes frames, decodes what it accepted, and answers as its `mood` says."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.mood: Callable[[Publish, Frame], Answer] = lambda _publish, _frame: 0
        self.refuse_connect: int | str | None = None
        self.limits = LinkLimits()
        self.frames: list[Frame] = []
        self.accepted: list[Frame] = []
        self.sent: list[Frame] = []
        self.openings: set[int] = set()
        """Which of them, by their place, were the first of a connection."""
        self.links: list[FakeLink] = []
        self.most_in_flight = 0

    def link(self, events: LinkEvents) -> FakeLink:
        link = FakeLink(self, events)
        self.links.append(link)
        return link

    def delivered(self, stream: str) -> dict[int, bytes]:
        """Every record that the broker has accepted."""
        return {
            record.seq: record.payload
            for frame in self.accepted
            if frame.header.stream == stream
            for block in frame.blocks
            for record in block
        }

    def gaps(self, stream: str) -> set[int]:
        """Every sequence number that was declared as dropped."""
        return {
            seq
            for frame in self.accepted
            if frame.header.stream == stream
            for gap in frame.header.gaps
            for seq in range(gap.first_seq, gap.first_seq + gap.count)
        }

    def cut(self) -> None:
        """Drop every connection."""
        for link in self.links:
            link.lose(LinkLost("cut by the test"))


class FakeLink:
    """`bridge.ports.Link` to the fake broker."""

    def __init__(self, broker: FakeBroker, events: LinkEvents) -> None:
        self._broker = broker
        self._events = events
        self._open = False
        self._packet_id = 0
        self._waiting: set[int] = set()

    async def connect(self) -> LinkLimits:
        await asyncio.sleep(0.01)
        refuse = self._broker.refuse_connect
        if isinstance(refuse, int):
            raise LinkRefused("refused by the test", reason_code=refuse)
        if refuse is not None:
            raise LinkUnreachable(refuse)
        self._open = True
        return self._broker.limits

    def publish(self, message: Publish) -> int:
        if not self._open:
            raise LinkLost("the link is gone")
        broker = self._broker
        most = broker.limits.maximum_packet_size_bytes
        size = len(message.payload) + len(message.topic) + 12
        assert most is None or size <= most + 8, "a packet above the broker's maximum [MQTT-3.2.2-15]"
        frame = decode_frame(message.payload, 1 << 24, CODEC)
        if not self._packet_id:
            broker.openings.add(len(broker.sent))
        broker.sent.append(frame)
        self._packet_id += 1
        packet_id = self._packet_id
        self._waiting.add(packet_id)
        broker.most_in_flight = max(broker.most_in_flight, len(self._waiting))
        assert len(self._waiting) <= broker.limits.receive_maximum, "above the broker's Receive Maximum"
        answer = broker.mood(message, frame)
        if answer in (0, "cut_after"):
            broker.accepted.append(frame)
        loop = asyncio.get_running_loop()
        delay_s = broker.rng.choice((0.001, 0.02, 0.1))
        if isinstance(answer, str):
            loop.call_later(delay_s, self.lose, LinkLost("cut by the test"))
        elif answer is not None:
            loop.call_later(delay_s, self._acknowledge, packet_id, answer)
        return packet_id

    def _acknowledge(self, packet_id: int, reason_code: int) -> None:
        if self._open:
            self._waiting.discard(packet_id)
            self._events.on_acknowledged(packet_id, reason_code)

    def lose(self, error: LinkLost) -> None:
        """The connection is gone."""
        if self._open:
            self._open = False
            self._events.on_lost(error)

    async def subscribe(self, topic_filter: str, *, qos: int) -> None:
        raise AssertionError("an uplink subscribes to nothing")

    def acknowledge(self, delivery: object) -> None:
        raise AssertionError("an uplink acknowledges nothing")

    async def close(self) -> None:
        self._open = False
        await asyncio.sleep(0)
