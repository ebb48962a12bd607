"""Ctrl-C and SIGTERM as the good end of a command that prints what comes: what waits is ended, what is written is not.

    with Ending() as ending:
        for record in coming:           # a signal ends this, as KeyboardInterrupt
            with ending.held():         # and here it waits until the line is out
                printer.record(record)

A signal in the midst of a write would lose what Python had taken out of its buffer and not yet given to the system.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final, Self

GRACE_S: Final = 1.0
"""Who reads our output and takes nothing for so long holds the end up no longer."""


class Ending:
    """See above. A second signal ends the process at once."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._is_held = False
        self._came: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others get no signals
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:  # a job in the background is not for Ctrl-C
                    self._before[number] = signal.signal(number, self._on_signal)
            if self._before:
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_stuck)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait until this has ended. Raises KeyboardInterrupt then."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._came is not None:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._came = number
        for each in self._before.keys() - {signal.SIGALRM}:
            signal.signal(each, signal.SIG_DFL)
        if not self._is_held:
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def _on_stuck(self, _number: int, _frame: FrameType | None) -> None:
        """Nobody takes what is being written: not even Python's own end could flush it."""
        os.kill(os.getpid(), self._came or signal.SIGTERM)
