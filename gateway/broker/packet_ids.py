"""The packet ids of what one session is sent: each stands for one exchange at a time [MQTT-2.2.1-4]."""

from __future__ import annotations

from typing import Final

MAX_PACKET_ID: Final = 65535


class PacketIds:
    """Those in use, and the last one that was given."""

    __slots__ = ("last", "used")

    def __init__(self) -> None:
        self.used: set[int] = set()
        self.last = 0

    def next(self) -> int:
        """One that is not in use, which is from now on; 0 when all are."""
        if len(self.used) >= MAX_PACKET_ID:
            return 0
        packet_id = self.last
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self.used:
                self.last = packet_id
                self.used.add(packet_id)
                return packet_id

    def next_run(self, count: int) -> range:
        """Up to so many that follow each other, where none of them is in use; else none."""
        first = self.last % MAX_PACKET_ID + 1
        run = range(first, first + max(0, min(count, MAX_PACKET_ID - first + 1)))
        if not run or not self.used.isdisjoint(run):
            return range(0)
        self.last = run[-1]
        self.used.update(run)
        return run
