"""The socket's half of a connection: what is written to it, whether it is read, and how it ends.

Reading pauses for seven reasons, each its own: it is not decided yet whether the client may come in, its TLS handshake
stands in line, it does not read what it is sent, it sends faster than it may, the store has more than it can take, it
has had its share of this turn of the loop, or the gateway stops. Writing pauses when the socket's buffer is over its
mark; deliveries then wait in the session's bounded queue.

When this side closes, the sending half is shut first and what still comes in is thrown away for a moment, so that the
last packet is not destroyed by a reset on its way to the client.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Final, cast

from gateway.listener.door import Door
from gateway.listener.peer import Peer
from gateway.listener.wheel import NOWHERE

SOON_BYTES: Final = 64 * 1024
LINGER_S: Final = 1.0
"""How long a closed connection waits for the client to close too."""


class Pause(enum.Flag):
    """Why nothing is read."""

    NONE = 0
    ADMISSION = enum.auto()
    WRITING = enum.auto()
    THROTTLED = enum.auto()
    CONGESTED = enum.auto()
    HANDSHAKE = enum.auto()
    TURN = enum.auto()
    STOPPED = enum.auto()


class Pipe(asyncio.BufferedProtocol):
    """One socket, or the layer above it. `origin`: where it comes from."""

    __slots__ = (
        "_door",
        "_is_closing",
        "_loop",
        "_paused",
        "_soon",
        "_soon_bytes",
        "_stalled_since_s",
        "_taken_bytes",
        "_taken_when_due_bytes",
        "_throttling",
        "_transport",
        "_written_bytes",
        "is_writable",
        "origin",
        "wheel_slot",
    )

    def __init__(self, door: Door, origin: Peer) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._paused = Pause.NONE
        self._soon: list[bytes] = []
        self._soon_bytes = 0
        self._written_bytes = 0
        self._taken_bytes = 0
        self._taken_when_due_bytes: int | None = None
        self._stalled_since_s: float | None = None
        self._throttling: asyncio.TimerHandle | None = None
        self._is_closing = False
        self.origin = origin
        self.is_writable = True
        self.wheel_slot = NOWHERE

    @property
    def peer(self) -> str:
        """Where the client is, for logs."""
        return str(self.origin)

    @property
    def has_ended(self) -> bool:
        """Whether it is being closed, or gone."""
        return self._is_closing

    def on_due(self, now_s: float) -> None:
        """Its time on the wheel has come (`gateway.listener.wheel.Timed`)."""
        raise NotImplementedError

    # ---- asyncio.BufferedProtocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.Transport", transport)
        if self._is_closing:
            self._transport.abort()
        else:
            self._transport.set_write_buffer_limits(high=self._door.write_buffer_bytes)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it was lost makes no difference
        """The socket is gone."""
        self._is_closing = True
        self._soon.clear()
        self._let_go()

    def pause_writing(self) -> None:
        """The socket's buffer is over its mark: the client does not read. Its own packets have to wait then, too."""
        self.is_writable = False
        self.pause(Pause.WRITING)

    def resume_writing(self) -> None:
        """The client reads again."""
        self.is_writable = True
        self._taken_when_due_bytes = None
        self.resume(Pause.WRITING)

    # ---- gateway.broker.ports.Channel -----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send at once, behind what waits for the end of this turn."""
        if self._is_closing or self._transport is None:
            return
        if self._soon:
            self._soon.append(data)
            self._flush()
        else:
            self._written_bytes += len(data)
            self._transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """Send with the rest of this turn of the loop."""
        if self._is_closing:
            return
        if not self._soon:
            self._loop.call_soon(self._flush)
        self._soon.append(data)
        self._soon_bytes += len(data)
        if self._soon_bytes > SOON_BYTES:
            # From here the socket's own mark decides: over it, the session's bounded queue takes the rest.
            self._flush()

    def stop_reading(self) -> None:
        """Read nothing more."""
        self.pause(Pause.STOPPED)

    def close(self) -> None:
        """End the connection after what was written."""
        transport = self._transport
        if self._is_closing:
            return
        self._flush()
        self._is_closing = True
        self._let_go()
        if transport is None:
            return
        if transport.is_closing():  # the client sends no more, but may still take something
            self._door.wheel.put(self, self._loop.time() + LINGER_S)
        elif transport.can_write_eof():
            # What comes in is thrown away, and the client's own closing is waited for.
            self.resume(self._paused)
            try:
                transport.write_eof()
            except OSError:  # the client reset the connection, and the loop has not told of it yet
                transport.abort()
                return
            self._door.wheel.put(self, self._loop.time() + LINGER_S)
        else:
            transport.close()

    # ---- reading --------------------------------------------------------------------------------------------------

    def pause(self, reason: Pause) -> None:
        """Read nothing until `resume`, for this reason beside others."""
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused |= reason

    def resume(self, reason: Pause) -> None:
        """This reason is gone."""
        was_paused = bool(self._paused)
        self._paused &= ~reason
        if was_paused and not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def slow_down(self, wait_s: float) -> None:
        """Read nothing for so long."""
        if self._throttling is not None:
            self._throttling.cancel()
        self.pause(Pause.THROTTLED)
        self._throttling = self._loop.call_later(wait_s, self.resume, Pause.THROTTLED)

    # ---- for the listener -----------------------------------------------------------------------------------------

    def abort(self) -> None:
        """End the connection now, whatever waits."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()

    def has_stalled(self, now_s: float) -> bool:
        """Whether the client took nothing of what waits for it in all of the stall time-out.

        To be asked a few times in that time: what is compared is how much it had taken when it was asked before.
        """
        transport = self._transport
        if transport is None:
            return False
        # Also of one that is closing: the loop closes it when the client has said that it sends no more, and waits for
        # as long as it takes nothing of what it is still to get.
        unsent_bytes = transport.get_write_buffer_size()
        before, self._taken_bytes = self._taken_bytes, self._written_bytes - unsent_bytes
        if not unsent_bytes:
            self._stalled_since_s = None
        elif self._stalled_since_s is None or self._taken_bytes > before:
            self._stalled_since_s = now_s
        else:
            return now_s - self._stalled_since_s >= self._door.stall_timeout_s
        return False

    # ---- within ---------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """The end has begun: forget what was waited for."""
        self._door.wheel.remove(self)
        if self._throttling is not None:
            self._throttling.cancel()
            self._throttling = None

    def _flush(self) -> None:
        if self._soon and self._transport is not None:
            data = b"".join(self._soon)
            self._soon.clear()
            self._soon_bytes = 0
            self._written_bytes += len(data)
            self._transport.write(data)

    def _is_stuck(self) -> bool:
        """Whether the client took nothing of what waits for it since the last time this was asked."""
        if not self._paused & Pause.WRITING or self._transport is None:
            return False
        before = self._taken_when_due_bytes
        self._taken_when_due_bytes = self._written_bytes - self._transport.get_write_buffer_size()
        return before is not None and self._taken_when_due_bytes <= before
