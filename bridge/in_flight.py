"""What a connection has sent and nobody has answered yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.flow.lane import Lane
from bridge.flow.window import Window
from bridge.sealing import Sealed
from bridge.uplink_status import FrameInFlight

MAX_IN_FLIGHT_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame on its way."""

    lane: Lane
    frame: Sealed
    size_bytes: int
    sent_at_s: float
    attempt: int


class InFlight:
    """Frames by their packet ids, oldest first, within the window of the connection. It outlives connections."""

    def __init__(self, *, window: int) -> None:
        """`window`: how many frames the operator lets be in flight."""
        self._setting = window
        self._sent: dict[int, Sent] = {}
        self._window = Window(setting=window, receive_maximum=65535, max_bytes=MAX_IN_FLIGHT_BYTES)
        self._room = asyncio.Event()
        self._singly = 0
        """How many answers are to come before more than one frame may be in flight."""

    def __len__(self) -> int:
        return len(self._sent)

    def begin(self, receive_maximum: int) -> None:
        """A new connection, whose broker takes so many; nothing is in flight."""
        self._window = Window(setting=self._setting, receive_maximum=receive_maximum, max_bytes=MAX_IN_FLIGHT_BYTES)
        self._singly = 0

    def one_at_a_time(self) -> None:
        """Until a window's length was answered, or the connection is over, each frame waits for the one before it."""
        self._singly = self._setting

    @property
    def oldest(self) -> Sent | None:
        """The frame that has waited longest."""
        return next(iter(self._sent.values()), None)

    @property
    def largest(self) -> Sent:
        """The largest of them; there is one."""
        return max(self._sent.values(), key=lambda sent: sent.size_bytes)

    def has_room(self, size_bytes: int) -> bool:
        """Whether a frame of that size may go now."""
        return not (self._singly and self._sent) and self._window.has_room(size_bytes)

    def add(self, packet_id: int, sent: Sent) -> None:
        """A frame has gone."""
        self._window.take(sent.size_bytes)
        self._sent[packet_id] = sent

    def take(self, packet_id: int) -> Sent | None:
        """The frame that was answered; None when there is none of that id."""
        sent = self._sent.pop(packet_id, None)
        if sent is not None:
            self._window.give_back(sent.size_bytes)
            self._singly = max(0, self._singly - 1)
            self.wake()
        return sent

    def forget(self) -> None:
        """The connection is over: nothing is on its way any more."""
        self._sent.clear()

    def wake(self) -> None:
        """Have those who wait look again."""
        self._room.set()

    async def changed(self) -> None:
        """Wait until something was answered, or there is another reason to look again."""
        self._room.clear()
        await self._room.wait()

    def frames(self, now_s: float) -> Sequence[FrameInFlight]:
        """All of them, for the operator."""
        return [
            FrameInFlight(
                stream=sent.lane.name,
                first_seq=sent.frame.start_seq,
                records=sent.frame.count,
                size_bytes=sent.size_bytes,
                attempt=sent.attempt,
                sent_ago_s=max(0.0, now_s - sent.sent_at_s),
            )
            for sent in self._sent.values()
        ]
