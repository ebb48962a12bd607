"""The frames that the receiver holds: arrived, and not acknowledged to the broker yet.

Frames are numbered as they come, from 0 on in each life of the process. Each sink is at a number of its own; what every
sink has passed leaves at the front. The broker's Receive Maximum bounds how many there are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from bridge.errors import FrameError
from bridge.frame import Frame
from bridge.ports import Delivery, Link
from bridge.receiver.batch import Refusal


@dataclass(slots=True, kw_only=True, eq=False)
class Item:
    """One delivery and what was made of it: a frame, or the error why it is none (both None: not decoded yet)."""

    delivery: Delivery
    link: Link | None
    """Where to acknowledge it; None once that connection is gone."""
    received_at_us: int
    frame: Frame | None = None
    error: FrameError | None = None
    refusals: list[Refusal] = field(default_factory=list)
    settled: bool = False

    @property
    def records(self) -> int:
        """How many records are in it."""
        return self.frame.header.count if self.frame is not None else 0

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        return len(self.delivery.payload) + (self.frame.header.raw_size_bytes if self.frame is not None else 0)


class Held:
    """The decoded items in the order they came."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self.first = 0
        """The number of the oldest item."""
        self.size_bytes = 0

    @property
    def next(self) -> int:
        """The number that the next item gets."""
        return self.first + len(self._items)

    def add(self, item: Item) -> None:
        """Put a decoded item at the end."""
        self._items.append(item)
        self.size_bytes += item.size_bytes

    def since(self, number: int) -> list[Item]:
        """The items from that number on."""
        return list(islice(self._items, max(0, number - self.first), None))

    def run(self, number: int, *, max_records: int, max_bytes: int) -> list[Item]:
        """The items from that number on, within the bounds, but one at least where there is any."""
        taken: list[Item] = []
        records = size = 0
        for item in islice(self._items, number - self.first, None):
            records += item.records
            size += item.size_bytes
            if taken and (records > max_records or size > max_bytes):
                break
            taken.append(item)
        return taken

    def take(self, until: int) -> list[Item]:
        """Remove and return the items before that number."""
        taken = [self._items.popleft() for _ in range(until - self.first)]
        self.first = until
        self.size_bytes -= sum(item.size_bytes for item in taken)
        return taken

    def __len__(self) -> int:
        return len(self._items)
