"""How many connections there may be over all listeners of a gateway."""

from __future__ import annotations

import sys


class Places:
    """Counts those that are taken."""

    __slots__ = ("max_connections", "taken")

    def __init__(self, max_connections: int = sys.maxsize) -> None:
        self.max_connections = max_connections
        self.taken = 0

    def take(self) -> bool:
        """Take one; false when there is none."""
        if self.taken >= self.max_connections:
            return False
        self.taken += 1
        return True

    def free(self) -> None:
        """Give one back."""
        self.taken -= 1
