"""How much the spool may still take: within its own limit, and within what the disk has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SHARE: Final = 1.08
"""What rows take in the database beside their bodies: keys, pages that are not full, the write-ahead log."""
_DISK_IS_FULL_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """`stored_bytes` are those of the records; the database does not shrink when they go: its size is but a bound."""

    limit_bytes: int
    size_bytes: int
    stored_bytes: int
    disk_free_bytes: int | None
    """None where it can't be asked."""

    @property
    def free_bytes(self) -> int:
        """For records that come, about."""
        within_limit = self.limit_bytes - min(self.size_bytes, int(self.stored_bytes * _SHARE))
        if self.disk_free_bytes is None:
            return max(0, within_limit)
        reusable = max(0, self.size_bytes - int(self.stored_bytes * _SHARE))
        return max(0, min(within_limit, self.disk_free_bytes + reusable))

    @property
    def is_disk_full(self) -> bool:
        """Whether it is the disk that has no room, rather than the limit that is reached."""
        return self.disk_free_bytes is not None and self.disk_free_bytes < _DISK_IS_FULL_BYTES


def disk_free_bytes(folder: Path) -> int | None:
    """What the disk has left for this user; None where that can't be told."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
