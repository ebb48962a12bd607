"""The inside of the link: bytes under way in each direction, and the two ends of each connection.

An end hands what it reads to its direction, which writes it to the peer when it is due. An end is held up (not read
from) while its peer's socket is full or too much of its own is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from simulators.link_model import DelayLine, TokenBucket, retransmission_s

SLICE_S = 0.005
MIN_SLICE_BYTES = 1460
_UNLIMITED_BUFFER_BYTES = 32 * 1024 * 1024
_EARLY_S = 0.0005
"""The loop's timers are not finer than this; what is due within it goes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one direction of the link can carry, and how much of one connection may be under way in it."""

    delay_s: float
    jitter_s: float
    rate_bits_per_s: float | None
    loss: float = 0.0
    """The share of pieces that arrive only after a retransmission, and everything behind them too, as with TCP."""

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise ValueError("The loss is a share of at least 0 and below 1.")

    @property
    def _bytes_on_the_line(self) -> float:
        return (self.rate_bits_per_s or 0.0) / 8 * (self.delay_s + self.jitter_s)

    @property
    def low_water_bytes(self) -> int:
        """A sender that was held up may go on: more than is on the line at full rate, or the line would run dry."""
        if self.rate_bits_per_s is None:
            return _UNLIMITED_BUFFER_BYTES // 2
        return int(self._bytes_on_the_line + max(4 * SLICE_S * self.rate_bits_per_s / 8, 2 * MIN_SLICE_BYTES))

    @property
    def high_water_bytes(self) -> int:
        """A sender is held up."""
        if self.rate_bits_per_s is None:
            return _UNLIMITED_BUFFER_BYTES
        return int(self._bytes_on_the_line + max(8 * SLICE_S * self.rate_bits_per_s / 8, 4 * MIN_SLICE_BYTES))


class Direction:
    """One way of the link: a bucket, a delay line, and what is under way in it, in the order of its arrival."""

    def __init__(self, line: Line, chance: random.Random) -> None:
        self.bytes_taken = 0
        self.bytes_vanished = 0
        self._loop = asyncio.get_running_loop()
        self._chance = chance
        self._delay = DelayLine(delay_s=line.delay_s, jitter_s=line.jitter_s)
        self._under_way: deque[tuple[float, End, bytes | memoryview | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.change(line)

    def change(self, line: Line) -> None:
        """Carry as `line` says from now on; what is under way arrives as it was going to, and first."""
        self.line = line
        self._bucket: TokenBucket | None = None
        self._slice_bytes = 0
        if line.rate_bits_per_s is not None:
            self._slice_bytes = max(MIN_SLICE_BYTES, int(line.rate_bits_per_s / 8 * SLICE_S))
            self._bucket = TokenBucket(rate_bits_per_s=line.rate_bits_per_s, burst_bytes=self._slice_bytes)
        elif line.loss:
            self._slice_bytes = MIN_SLICE_BYTES
        self._delay.change(delay_s=line.delay_s, jitter_s=line.jitter_s)
        self._has_no_delay = self._bucket is None and not line.delay_s and not line.jitter_s and not line.loss

    @property
    def _at_once(self) -> bool:
        return self._has_no_delay and not self._under_way

    def carry(self, source: End, data: bytes) -> None:
        """Bring data from `source` to its peer."""
        self.bytes_taken += len(data)
        if self._at_once:
            source.peer.write(data)
            return
        now_s = self._loop.time()
        source.queued_bytes += len(data)
        if not self._slice_bytes or len(data) <= self._slice_bytes:
            self._push(source, data, len(data), now_s)
        else:
            view = memoryview(data)
            for start in range(0, len(data), self._slice_bytes):
                part = view[start : start + self._slice_bytes]
                self._push(source, part, len(part), now_s)
        if source.queued_bytes > self.line.high_water_bytes:
            source.hold()

    def carry_close(self, source: End) -> None:
        """Bring the end of `source` to its peer, behind its data."""
        if self._at_once:
            source.peer.close()
        else:
            self._push(source, None, 0, self._loop.time())

    def _push(self, source: End, data: bytes | memoryview | None, size: int, now_s: float) -> None:
        departure_s = self._bucket.reserve(size, now_s) if self._bucket else now_s
        line = self.line
        while line.loss and self._chance.random() < line.loss:
            departure_s += retransmission_s(delay_s=line.delay_s, jitter_s=line.jitter_s)
        due_s = self._delay.arrival(departure_s, self._chance.uniform(-1.0, 1.0))
        self._under_way.append((due_s, source, data))
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now_s = self._loop.time() + _EARLY_S
        under_way = self._under_way
        while under_way and under_way[0][0] <= now_s:
            _, source, data = under_way.popleft()
            if data is None:
                source.peer.close()
            else:
                source.queued_bytes -= len(data)
                source.peer.write(data)
                source.release()
        if under_way:
            self._timer = self._loop.call_at(under_way[0][0], self._deliver)

    def clear(self) -> None:
        """What is under way vanishes."""
        for _, source, data in self._under_way:
            if data is not None:
                source.queued_bytes -= len(data)
                self.bytes_vanished += len(data)
        self._under_way.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connection:
    """Two ends, joined until one of them closes, a cut resets both, or a black hole swallowed what was between them."""

    def __init__(self, up: Direction, down: Direction, on_over: Callable[[Connection], None]) -> None:
        self._on_over = on_over
        self.forgotten = False
        self.near = End(self, up)
        self.far = End(self, down)
        self.near.peer, self.far.peer = self.far, self.near

    def forget(self) -> None:
        """From now on no end hears of the other again."""
        self.forgotten = True
        for end in (self.near, self.far):
            end.release()

    def reset(self) -> None:
        """RST to both ends."""
        self.near.reset()
        self.far.reset()
        self.check_over()

    def check_over(self) -> None:
        """Tell the link when no end is open."""
        if not self.near.is_open and not self.far.is_open:
            self._on_over(self)


class End(asyncio.Protocol):
    """One socket of a connection."""

    peer: End

    def __init__(self, connection: Connection, direction: Direction) -> None:
        self._connection = connection
        self._direction = direction
        self._transport: asyncio.Transport | None = None
        self._held = False
        self._full = False
        self._early: list[bytes | memoryview] = []
        self._ended = False
        self.queued_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's is one, but not by its class
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._ended:
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._connection.forgotten:
            self._direction.bytes_vanished += len(data)
        else:
            self._direction.carry(self, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- a reset ends the other side as an end does
        self._transport = None
        if not self._connection.forgotten:
            self._direction.carry_close(self)
        self._connection.check_over()

    def pause_writing(self) -> None:
        self._full = True
        self.peer.hold()

    def resume_writing(self) -> None:
        self._full = False
        self.peer.release()

    def write(self, data: bytes | memoryview) -> None:
        """Data that arrived for this end."""
        if self._transport is not None:
            self._transport.write(data)
        elif not self._ended:
            self._early.append(data)  # the far side may speak first, before the near one is joined

    def close(self) -> None:
        """The other end closed."""
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """RST."""
        self._ended = True
        if self._transport is not None:
            reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()
            self._transport = None

    def hold(self) -> None:
        """Read no more for now."""
        if not self._held and self._transport is not None and not self._connection.forgotten:
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Read on, when nothing is in the way any more."""
        free = self._connection.forgotten or (
            not self.peer._full and self.queued_bytes <= self._direction.line.low_water_bytes
        )
        if self._held and free and self._transport is not None:
            self._held = False
            if not self._transport.is_closing():
                self._transport.resume_reading()


def reset_on_close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
