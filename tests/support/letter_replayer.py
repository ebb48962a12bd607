"""A process that has dead letters in a real spool and replays them, until somebody kills it.

Run as `python -m tests.support.letter_replayer FOLDER COUNT`: it makes COUNT letters of RECORDS records each, tells
`ready` on a line of standard output, replays them one by one, and tells the number of each that has gone back.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from config.settings import Uplink
from tests.support.spool import put, running, settings, store

RECORDS = 3


def payloads_of_letter(letter: int) -> list[bytes]:
    return [f"letter {letter} record {i} ".encode() * 40 for i in range(RECORDS)]


async def replay(folder: Path, count: int) -> None:
    async with running(settings(folder)) as spool:
        outbox = spool.outbox(Uplink())
        for letter in range(1, count + 1):
            first = spool.lanes["telemetry"].next_seq
            await store(spool, payloads_of_letter(letter))
            await outbox.dead_letter("telemetry", first, RECORDS, reason="refused")
        print("ready", flush=True)
        for letter in range(1, count + 1):
            put(spool, [b"live"])
            done = await spool.dead_letters.replay([letter])
            assert done.letters == 1
            print(letter, flush=True)


if __name__ == "__main__":
    asyncio.run(replay(Path(sys.argv[1]), int(sys.argv[2])))
