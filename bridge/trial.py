"""Is it this record that the broker hangs up on?

A broker of MQTT 3.1.1 has no word for "too large": it cuts the connection, as a bad link does. A single record that
cannot be divided any further would then be sent for ever, and everything behind it would wait. So a record that was at
the head of several lost connections is tried by itself: on a new connection first a smaller frame from behind it (the
probe), then, once that is acknowledged, the record alone. Only when the broker has just taken the probe and then cuts
the connection with nothing but the record in flight, so many times in a row, is the record a dead letter. A broker that
is away, refuses everything, or falls silent never makes one; nor does one record with nothing behind it, which blocks
nobody.

The head of a lost connection need not be what it was lost for: a broker that answers when its disk has a frame, and
cuts at once (HiveMQ does both), never answers what was ahead of the frame that it cuts for. So a record without a probe
is tried alone as well: that proves nothing when it is cut, and lets it go when it is innocent. Once one was taken, what
follows goes one at a time for a window's length, so that the culprit becomes the head.
"""

from __future__ import annotations

from typing import Final

from bridge.flow.lane import Lane
from bridge.sealing import Sealed

CUTS_OF_POISON: Final = 8
"""With a backoff that doubles from half a second that is about a minute."""


class Trial:
    """One record under suspicion."""

    def __init__(self, lane: Lane, frame: Sealed) -> None:
        self.lane = lane
        self.frame = frame
        self.probe: Sealed | None = None
        self.max_probe_bytes = _size_bytes(frame) // 2
        self.is_proved = False
        """Whether this connection has taken the probe."""
        self.is_futile = False
        """Whether the record was cut and no probe is left that could prove it: the others have their turn again."""
        self._cuts = 0

    @property
    def is_open(self) -> bool:
        """Whether the record is still what the stream waits for."""
        return self.lane.acks.watermark == self.frame.start_seq

    @property
    def after_seq(self) -> int:
        """Where the block behind the record's block begins."""
        return self.frame.next_seq if self.frame.split_block is None else self.frame.split_block[1]

    def cut(self) -> bool:
        """The connection was cut with the record or the probe alone in flight; True when that condemns the record."""
        if self.is_proved:
            self.is_proved = False
            self._cuts += 1
            return self._cuts >= CUTS_OF_POISON
        # The probe may be poison as well: another one, much smaller, or none.
        self._cuts = 0
        if self.probe is not None:
            self.max_probe_bytes = _size_bytes(self.probe) // 2
            self.probe = None
        else:
            self.is_futile = True
        return False


def _size_bytes(frame: Sealed) -> int:
    return len(frame.payload or b"")
