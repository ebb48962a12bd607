"""How late the event loop is: a beat is due every so often, and its delay is the lag of everything else on the loop.

An HTTP request that was answered proves little: it was answered once the loop had time for it. The beats are
measured all the time, so that a loop that stood still a moment ago, or is always late, shows.
"""

from __future__ import annotations

import asyncio
from collections import deque

BEAT_S = 0.5
WINDOW_S = 30.0


class LagWindow:
    """The lags measured within the last `window_s`. Pure: `now` is in seconds of a monotonic clock."""

    __slots__ = ("_beat_s", "_lags", "_last_due", "_window_s")

    def __init__(self, now: float, *, beat_s: float = BEAT_S, window_s: float = WINDOW_S) -> None:
        self._beat_s = beat_s
        self._window_s = window_s
        self._lags: deque[tuple[float, float]] = deque()
        self._last_due = now + beat_s

    def beat(self, now: float) -> float:
        """The beat that was due has come at `now`. Returns when the next one is due."""
        self._lags.append((now, max(0.0, now - self._last_due)))
        self._forget(now)
        self._last_due = now + self._beat_s
        return self._last_due

    def worst_s(self, now: float) -> float:
        """The worst lag of the window; a beat that is overdue right now counts."""
        self._forget(now)
        overdue_s = max(0.0, now - self._last_due)
        return max([overdue_s, *(lag for _, lag in self._lags)])

    def _forget(self, now: float) -> None:
        while self._lags and self._lags[0][0] < now - self._window_s:
            self._lags.popleft()


class Heartbeat:
    """Beats on the running loop from `start` to `close`."""

    def __init__(self, *, beat_s: float = BEAT_S, window_s: float = WINDOW_S) -> None:
        self._beat_s = beat_s
        self._window_s = window_s
        self._window: LagWindow | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat; once."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._window = LagWindow(now, beat_s=self._beat_s, window_s=self._window_s)
        self._handle = loop.call_at(now + self._beat_s, self._beat, self._window)

    def close(self) -> None:
        """Stop; idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    @property
    def worst_lag_s(self) -> float:
        """The worst lag of the last 30 seconds; 0 before the start."""
        if self._window is None:
            return 0.0
        return self._window.worst_s(asyncio.get_running_loop().time())

    def _beat(self, window: LagWindow) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_at(window.beat(loop.time()), self._beat, window)
