"""What the gateway knows of one stream without asking the disk.

A lane mirrors the stream's rows: where its blocks begin and end, how many bytes they take, how far each uplink has
come. It is changed only on the event loop, and only after the transaction that changed the rows has ended.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from bridge.ports import StoredBlock
from gateway.spool.ages import Ages, Expiry
from gateway.spool.gaps import EVERYONE, Gaps

TAIL_MAX_BYTES: Final = 8 * 1024 * 1024
"""How much of all streams' newest blocks stays in memory, so that an uplink that keeps up never reads the disk."""


class Tail:
    """The newest blocks of a stream, in order and without holes; older ones fall off the front."""

    def __init__(self, max_bytes: int = TAIL_MAX_BYTES) -> None:
        self._blocks: deque[StoredBlock] = deque()
        self._max_bytes = max_bytes
        self._bytes = 0

    def append(self, blocks: Sequence[StoredBlock]) -> None:
        """Add blocks just committed."""
        self._blocks += blocks
        self._bytes += sum(len(block.body) for block in blocks)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._blocks.popleft().body)

    def forget_below(self, seq: int) -> None:
        """Drop the blocks that end at or below `seq`."""
        while self._blocks and self._blocks[0].next_seq <= seq:
            self._bytes -= len(self._blocks.popleft().body)

    def since(self, seq: int, *, max_records: int, max_bytes: int) -> list[StoredBlock] | None:
        """Blocks from the one that holds `seq`, within the bounds (at least one); None when they are not all here."""
        blocks = self._blocks
        if not blocks or seq < blocks[0].first_seq:
            return None
        found: list[StoredBlock] = []
        records = size = 0
        start = bisect_right(blocks, seq, key=attrgetter("first_seq")) - 1
        for i in range(start, len(blocks)):
            block = blocks[i]
            records += block.count
            size += len(block.body)
            if found and (records > max_records or size > max_bytes):
                break
            found.append(block)
        return found

    def received_at_us(self, seq: int) -> int | None:
        """When the block that holds `seq` was received; None when it is not here."""
        blocks = self._blocks
        if not blocks or not blocks[0].first_seq <= seq < blocks[-1].next_seq:
            return None
        return blocks[bisect_right(blocks, seq, key=attrgetter("first_seq")) - 1].received_at_us


@dataclass(slots=True, kw_only=True)
class Lane:
    """One stream. Sequence numbers in [first_seq, next_seq) are kept, less the gaps."""

    id: int
    name: str
    epoch: str
    first_seq: int
    next_seq: int
    synced_seq: int
    """Records below are on disk whatever happens. Only those may leave: a number that was seen outside must never be
    given to another record, and after a power cut numbers begin where the disk says."""
    stored_start: int
    """Sum of the bodies of all blocks that came before the first one kept."""
    stored_end: int
    """Sum of the bodies of all blocks up to and with the last."""
    first_received_at_us: int | None
    watermarks: dict[str, int]
    """By the names of the uplinks that carry the stream."""
    gaps: Gaps = field(default_factory=Gaps)
    tail: Tail = field(default_factory=Tail)
    ages: Ages = field(default_factory=Ages)
    time_to_live_s: float | None = None
    accepted: int = 0
    """Records that devices sent, since the start."""
    replayed: int = 0
    """Records that came back out of the dead letters, since the start."""
    dropped: dict[str, int] = field(default_factory=lambda: {"full": 0, "expired": 0})
    ratio: float = 1.0
    """Stored bytes for a raw byte, smoothed: tells how much raw data fits into a frame."""

    @property
    def released_seq(self) -> int:
        """Everything below was released by every uplink that carries the stream."""
        return min(self.watermarks.values(), default=self.first_seq)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the blocks kept."""
        return self.stored_end - self.stored_start

    @property
    def waiting_records(self) -> int:
        """Records that some uplink has not released yet, less those that are gone."""
        start = max(self.released_seq, self.first_seq)
        gone = sum(gap.count for gap in self.gaps.between(start, self.next_seq, EVERYONE))
        return self.next_seq - start - gone

    def note_age(self, now_s: float) -> None:
        """What it keeps has come by now; to be told after every commit of records."""
        if self.time_to_live_s is not None:
            self.ages.note(now_s, self.next_seq, self.time_to_live_s)

    def expiry(self, now_s: float, now_us: int) -> Expiry | None:
        """What is past its time-to-live; None where there is none."""
        if self.time_to_live_s is None:
            return None
        self.note_age(now_s)  # what came before it had one
        return self.ages.expiry(now_s, now_us, self.time_to_live_s)

    def watermark(self, uplink: str) -> int:
        """How far `uplink` has come."""
        return self.watermarks[uplink]
