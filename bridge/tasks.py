"""Two things that an owner of tasks does all the time."""

from __future__ import annotations

import asyncio
from typing import Any


async def first_of(*futures: asyncio.Future[Any]) -> None:
    """Returns when the first is done; raises what it raised."""
    done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel and await them; their errors were raised by whoever waited for them, or come too late to matter."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
