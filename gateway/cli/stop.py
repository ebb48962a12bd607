"""Ctrl-C and SIGTERM as an event, for commands whose good end they are."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that is set by the first SIGINT or SIGTERM; a second one interrupts at once, as it does without this."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)

    def first() -> None:
        stop.set()
        restore()

    for number in before:
        loop.add_signal_handler(number, first)
    try:
        yield stop
    finally:
        restore()
