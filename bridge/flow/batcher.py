"""When a frame is sealed, and how much of the spool goes into it.

The operator bounds a frame by its size on the wire, the spool knows its blocks' size on disk; what lies between them is
learned from the frames already sealed, as a running ratio.
"""

from __future__ import annotations

from typing import Final

from config.settings import Batch

_WEIGHT: Final = 0.2
_SMALLEST_RATIO: Final = 0.005
_LARGEST_RATIO: Final = 8.0


class Batcher:
    """The decision for one stream."""

    __slots__ = ("_batch", "_ratio")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._ratio = 1.0

    def observe(self, *, stored_bytes: int, wire_bytes: int) -> None:
        """A frame was sealed: so many bytes of stored blocks became so many on the wire."""
        if stored_bytes > 0:
            ratio = min(max(wire_bytes / stored_bytes, _SMALLEST_RATIO), _LARGEST_RATIO)
            self._ratio += _WEIGHT * (ratio - self._ratio)

    def max_stored_bytes(self, limit_bytes: int | None = None) -> int:
        """How many bytes of stored blocks one frame may take; `limit_bytes` is what the broker takes at most."""
        size = self._batch.max_size_bytes if limit_bytes is None else min(self._batch.max_size_bytes, limit_bytes)
        return max(1, int(size / self._ratio))

    @property
    def max_records(self) -> int:
        """How many records one frame may take."""
        return self._batch.max_records

    def due_in_s(self, *, records: int, stored_bytes: int, waited_s: float) -> float:
        """Seconds until what waits is to be sealed; 0 for now.

        A whole frame goes at once; less than that waits until its oldest record has waited for the linger.
        """
        if records >= self._batch.max_records or stored_bytes * self._ratio >= self._batch.max_size_bytes:
            return 0.0
        return max(0.0, self._batch.linger_s - waited_s)
