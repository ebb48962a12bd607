"""What the log is told of records that a policy dropped: the first of them at once, then all since, once a minute.

While the spool is full each commit drops some: a line for each would bury everything else in the log, and where lines
are left out, numbers are. Here each record dropped is in some line's count, and its number within the range beside it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from bridge.ports import Gap
from gateway.words import counted

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0

_WHY: Final = {"full": "the spool is full", "expired": "past their time-to-live"}


@dataclass(slots=True)
class _Untold:
    """What was dropped of a stream for a reason, and is in no line yet."""

    count: int = 0
    first_seq: int = 0
    end_seq: int = 0

    def add(self, gap: Gap) -> None:
        end_seq = gap.first_seq + gap.count
        self.first_seq = min(self.first_seq, gap.first_seq) if self.count else gap.first_seq
        self.end_seq = max(self.end_seq, end_seq)
        self.count += gap.count

    def numbers(self) -> str:
        if self.count == 1:
            return f"number {self.first_seq}"
        among = "" if self.count == self.end_seq - self.first_seq else "among the "
        return f"{among}numbers {self.first_seq} to {self.end_seq - 1}"


class DropNotices:
    """Call it on the event loop; `close` tells what is left. Bounded: a line's worth a stream and reason."""

    def __init__(self, *, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._untold: dict[tuple[str, str], _Untold] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether something was told so lately that what is dropped now would wait for its line."""
        return bool(self._timers)

    def note(self, stream: str, gap: Gap) -> None:
        """So much of the stream was dropped."""
        key = (stream, gap.reason)
        self._untold.setdefault(key, _Untold()).add(gap)
        if key not in self._timers:
            self._tell(key, "")
            self._wait(key)

    def close(self) -> None:
        """Tell what was not told; idempotent."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for key in list(self._untold):
            self._tell(key, " since the last such line")

    def _wait(self, key: tuple[str, str]) -> None:
        self._timers[key] = asyncio.get_running_loop().call_later(self._every_s, self._after, key)

    def _after(self, key: tuple[str, str]) -> None:
        del self._timers[key]
        if key in self._untold:
            self._tell(key, f" in the last {self._every_s:g} s")
            self._wait(key)

    def _tell(self, key: tuple[str, str], when: str) -> None:
        (stream, reason), untold = key, self._untold.pop(key)
        log.warning(
            "Dropped %s of stream %s%s (%s): %s.",
            counted(untold.count, "record"),
            stream,
            when,
            untold.numbers(),
            _WHY.get(reason, reason),
        )
