"""How often a frame has been tried, for the operator.

Frames are made anew each time, so a count a frame would mean nothing. A round begins at the watermark and goes as far
as it gets before something goes wrong: a record was sent in every round that got past it.
"""

from __future__ import annotations

from typing import Final

MAX_ROUNDS: Final = 64
"""Ends of rounds that are told apart; beyond it the two lowest are taken as one."""


class Attempts:
    """The rounds of one stream."""

    __slots__ = ("_end", "_rounds")

    def __init__(self) -> None:
        self._rounds: dict[int, int] = {}
        """How many rounds ended there, by the sequence number behind the last one sent."""
        self._end = 0

    def sent(self, next_seq: int) -> None:
        """Everything below was sent in this round."""
        self._end = max(self._end, next_seq)

    def of(self, seq: int) -> int:
        """Which attempt it is, if the record is sent in this round: 1 for the first."""
        return 1 + sum(times for end, times in self._rounds.items() if end > seq)

    def begin_again(self, watermark: int) -> None:
        """The round is over; what lies below the watermark is delivered."""
        rounds = {end: times for end, times in self._rounds.items() if end > watermark}
        if self._end > watermark:
            rounds[self._end] = rounds.get(self._end, 0) + 1
        if len(rounds) > MAX_ROUNDS:
            lowest, second = sorted(rounds)[:2]
            rounds[lowest] += rounds.pop(second)
        self._rounds = rounds
        self._end = 0
