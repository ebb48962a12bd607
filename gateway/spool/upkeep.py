"""What the spool does from time to time: expire records, see whether a full disk has room again, and, with an interval
of durability, have the write-ahead log on disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Final

from config.settings import MIB
from gateway.spool.committer import Committer
from gateway.spool.errors import SpoolUnusable
from gateway.spool.folder import DataFolder
from gateway.spool.lane import Lane
from gateway.spool.transaction import Transactor

log = logging.getLogger(__name__)

INTERVAL_S = 5.0
_ROOM_AGAIN_BYTES: Final = 4 * MIB


async def maintain(*, committer: Committer, transactor: Transactor, folder: DataFolder, lanes: dict[str, Lane]) -> None:
    """Look every few seconds, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL_S)
        if any(lane.time_to_live_s for lane in lanes.values()):
            committer.expire()
        if transactor.disk_is_full and folder.free_bytes() > _ROOM_AGAIN_BYTES and folder.keep_reserve():
            transactor.lift_ceiling()
            committer.is_refusing = False
            log.info("The disk has room again.")


async def sync(interval_s: float, *, committer: Committer, lanes: dict[str, Lane], database: Path) -> None:
    """Have the write-ahead log on disk this often, where commits don't wait for it. Raises SpoolUnusable.

    The log is a file of its own and SQLite holds no locks on it, so a descriptor of ours may come and go.
    """
    wal = Path(f"{database}-wal")
    synced = -1
    while True:
        await asyncio.sleep(interval_s)
        if committer.counters.commits != synced:
            synced = committer.counters.commits
            ends = {name: lane.next_seq for name, lane in lanes.items()}
            try:
                await asyncio.to_thread(_fsync, wal)
            except OSError as error:
                raise SpoolUnusable(f"The spool can't be written to disk: {error}. Look at the disk.") from error
            committer.synced(ends)


def _fsync(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
