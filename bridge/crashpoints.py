"""Named points where a test can have the process die as in a power cut.

`FIELDGATE_CRASH_AT=name` kills the process with SIGKILL the first time it reaches that point, `name:N` the Nth time.
The variable is read once, at import; without it `reach` does nothing but compare a name with None.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "FIELDGATE_CRASH_AT"


class _Fuse:
    """Counts how often the chosen point was reached."""

    __slots__ = ("name", "remaining")

    def __init__(self, chosen: str | None) -> None:
        name, _, times = (chosen or "").partition(":")
        self.name = name or None
        self.remaining = int(times or 1)

    def reach(self, name: str) -> None:
        if name != self.name:
            return
        self.remaining -= 1
        if self.remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)


reach = _Fuse(os.environ.get(VARIABLE)).reach
"""`reach(name)`: the process is at the point `name`; safe from any thread."""
