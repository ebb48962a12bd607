"""How large a frame may be, learned from a broker that refuses without having said its limit.

A broker of MQTT 5 may name its Maximum Packet Size; many have a second limit that they do not name, and a broker of
3.1.1 just cuts the connection. So the limit is halved when a frame was too large, and doubled again after many have
passed: a limit that was learned by mistake, on a bad day of the link, does not stay for ever. One that has grown beyond
what any packet has is none.
"""

from __future__ import annotations

from typing import Final

_PASSED_BEFORE_GROWTH: Final = 200
_LONGEST_PACKET_BYTES: Final = 256 * 1024 * 1024
"""What the length of an MQTT packet has room for (MQTT 5 §1.5.5)."""


class SizeLimit:
    """A target for the size of frames; None as long as nothing was refused. One record may always be tried."""

    __slots__ = ("_passed", "target_bytes")

    def __init__(self) -> None:
        self.target_bytes: int | None = None
        self._passed = 0

    def refused(self, size_bytes: int) -> None:
        """A frame of that size was too large."""
        half = max(1, size_bytes // 2)
        self.target_bytes = half if self.target_bytes is None else min(self.target_bytes, half)
        self._passed = 0

    def passed(self) -> None:
        """A frame was delivered."""
        if self.target_bytes is None:
            return
        self._passed += 1
        if self._passed >= _PASSED_BEFORE_GROWTH:
            grown = 2 * self.target_bytes
            self.target_bytes = grown if grown < _LONGEST_PACKET_BYTES else None
            self._passed = 0
