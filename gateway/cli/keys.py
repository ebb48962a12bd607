"""Single keys of a terminal, without Enter; the terminal is as it was afterwards."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def single_keys() -> Iterator[bool]:
    """Keys come one by one within the block; False where standard input is no terminal.

    SIGTERM ends the block as Ctrl-C does: the terminal is put right before the process goes.
    """
    if not sys.stdin.isatty():
        yield False
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    handler = signal.signal(signal.SIGTERM, _interrupt)
    try:
        tty.setcbreak(number)
        yield True
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, handler)


def key_within(seconds: float) -> str | None:
    """The key that is pressed within so long; an empty text when the terminal is gone."""
    ready, _, _ = select.select([sys.stdin], [], [], max(seconds, 0))
    return os.read(sys.stdin.fileno(), 1).decode("latin-1") if ready else None


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt
