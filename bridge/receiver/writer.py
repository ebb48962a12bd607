"""Brings the held frames into one sink, at that sink's own pace.

One write at a time takes all that is there (within bounds), so under load frames gather into few commits and without
load nothing waits. What the sink's ledger has is left out. After any error the sink is closed and, after a backoff,
opened again: its ledger, as it is on disk, says where to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from bridge.errors import SinkError, SinkRefused
from bridge.flow.backoff import Backoff
from bridge.ports import Clock
from bridge.receiver.batch import Batch, Portion, Refusal, cut
from bridge.receiver.held import Held, Item
from bridge.receiver.ledger import Draft, Lane, LaneKey, Ledger
from bridge.receiver.sinks.port import Sink

log = logging.getLogger(__name__)

MAX_BATCH_RECORDS: Final = 20_000
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024


class SinkWriter:
    """The owner of one sink."""

    def __init__(
        self,
        sink: Sink,
        held: Held,
        *,
        clock: Clock,
        backoff: Backoff,
        on_progress: Callable[[], None],
    ) -> None:
        """`on_progress` is called after every write."""
        self.sink = sink
        self._held = held
        self._clock = clock
        self._backoff = backoff
        self._on_progress = on_progress
        self._work = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ledger: Ledger | None = None
        self.position = held.first
        """The number of the first item that this sink does not have."""
        self.state = "opening"
        self.records = 0
        self.writes = 0
        self.errors = 0
        self.refused = 0
        self.last_error: str | None = None
        self.last_error_code: str | None = None
        self.last_write_at_us: int | None = None

    def lane(self, key: LaneKey) -> Lane | None:
        """What of the lane is durably in the sink; None when it has nothing of it, or is down."""
        return None if self._ledger is None or key not in self._ledger else self._ledger[key]

    def wake(self) -> None:
        """There is a new item."""
        self._work.set()

    def stop(self) -> None:
        """Have `run` return after the write that is going on."""
        self._stopping.set()
        self._work.set()

    async def start(self) -> None:
        """Open the sink for the first time. A sink that is down is tried again by `run`; raises SinkRefused."""
        try:
            self._ledger = await self.sink.open()
            self.state = "ready"
        except SinkRefused:
            await self.sink.close()
            raise
        except SinkError as error:
            await self._failed(error)

    async def run(self) -> None:
        """Write what comes, until `stop`; then close the sink."""
        try:
            while not self._stopping.is_set():
                try:
                    if self._ledger is not None:
                        await self._write_next(self._ledger)
                    elif not await self._stopped_within(self._backoff.next_delay_s()):
                        self._ledger = await self.sink.open()
                except SinkError as error:
                    await self._failed(error)
        finally:
            await self.sink.close()

    async def _write_next(self, ledger: Ledger) -> None:
        """Write what is there, or wait until something may be."""
        items = self._held.run(self.position, max_records=MAX_BATCH_RECORDS, max_bytes=MAX_BATCH_BYTES)
        if not items:
            self._recovered()
            self._work.clear()
            if not self._stopping.is_set():
                await self._work.wait()
            return
        draft = ledger.draft()
        portions = [portion for item in items for portion in _portions(item, draft)]
        if portions:
            records = sum(len(portion.block) for portion in portions)
            batch = Batch(portions=portions, ledger_rows=draft.rows(), records=records)
            self._keep(items[0], await self.sink.write(batch))
            ledger.accept(draft)
            self.records += records
            self.writes += 1
            self.last_write_at_us = self._clock.now_us()
        self.position += len(items)
        self._recovered()
        self._on_progress()

    def _keep(self, item: Item, refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            self.refused += 1
            log.warning("%s: %s", self.sink.name, refusal.reason)
        item.refusals.extend(refusals)

    async def _failed(self, error: SinkError) -> None:
        self._ledger = None
        self.errors += 1
        self.last_error, self.last_error_code = str(error), error.code
        if self.state != "retrying":
            log.warning("The sink %s is down; nothing is acknowledged until it is back: %s", self.sink.name, error)
        self.state = "retrying"
        await self.sink.close()

    def _recovered(self) -> None:
        self._backoff.reset()
        if self.state == "retrying":
            log.info("The sink %s is back.", self.sink.name)
            self.state = "ready"

    async def _stopped_within(self, delay_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        return self._stopping.is_set()


def _portions(item: Item, draft: Draft) -> list[Portion]:
    """What of the item's records the sink does not have; noted in the draft."""
    if item.frame is None:
        return []
    header = item.frame.header
    lane = LaneKey(header.gateway, header.stream, header.epoch)
    portions: list[Portion] = []
    for block in item.frame.blocks:
        new = draft.lane(lane).admit(block.first_seq, len(block))
        portions += [Portion(lane=lane, block=cut(block, start, stop)) for start, stop in new]
    return portions
