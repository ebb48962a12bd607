"""Where one stream stands on its way through an uplink.

Theory of operation. The watermark (`acks`) is the truth; the cursor runs ahead of it. A span of sequence numbers that
was peeked is *claimed* until its frames are settled: delivered, refused, or given back unsent. When anything of the
lane goes wrong, the lane *rewinds*: nothing more of it is sent, what is in flight is awaited, a pause passes, and the
cursor returns to the watermark; spans above it that were acknowledged meanwhile are passed over. So one rule serves
refusals, splits and dead letters alike, and the order within the stream is kept.

A block whose frame is too large goes in parts. The spool knows whole blocks only: as long as a part is missing, the
watermark is told to the spool as the block's beginning, and peeking starts there; parts that were acknowledged before
are passed over when they have been sealed again.
"""

from __future__ import annotations

from typing import Final

from bridge.flow.acks import AckLine
from bridge.flow.attempts import Attempts
from bridge.flow.backoff import Backoff

REFUSALS_OF_POISON: Final = 16


class Lane:
    """One stream's cursor, claims and pauses."""

    def __init__(self, *, name: str, epoch: str, next_seq: int, backoff: Backoff) -> None:
        self.name = name
        self.epoch = epoch
        self.acks = AckLine(next_seq)
        self.cursor = next_seq
        self.claimed_bytes = 0
        """Bytes of stored blocks that are claimed."""
        self.is_rewinding = False
        self.paused_until_s = 0.0
        self.waiting_since_s: float | None = None
        self.ask_again_at_s: float | None = None
        """The spool had nothing although it said so: ask again then, or after its next change."""
        self.attempts = Attempts()
        self._backoff = backoff
        self._claims = 0
        self._urgent_below = next_seq
        self._split: list[tuple[int, int]] = []
        self._refused_seq = -1
        self._refused_alone = 0

    @property
    def claims(self) -> int:
        """How many frames are peeked and not settled."""
        return self._claims

    @property
    def is_urgent(self) -> bool:
        """Whether the cursor stands where it already was, or below what is to leave now: no lingering then."""
        return self.cursor < self._urgent_below

    def hurry(self, next_seq: int) -> None:
        """Have all below leave without lingering, and without what is left of a pause."""
        self._urgent_below = max(self._urgent_below, next_seq)
        self.paused_until_s = 0.0
        self.ask_again_at_s = None

    @property
    def release_seq(self) -> int:
        """Everything below it is delivered, and it stands between two blocks."""
        return self.floor(self.acks.watermark)

    def floor(self, seq: int) -> int:
        """`seq`, or the beginning of the block that was split and holds `seq` in its inside."""
        for first, stop in self._split:
            if first < seq < stop:
                return first
        return seq

    def has(self, start: int, stop: int) -> bool:
        """Whether all of [start, stop) is acknowledged."""
        return self.acks.hole(start)[0] >= stop

    def next_span(self) -> tuple[int, int | None]:
        """Where to peek from, and where what is acknowledged begins again (None: nowhere)."""
        start, stop = self.acks.hole(self.cursor)
        return self.floor(start), stop

    def claim(self, stop: int, stored_bytes: int) -> None:
        """What was peeked, up to `stop`, is one frame to be sealed."""
        self.cursor = stop
        self._urgent_below = max(self._urgent_below, stop)
        self._claims += 1
        self.claimed_bytes += stored_bytes

    def claim_alone(self, stored_bytes: int) -> None:
        """A frame goes out of turn: the cursor stays."""
        self._claims += 1
        self.claimed_bytes += stored_bytes

    def claim_became(self, frames: int) -> None:
        """The claim was sealed into so many frames."""
        self._claims += frames - 1

    def note_split(self, first_seq: int, next_seq: int) -> None:
        """The block [first_seq, next_seq) goes in parts."""
        if (first_seq, next_seq) not in self._split:
            self._split.append((first_seq, next_seq))

    def delivered(self, start: int, stop: int, stored_bytes: int) -> None:
        """The broker has [start, stop)."""
        self._unclaim(stored_bytes)
        self.acks.acknowledge(start, stop)
        self._backoff.reset()
        watermark = self.acks.watermark
        self._split = [(first, end) for first, end in self._split if end > watermark]

    def given_back(self, stored_bytes: int) -> None:
        """A claimed frame was not delivered and is no longer on its way."""
        self._unclaim(stored_bytes)

    def _unclaim(self, stored_bytes: int) -> None:
        self._claims -= 1
        self.claimed_bytes -= stored_bytes

    def rewind(self, *, now_s: float, wait: bool) -> None:
        """Start again from the watermark once nothing is on its way; after a pause with backoff if `wait`."""
        if wait and not (self.is_rewinding and self.paused_until_s > now_s):
            # One pause for a whole window of refusals: they are one event.
            self.paused_until_s = now_s + self._backoff.next_delay_s()
        self.is_rewinding = True

    def refused_alone(self, start_seq: int) -> bool:
        """Note an unexplained refusal; True when it is this span and no other that the broker will not take.

        That is so when it was refused many times in a row, with a pause after each, while what comes after it in the
        stream was taken: then it would hold back the whole stream for ever.
        """
        if self.acks.hole(start_seq)[1] is None:
            self._refused_alone = 0
            return False
        self._refused_alone = self._refused_alone + 1 if start_seq == self._refused_seq else 1
        self._refused_seq = start_seq
        return self._refused_alone >= REFUSALS_OF_POISON

    def dead_lettered(self, first_seq: int, count: int) -> None:
        """These records are a gap in the spool now: a split block has become what is left on either side."""
        stop = first_seq + count
        split: list[tuple[int, int]] = []
        for first, end in self._split:
            if first < stop and first_seq < end:
                split += [(a, b) for a, b in ((first, first_seq), (stop, end)) if a < b]
            else:
                split.append((first, end))
        self._split = split

    def is_open(self, now_s: float) -> bool:
        """Whether something of the lane may be peeked; ends a rewind whose time has come."""
        if not self.is_rewinding:
            return True
        if self._claims or now_s < self.paused_until_s:
            return False
        self._begin_again()
        return True

    def link_lost(self) -> None:
        """Nothing is on its way any more: begin at the watermark with the next connection."""
        self._claims = 0
        self.claimed_bytes = 0
        self._begin_again()

    def _begin_again(self) -> None:
        self.is_rewinding = False
        self.ask_again_at_s = None
        self.cursor = self.acks.watermark
        self.attempts.begin_again(self.cursor)
