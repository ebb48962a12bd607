"""Names to addresses for aiohttp, in threads that hold nobody up.

The event loop's own threads are waited for at the end of the process, and a look-up cannot be ended: without an answer
from the DNS server, the stop of the gateway would take as long as the system's resolver tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver(AbstractResolver):
    """One for each aiohttp session, which asks once at a time for each name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of the name. Raises OSError."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def settle(infos: list[Any], error: Exception | None) -> None:
            if found.done():
                return
            if error is None:
                found.set_result(infos)
            else:
                found.set_exception(error)

        def look_up() -> None:
            infos: list[Any] = []
            error: Exception | None = None
            try:
                infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
            except UnicodeError as cause:  # a name that no DNS can have
                error = OSError(f"{host!r} is no name of a machine: {cause}")
            except OSError as cause:
                error = cause
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, infos, error)

        threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
        return [_result(host, info) for info in await found]

    async def close(self) -> None:
        """There is nothing to close."""


def _result(host: str, info: tuple[Any, ...]) -> ResolveResult:
    family, _, proto, _, address = info
    # With the zone of an IPv6 address that is of this link only.
    numeric, port = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return ResolveResult(hostname=host, host=numeric, port=int(port), family=family, proto=proto, flags=_NUMERIC)
