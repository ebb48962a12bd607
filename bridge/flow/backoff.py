"""When to try again: full jitter, so that a thousand gateways that lost one broker do not return in one instant."""

from __future__ import annotations

from collections.abc import Callable

from config.settings import Retry


class Backoff:
    """Delays between 0 and a limit that doubles with every failure, up to the operator's maximum."""

    __slots__ = ("_random", "_retry", "failures")

    def __init__(self, retry: Retry, random: Callable[[], float]) -> None:
        """`random` returns a number in [0, 1)."""
        self._retry = retry
        self._random = random
        self.failures = 0
        """How often in a row it went wrong."""

    def next_delay_s(self) -> float:
        """Note a failure; returns how long to wait now."""
        # Past 64 doublings a float would run over; every maximum was reached long before.
        limit_s = min(self._retry.max_s, self._retry.first_s * 2.0 ** min(self.failures, 64))
        self.failures += 1
        return self._random() * limit_s

    def reset(self) -> None:
        """It went well: the next failure starts from the beginning."""
        self.failures = 0
