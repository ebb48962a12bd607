"""The socket at which a service manager such as systemd listens, in a test."""

from __future__ import annotations

import asyncio
import contextlib
import socket

TIMEOUT_S = 30


class Manager:
    """Where the service manager listens."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._waiting: list[list[str]] = []

    def heard(self) -> list[list[str]]:
        """Every datagram since the last look, as its lines."""
        self._read()
        found, self._waiting = self._waiting, []
        return found

    async def hears(self, line: str, *, but_not: str = "") -> None:
        """Wait for a datagram with that line; those before it are passed over, those behind it are kept.

        Raises AssertionError when one with the line `but_not` comes first."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                self._read()
                while self._waiting:
                    lines = self._waiting.pop(0)
                    assert but_not not in lines
                    if line in lines:
                        return
                await asyncio.sleep(0.005)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._waiting.append(self._socket.recv(4096).decode().split("\n"))

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
