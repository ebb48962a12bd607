"""Something done in a data folder on which no gateway runs, with the same care as a gateway takes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bridge.ports import Clock
from config.settings import GatewaySettings
from gateway.spool.spool import Spool

T = TypeVar("T")


async def visit(settings: GatewaySettings, work: Callable[[Spool], Awaitable[T]], *, clock: Clock) -> T:
    """Open the spool, have `work` done while it commits, and close it when all is on disk; returns what `work` did.

    Streams and uplinks become what `settings` say, as at a gateway's start. Raises SpoolError, DataFolderInUse among
    them, and what `work` raises.
    """
    spool = await Spool.open(settings, clock=clock)
    committing = asyncio.create_task(spool.run(), name="spool")
    working = asyncio.create_task(_done(spool, work), name="visit")
    try:
        await asyncio.wait({committing, working}, return_when=asyncio.FIRST_COMPLETED)
        if committing.done():
            committing.result()  # raises: it ends only with an error
        return await working
    finally:
        for task in (working, committing):
            task.cancel()
        await asyncio.gather(working, committing, return_exceptions=True)
        await spool.close()


async def _done(spool: Spool, work: Callable[[Spool], Awaitable[T]]) -> T:
    result = await work(spool)
    await spool.flush()
    return result
