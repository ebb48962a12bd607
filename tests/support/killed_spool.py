"""A spool whose process is killed while it is at work, for tests that look at what it left behind.

`python -m tests.support.killed_spool FOLDER` stores RECORDS records, makes dead letters of the first two blocks, and
kills itself; `leave(folder)` runs it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from config.settings import Uplink
from tests.support.spool import put, running, settings, store

BLOCK = 5
RECORDS = 8 * BLOCK
LETTERS = 2
BOTH = (Uplink(), Uplink(name="archive"))


def payload_of(number: int) -> bytes:
    """Of the record with this number."""
    return f"record {number} Ü".encode() if number % 3 else bytes([0xFF, number])


async def write(folder: Path, uplinks: tuple[Uplink, ...]) -> None:
    async with running(settings(folder, uplinks=uplinks)) as spool:
        for first in range(1, RECORDS, BLOCK):
            await store(spool, [payload_of(number) for number in range(first, first + BLOCK)])
        for first in range(1, LETTERS * BLOCK, BLOCK):
            await spool.outbox(uplinks[0]).dead_letter("telemetry", first, BLOCK, reason="refused")
        put(spool, [b"never acknowledged"])
        os.kill(os.getpid(), signal.SIGKILL)


def leave(folder: Path, *, uplinks: int = 1) -> None:
    """Have the process run in the folder, until it is killed. `uplinks`: so many of BOTH."""
    words = [sys.executable, "-m", "tests.support.killed_spool", str(folder), str(uplinks)]
    ended = subprocess.run(words, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), BOTH[: int(sys.argv[2])]))
