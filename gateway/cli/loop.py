"""The event loop that a command runs on: uvloop where it can be imported, asyncio's own else.

`FIELDGATE_LOOP=asyncio` or `FIELDGATE_LOOP=uvloop` decides it by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from gateway.cli.outcome import Failed
from gateway.cli.stop import stop_on_signals

VARIABLE = "FIELDGATE_LOOP"

Result = TypeVar("Result")


def loop_factory(environ: Mapping[str, str]) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; None stands for asyncio's own. Raises Failed for a wish that can't be met."""
    wish = environ.get(VARIABLE, "").strip().lower()
    if wish == "asyncio":
        return None
    if wish not in ("", "uvloop"):
        raise Failed(f"{VARIABLE} is {wish!r}; write asyncio or uvloop, or leave it out.")
    try:
        import uvloop
    except ImportError as error:
        if wish:
            raise Failed(f"{VARIABLE} asks for uvloop, which can't be imported here: {error}.") from error
        return None
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, Result], *, debug: bool | None = None) -> Result:
    """Run `main` to its end. It takes care of signals itself."""
    try:
        factory = loop_factory(os.environ)
    except Failed:
        main.close()
        raise
    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        return runner.run(main)


def run_until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run something that has no end of its own; Ctrl-C and SIGTERM are its good end."""
    run(_stoppable(main))


async def _stoppable(main: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(main)
    with stop_on_signals() as stop:
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
