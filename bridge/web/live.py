"""Live bodies: the body of a GET, followed over server-sent events.

A body is computed once a tick for each distinct address, however many look at it, and sent to those whose connection
has taken what came before. A slow reader skips bodies, and never has more than one waiting; one who takes nothing for
STUCK_S is cut off. At most MAX_STREAMS are open at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from aiohttp import web

from bridge.web.answers import encoded
from bridge.web.channel import Channel, Compute, event
from bridge.web.errors import Problem
from bridge.web.line import Line
from bridge.web.pace import Pace

TICK_S: Final = 1.0
PING_S: Final = 4.0
"""At least so often something is sent, give or take a tick: who hears nothing for eight seconds may take it for
dead."""
STUCK_S: Final = 30.0
MAX_STREAMS: Final = 50
MAX_OF_USER: Final = 40
"""Of one user who is known by name: one script must not take all of them."""
RETRY_MS: Final = 2000

_PING: Final = b": ping\n\n"
_FIRST: Final = f"retry: {RETRY_MS}\n\n".encode()

IsStillKnown = Callable[[], bool]
"""Whether the caller may go on looking."""


class Live:
    """All streams of one server."""

    def __init__(
        self,
        *,
        tick_s: float = TICK_S,
        ping_s: float = PING_S,
        stuck_s: float = STUCK_S,
        max_streams: int = MAX_STREAMS,
        max_of_user: int = MAX_OF_USER,
        pace: Pace | None = None,
    ) -> None:
        self._tick_s = tick_s
        self._ping_s = ping_s
        self._stuck_s = stuck_s
        self._max_streams = max_streams
        self._max_of_user = max_of_user
        self.pace = pace or Pace()
        self._channels: dict[str, Channel] = {}
        self._streams = 0
        self._of_user: Counter[str] = Counter()
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._is_closed = False
        self._closed: asyncio.Future[None] | None = None

    @property
    def streams(self) -> int:
        """How many are open."""
        return self._streams

    def close(self) -> None:
        """End all streams at once; idempotent. No new ones begin."""
        self._is_closed = True
        for channel in self._channels.values():
            channel.stop()
        for line in self._lines:
            line.end()
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    async def follow(
        self,
        request: web.BaseRequest,
        key: str,
        compute: Compute,
        is_still_known: IsStillKnown,
        response: web.StreamResponse,
        *,
        user: str | None = None,
    ) -> web.StreamResponse:
        """Send the body of `key` until the caller leaves. Raises Problem while nothing has been sent yet.

        `user`: who looks; None where everybody is the same.
        """
        with self._place(user):
            channel = self._channels.get(key)
            if channel is None:
                channel = self._channels[key] = Channel(compute, self._tick_s, self.pace)
                channel.start()
            channel.watchers += 1
            try:
                while not channel.version:
                    await channel.changed(self._tick_s)
                    if self._is_closed:
                        raise _closing()
                if channel.problem is not None:
                    raise channel.problem
                await self._send(request, response, channel, is_still_known)
            finally:
                channel.watchers -= 1
                if not channel.watchers:
                    channel.stop()
                    del self._channels[key]
        return response

    async def _send(
        self, request: web.BaseRequest, response: web.StreamResponse, channel: Channel, is_still_known: IsStillKnown
    ) -> None:
        line = self._line(request)
        await response.prepare(request)
        await line.write(response, _FIRST)
        sent, last_s = 0, line.now_s
        while not self._is_closed and line.is_open and is_still_known():
            if line.is_free:
                if channel.version != sent:
                    sent, last_s = channel.version, line.now_s
                    await line.write(response, channel.newest)
                elif line.now_s - last_s >= self._ping_s:
                    last_s = line.now_s
                    await line.write(response, _PING)
            await channel.changed(min(self._tick_s, self._ping_s))
        line.end()

    def _line(self, request: web.BaseRequest) -> Line:
        line = Line(request, self._stuck_s)
        self._lines.add(line)
        return line

    async def send_events(
        self,
        request: web.BaseRequest,
        events: AsyncIterator[tuple[str, Any]],
        is_still_known: IsStillKnown,
        response: web.StreamResponse,
        *,
        user: str | None = None,
    ) -> web.StreamResponse:
        """Send a caller's own events as they come, until they end or he leaves. What waits is the sender's to bound."""
        with self._place(user):
            if self._closed is None:
                self._closed = asyncio.get_running_loop().create_future()
            line = self._line(request)
            await response.prepare(request)
            await line.write(response, _FIRST)
            next_event: asyncio.Task[tuple[str, Any]] | None = None
            last_s = line.now_s
            try:
                while not self._is_closed and line.is_open and is_still_known():
                    if line.is_free:
                        if next_event is None:
                            next_event = asyncio.create_task(_next(events), name="next event")
                        if next_event.done():
                            name, body = next_event.result()
                            next_event, last_s = None, line.now_s
                            await line.write(response, event(name, encoded(body)))
                            continue
                        if line.now_s - last_s >= self._ping_s:
                            last_s = line.now_s
                            await line.write(response, _PING)
                    waits_for: list[asyncio.Future[Any]] = (
                        [self._closed] if next_event is None or next_event.done() else [self._closed, next_event]
                    )
                    await asyncio.wait(
                        waits_for,
                        timeout=min(self._tick_s, self._ping_s) if line.is_free else 0.05,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
            except _Ended:
                pass
            except Exception:  # of whatever kind: the stream has begun, so only a cut tells that something broke
                line.cut()
                raise
            finally:
                if next_event is not None:
                    next_event.cancel()
                    await asyncio.gather(next_event, return_exceptions=True)
            line.end()
        return response

    @contextlib.contextmanager
    def _place(self, user: str | None) -> Iterator[None]:
        if self._is_closed:
            raise _closing()
        if self._streams >= self._max_streams:
            raise Problem(
                503,
                f"{self._streams} pages are looking at live bodies, and more are not served. Close one, and try again.",
                headers={"Retry-After": "10"},
            )
        if user is not None and self._of_user[user] >= self._max_of_user:
            raise Problem(
                503,
                f"You look at {self._of_user[user]} live bodies, and nobody gets more. Close one, and try again.",
                headers={"Retry-After": "10"},
            )
        self._streams += 1
        if user is not None:
            self._of_user[user] += 1
        try:
            yield
        finally:
            self._streams -= 1
            if user is not None:
                self._of_user[user] -= 1
                self._of_user += Counter()  # forgets who looks at nothing


class _Ended(Exception):
    """The sender of events has no more."""


async def _next(events: AsyncIterator[tuple[str, Any]]) -> tuple[str, Any]:
    try:
        return await anext(events)
    except StopAsyncIteration:
        raise _Ended from None


def _closing() -> Problem:
    return Problem(503, "The program is stopping.")
