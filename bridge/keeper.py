"""What an uplink tells its outbox: what is released, and what is a dead letter. It outlives every connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.flow.lane import Lane
from bridge.ports import Outbox
from bridge.sealing import Sealed
from bridge.uplink_status import Meter


@dataclass(frozen=True, slots=True)
class _Condemned:
    """Records on their way into the dead letters; their claim is held until they are there."""

    lane: Lane
    frame: Sealed
    reason: str


class Keeper:
    """Writes down what the lanes know. `lanes` may be filled until `run`."""

    def __init__(self, outbox: Outbox, lanes: dict[str, Lane], meter: Meter, wake: asyncio.Event) -> None:
        """`wake` is set when a lane can go on because its dead letters are written."""
        self._outbox = outbox
        self._lanes = lanes
        self._meter = meter
        self._wake = wake
        self._condemned: list[_Condemned] = []
        self._released: dict[str, int] = {}
        self._due = asyncio.Event()
        self._finishing = False

    @property
    def condemned(self) -> Iterator[tuple[Lane, Sealed]]:
        """What is not in the dead letters yet."""
        return ((condemned.lane, condemned.frame) for condemned in self._condemned)

    def condemn(self, lane: Lane, frame: Sealed, reason: str) -> None:
        """These records can never go."""
        self._condemned.append(_Condemned(lane, frame, reason))
        self._due.set()

    def look(self) -> None:
        """Something was delivered."""
        self._due.set()

    def finish(self) -> None:
        """Write down what there is, then end."""
        self._finishing = True
        self._due.set()

    async def run(self) -> None:
        """Until `finish`, and what was due then is done."""
        self._released = {name: lane.acks.watermark for name, lane in self._lanes.items()}
        while self._due.is_set() or not self._finishing:
            await self._due.wait()
            self._due.clear()
            await self._settle()

    async def _settle(self) -> None:
        """Many acknowledgements make one call."""
        while self._condemned:
            condemned = self._condemned[0]
            lane, frame = condemned.lane, condemned.frame
            await self._outbox.dead_letter(lane.name, frame.first_seq, frame.count, reason=condemned.reason)
            del self._condemned[0]
            self._meter.dead_letters += frame.count
            lane.dead_lettered(frame.first_seq, frame.count)
            lane.given_back(frame.stored_bytes)
            self._wake.set()
        for name, lane in self._lanes.items():
            if lane.release_seq > self._released[name]:
                next_seq = lane.release_seq
                await self._outbox.release(name, next_seq)
                self._released[name] = next_seq
