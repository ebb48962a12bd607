"""From the spool to frames ready to go: which stream, how much of it, peeked and sealed ahead of the window.

Peeking waits for the store and sealing for the processor, so while one frame is compressed in a worker thread the next
is peeked. Frames come out in the order in which they were claimed, whichever was ready first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bridge.compression import Codec
from bridge.flow.batcher import Batcher
from bridge.flow.lane import Lane
from bridge.flow.scheduler import Scheduler
from bridge.flow.size_limit import SizeLimit
from bridge.frame import MAX_GAPS, FrameHeader, seal
from bridge.ports import Clock, Gap, Outbox, Peek, StoredBlock
from bridge.sealing import Sealed, seal_within
from config.settings import Uplink as UplinkSettings

AHEAD: Final = 3
"""How many claims may wait, sealed or being sealed, for room in the window."""
_SMALL_BYTES: Final = 8 * 1024
"""Sealing less than this costs less than a way through another thread."""
_ASK_AGAIN_S: Final = 1.0
_PROBED: Final = 64
"""So many times it is looked further for a frame that is small enough for a probe,"""
_PROBED_RECORDS: Final = 4000
"""until so many records were taken apart."""
_FEW_RECORDS: Final = 64
"""Taking them apart costs less than a way through another thread."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A claim of a lane, being sealed."""

    lane: Lane
    frames: asyncio.Future[list[Sealed]]


class Feeder:
    """Claims spans of the lanes and has them sealed; lives as long as the uplink."""

    def __init__(
        self,
        settings: UplinkSettings,
        *,
        gateway_id: str,
        outbox: Outbox,
        lanes: dict[str, Lane],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._gateway_id = gateway_id
        self._outbox = outbox
        self._lanes = lanes
        self._clock = clock
        self._batchers = {name: Batcher(settings.batch) for name in lanes}
        self._scheduler = Scheduler(tuple(lanes))
        self._codec = Codec()
        self._worker_codec = Codec()  # used in the one worker thread only
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"seal-{settings.name}")
        self.size_limit = SizeLimit()
        self.max_frame_bytes: Callable[[str], int | None] = lambda _stream: None
        """What the broker takes of a stream's frames at most, out of its CONNACK."""

    def close(self) -> None:
        """Let the worker thread end."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def run(self, queue: asyncio.Queue[Prepared], wake: asyncio.Event) -> None:
        """Fill the queue for as long as it is let; `wake` says that something may have changed."""
        while True:
            wake.clear()
            lane, wait_s = self.next_due()
            if lane is not None:
                prepared = await self._prepare(lane)
                if prepared is not None:
                    await queue.put(prepared)
                continue
            try:
                async with asyncio.timeout(wait_s):
                    await wake.wait()
            except TimeoutError:
                pass

    def next_due(self) -> tuple[Lane | None, float | None]:
        """The lane whose turn it is and that has something due; or None and how long to wait (None: for a change)."""
        now_s = self._clock.monotonic_s()
        wait_s: float | None = None
        for name in self._scheduler.order():
            lane = self._lanes[name]
            if lane.is_open(now_s):
                due_s = self._due_in_s(lane, now_s)
            else:
                due_s = None if lane.claims else lane.paused_until_s - now_s
            if due_s is not None and due_s <= 0:
                return lane, 0.0
            if due_s is not None:
                wait_s = due_s if wait_s is None else min(wait_s, due_s)
        return None, wait_s

    def _due_in_s(self, lane: Lane, now_s: float) -> float | None:
        backlog = self._outbox.backlog(lane.name)
        records = backlog.next_seq - lane.cursor
        if records <= 0:
            lane.waiting_since_s = None
            return None
        if lane.ask_again_at_s is not None and now_s < lane.ask_again_at_s:
            return lane.ask_again_at_s - now_s
        if lane.is_urgent:
            return 0.0
        if lane.waiting_since_s is None:
            # Only the age of the oldest record is known: with nothing of it in flight, it is the oldest that waits.
            age_s = 0.0
            if not lane.claims and backlog.oldest_received_at_us is not None:
                age_s = max(0.0, (self._clock.now_us() - backlog.oldest_received_at_us) / 1e6)
            lane.waiting_since_s = now_s - age_s
        return self._batchers[lane.name].due_in_s(
            records=records,
            stored_bytes=max(0, backlog.size_bytes - lane.claimed_bytes),
            waited_s=now_s - lane.waiting_since_s,
        )

    async def _prepare(self, lane: Lane) -> Prepared | None:
        """Peek, claim and begin to seal; None when there was nothing."""
        batcher = self._batchers[lane.name]
        start_seq, limit_seq = lane.next_span()
        limit_bytes = self._frame_limit(lane.name)
        peek = await self._outbox.peek(
            lane.name,
            start_seq,
            max_records=batcher.max_records,
            max_bytes=batcher.max_stored_bytes(limit_bytes),
        )
        if lane.is_rewinding:
            return None  # it was refused while we looked: what we saw is not next any more
        header, blocks = self._header(lane, peek, start_seq, limit_seq)
        if header is None:
            lane.ask_again_at_s = self._clock.monotonic_s() + _ASK_AGAIN_S
            return None
        lane.ask_again_at_s = None
        self._scheduler.served(lane.name)
        lane.waiting_since_s = None
        stored_bytes = sum(len(block.body) for block in blocks)
        lane.claim(header.next_seq, stored_bytes)
        if lane.cursor < self._outbox.backlog(lane.name).next_seq:
            lane.waiting_since_s = self._clock.monotonic_s()
        return Prepared(lane, self._seal(batcher, header, blocks, start_seq))

    async def probe(self, lane: Lane, from_seq: int, *, max_bytes: int) -> Sealed | None:
        """The smallest frame of the first blocks from there on that hold one of at most `max_bytes`; None: no such.

        All these blocks may have to be taken apart record by record: that is done beside the event loop, and not at all
        where even a frame without records is larger.
        """
        batcher = self._batchers[lane.name]
        loop = asyncio.get_running_loop()
        records = 0
        for _ in range(_PROBED):
            peek = await self._outbox.peek(
                lane.name, from_seq, max_records=batcher.max_records, max_bytes=batcher.max_stored_bytes()
            )
            if not peek.blocks:
                return None
            header, blocks = self._header(lane, Peek(blocks=peek.blocks), peek.blocks[0].first_seq, None)
            if header is None or self._least_frame_bytes(header) > max_bytes:
                return None
            work = partial(
                seal_within, header, blocks, start_seq=header.first_seq, max_bytes=None, target_bytes=max_bytes
            )
            if header.count > _FEW_RECORDS:
                frames = await loop.run_in_executor(self._worker, partial(work, codec=self._worker_codec))
            else:
                frames = work(codec=self._codec)
            sizes = {len(frame.payload): frame for frame in frames if frame.payload is not None and frame.count}
            smallest = min(sizes, default=max_bytes + 1)
            if smallest <= max_bytes:
                return sizes[smallest]
            from_seq = header.next_seq
            records += header.count
            if records >= _PROBED_RECORDS:
                break
        return None

    def _least_frame_bytes(self, header: FrameHeader) -> int:
        """No frame with a record is as small: one with a gap in its place, which takes fewer bytes."""
        gap = Gap(first_seq=header.first_seq, count=1, reason="x")
        return len(seal(replace(header, first_seq=header.first_seq + 1, count=0, gaps=(gap,)), (), self._codec))

    def _frame_limit(self, stream: str) -> int | None:
        limits = (self.max_frame_bytes(stream), self.size_limit.target_bytes)
        return min((limit for limit in limits if limit is not None), default=None)

    def _header(
        self, lane: Lane, peek: Peek, start_seq: int, limit_seq: int | None
    ) -> tuple[FrameHeader | None, Sequence[StoredBlock]]:
        """The header for what was peeked, and the blocks that go with it."""
        blocks = peek.blocks
        gaps = _merged(peek.gaps, start_seq, blocks[0].first_seq if blocks else None)
        if limit_seq is not None and blocks:
            # What lies beyond was acknowledged already. A block that straddles the limit goes whole, at worst again.
            within = [block for block in blocks if block.next_seq <= limit_seq]
            blocks = within or ([] if gaps and blocks[0].first_seq >= limit_seq else blocks[:1])
        if len(gaps) > MAX_GAPS:
            gaps, blocks = gaps[:MAX_GAPS], ()
        if blocks:
            first_seq = blocks[0].first_seq
        elif gaps:
            first_seq = gaps[-1].first_seq + gaps[-1].count
        else:
            return None, ()
        header = FrameHeader(
            gateway=self._gateway_id,
            stream=lane.name,
            epoch=lane.epoch,
            first_seq=first_seq,
            count=sum(block.count for block in blocks),
            gaps=tuple(gaps),
            encoding=self._settings.encoding,
            compression=self._settings.compression,
            sent_at_us=self._clock.now_us(),
        )
        return header, blocks

    def _seal(
        self, batcher: Batcher, header: FrameHeader, blocks: Sequence[StoredBlock], start_seq: int
    ) -> asyncio.Future[list[Sealed]]:
        loop = asyncio.get_running_loop()
        max_bytes, target_bytes = self.max_frame_bytes(header.stream), self.size_limit.target_bytes

        def work(codec: Codec) -> list[Sealed]:
            return seal_within(
                header, blocks, codec, start_seq=start_seq, max_bytes=max_bytes, target_bytes=target_bytes
            )

        if sum(block.raw_size_bytes for block in blocks) > _SMALL_BYTES:
            frames = loop.run_in_executor(self._worker, work, self._worker_codec)
        else:
            frames = loop.create_future()
            frames.set_result(work(self._codec))
        stored = sum(len(block.body) for block in blocks)

        def learn(done: asyncio.Future[list[Sealed]]) -> None:
            if not done.cancelled() and done.exception() is None:
                wire = sum(len(frame.payload) for frame in done.result() if frame.payload is not None)
                batcher.observe(stored_bytes=stored, wire_bytes=wire)

        frames.add_done_callback(learn)
        return frames


def _merged(gaps: Sequence[Gap], start_seq: int, stop_seq: int | None) -> list[Gap]:
    """Gaps that touch and have one reason as one; only what lies in [start_seq, stop_seq), and nothing twice."""
    merged: list[Gap] = []
    at = start_seq
    for gap in sorted(gaps, key=lambda gap: gap.first_seq):
        first, stop = max(gap.first_seq, at), gap.first_seq + gap.count
        if stop_seq is not None:
            stop = min(stop, stop_seq)
        if first >= stop:
            continue
        at = stop
        if merged and merged[-1].reason == gap.reason and merged[-1].first_seq + merged[-1].count == first:
            first = merged.pop().first_seq
        merged.append(Gap(first_seq=first, count=stop - first, reason=gap.reason))
    return merged
