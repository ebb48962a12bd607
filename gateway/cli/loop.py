"""The event loop that a command runs on: uvloop where it can be imported, asyncio's own else.

`FIELDGATE_LOOP=asyncio` or `FIELDGATE_LOOP=uvloop` decides it by hand.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from gateway.cli.outcome import Failed

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
