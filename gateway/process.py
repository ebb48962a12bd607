"""What the gateway asks of its process: file descriptors, and to be told of signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections.abc import Iterator

log = logging.getLogger(__name__)


def raise_file_limit() -> None:
    """Take all the file descriptors that this user may have: each connection is one, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a limit that can't be raised is the one that holds
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def signals(stop: asyncio.Event, reload: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`, a second one ends the process; SIGHUP sets `reload`."""
    loop = asyncio.get_running_loop()

    def on_stop(number: int) -> None:
        if stop.is_set():
            log.warning("Stopped at once by a second signal; what was acknowledged is on disk.")
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop, number)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
