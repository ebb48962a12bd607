"""A process that keeps and discards rows in a real spool, one commit after the other, until somebody kills it.

Row n is kept in commit n, with a message and a delivery; row n - LAG is discarded before. Each commit that ended well
is told on a line of standard output. Run as `python -m tests.support.spool_writer FOLDER FIRST`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.spool.ports import Outcome, Table
from tests.support.spool import Commits, put, running, settings

LAG = 4
SESSION = 7


def body_of(number: int) -> bytes:
    return f"row {number} ".encode() * 30


async def write(folder: Path, number: int) -> None:
    async with running(settings(folder)) as spool:
        commits = Commits()
        while True:
            spool.keep(Table.MESSAGE, number, body_of(number))
            spool.keep(Table.DELIVERY, SESSION << 32 | number, body_of(number))
            if number > LAG:
                spool.discard(Table.MESSAGE, number - LAG)
                spool.discard_range(Table.DELIVERY, SESSION << 32, SESSION << 32 | (number - LAG))
            put(spool, [body_of(number)])
            assert await commits.expect(spool) is Outcome.DURABLE
            print(number, flush=True)
            number += 1


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
