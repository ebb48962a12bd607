"""What an uplink tells about itself."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from bridge.json_lines import rfc3339
from bridge.ports import Clock


class UplinkState(enum.Enum):
    """Where an uplink stands; `online` is the one in which frames can leave."""

    CONNECTING = "connecting"
    ONLINE = "online"
    BACKING_OFF = "backing_off"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkStatus:
    """A moment's reading. Frames, records and raw bytes count what was acknowledged since the start."""

    state: str
    since: str
    """When it got into that state, RFC 3339."""
    in_flight: int
    last_error: str | None
    """None once a frame was delivered after it."""
    retries: int
    frames: int
    records: int
    raw_bytes: int
    """What the acknowledged records took as plain MQTT packets."""
    wire_bytes: int
    """What was sent for them, frames sent again included."""
    dead_letters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameInFlight:
    """A frame that was sent and is not answered yet."""

    stream: str
    first_seq: int
    records: int
    size_bytes: int
    """On the wire, without the packet around it."""
    attempt: int
    """1 for the first time that its first record goes."""
    sent_ago_s: float


class Meter:
    """The counters behind the status."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.state = UplinkState.STOPPED
        self.on_state: Callable[[UplinkState, str | None], None] = lambda _state, _reason: None
        self._since_us = clock.now_us()
        self.last_error: str | None = None
        self.retries = 0
        self.frames = 0
        self.records = 0
        self.raw_bytes = 0
        self.wire_bytes = 0
        self.dead_letters = 0

    def carry_on(self, before: Meter) -> None:
        """Count on from there: the same uplink, with other settings."""
        self.retries, self.dead_letters = before.retries, before.dead_letters
        self.frames, self.records = before.frames, before.records
        self.raw_bytes, self.wire_bytes = before.raw_bytes, before.wire_bytes

    def enter(self, state: UplinkState, reason: str | None = None) -> None:
        """Be in that state from now on; `reason` is a sentence, where there is something to explain."""
        if state is not self.state:
            self.state = state
            self._since_us = self._clock.now_us()
            self.on_state(state, reason)

    def reading(self, in_flight: int) -> UplinkStatus:
        """The status now."""
        return UplinkStatus(
            state=self.state.value,
            since=rfc3339(self._since_us),
            in_flight=in_flight,
            last_error=self.last_error,
            retries=self.retries,
            frames=self.frames,
            records=self.records,
            raw_bytes=self.raw_bytes,
            wire_bytes=self.wire_bytes,
            dead_letters=self.dead_letters,
        )
