"""How fast something may go. Pure: times are parameters, in monotonic seconds."""

from __future__ import annotations


class TokenBucket:
    """Lets `rate` a second through, and as many as come in one second at once.

    Taking is never refused: what is taken over the rate is owed, and `take` says how long to wait until it is paid. So
    the rate holds over time, whatever the size of what is taken.
    """

    __slots__ = ("_at_s", "_level", "_rate")

    def __init__(self, rate: float, *, now_s: float) -> None:
        if rate <= 0:
            raise ValueError(f"A rate is more than 0 a second, not {rate}.")
        self._rate = rate
        self._level = float(rate)
        self._at_s = now_s

    def take(self, number: float, now_s: float) -> float:
        """Take so many; returns for how many seconds nothing more should be taken, 0.0 for none."""
        self._level = min(self._rate, self._level + max(0.0, now_s - self._at_s) * self._rate) - number
        self._at_s = now_s
        return 0.0 if self._level >= 0 else -self._level / self._rate


class Throttle:
    """The rates of one client: publishes and bytes a second; None for no bound."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self, *, messages: int | None, size_bytes: int | None, now_s: float) -> None:
        self._messages = None if messages is None else TokenBucket(messages, now_s=now_s)
        self._bytes = None if size_bytes is None else TokenBucket(size_bytes, now_s=now_s)

    def take(self, *, messages: int, size_bytes: int, now_s: float) -> float:
        """Count what was read; returns for how many seconds nothing more should be read."""
        wait_s = 0.0
        if self._messages is not None and messages:
            wait_s = self._messages.take(messages, now_s)
        if self._bytes is not None:
            wait_s = max(wait_s, self._bytes.take(size_bytes, now_s))
        return wait_s
