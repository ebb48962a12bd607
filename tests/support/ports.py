"""Ports of the loopback that nobody else gets."""

from __future__ import annotations

import contextlib
import random
import socket

LOWEST, HIGHEST = 15_000, 32_000
_given: set[int] = set()
_chance = random.SystemRandom()  # not what Hypothesis seeds: other runs beside this one would try the same ports


def steady_port() -> int:
    """A free TCP port below those that the system hands out, so that nobody gets it while its owner is dead.

    Each is given once: a test may have it for a while before anything listens there, or for as long as nothing does.
    """
    for _ in range(1000):
        port = _chance.randint(LOWEST, HIGHEST)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _given.add(port)
            return port
    raise RuntimeError("no free port was found")
