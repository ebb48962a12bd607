"""One line of progress: rewritten in place on a terminal, written now and then where there is none."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import TextIO

PLAIN_EVERY_S = 5.0


class ProgressLine:
    """Shows the newest text; the last one is wiped from a terminal at the end."""

    def __init__(self, stream: TextIO, *, plain_every_s: float = PLAIN_EVERY_S) -> None:
        self._stream = stream
        self._in_place = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._plain_every_s = plain_every_s
        self._next_plain_s = time.monotonic() + plain_every_s

    def show(self, text: str) -> None:
        """Show `text` instead of what was shown before."""
        if self._in_place:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80  # 0: a terminal that does not say
            self._write(f"\r\x1b[2K{text[: max(width - 1, 1)]}")
        elif time.monotonic() >= self._next_plain_s:
            self._next_plain_s = time.monotonic() + self._plain_every_s
            self._write(f"{text}\n")

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._in_place:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
