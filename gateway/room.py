"""How much the spool may still take: within its own limit, and within what the disk has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SHARE: Final = 1.08
"""What rows take in the database beside their bodies, where that was not measured: keys, pages that are not full."""
_MEASURED_FROM_BYTES: Final = 1024 * 1024
"""With less in it, what is in the database beside records would count as if each record had a share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """`stored_bytes` are those of the records' bodies; `ceiling_bytes` is what the pages of the database may come to,
    `used_bytes` what they came to at the last commit (None: there was none yet)."""

    ceiling_bytes: int
    used_bytes: int | None
    size_bytes: int
    """Of the files, which do not shrink when records go."""
    stored_bytes: int
    disk_free_bytes: int | None
    """None where it can't be asked."""

    @property
    def free_bytes(self) -> int:
        """For bodies of records that come, about."""
        used = self.used_bytes
        if used is None:
            used = min(self.size_bytes, int(self.stored_bytes * _SHARE))
        room = self.ceiling_bytes - used
        if self.disk_free_bytes is not None:
            room = min(room, self.disk_free_bytes + max(0, self.size_bytes - used))
        share = used / self.stored_bytes if self.stored_bytes >= _MEASURED_FROM_BYTES else _SHARE
        return max(0, int(room / max(1.0, share)))


def disk_free_bytes(folder: Path) -> int | None:
    """What the disk has left for this user; None where that can't be told."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
