"""Where people come in: the address, its certificate, the connections, and who may come; and how all of it changes.

A change is prepared first, which is all of it that can fail, and then adopted in one step between two requests.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from bridge.web.certificates import make_context
from bridge.web.doors import Door
from bridge.web.errors import CannotServe
from bridge.web.gate import Gate, Lists
from bridge.web.serving import BoundedServer, Handler
from config.settings import Address, Api

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All of a change that can fail: files that were read, and an address that was taken where it is a new one."""

    api: Api
    lists: Lists
    context: ssl.SSLContext | None
    door: Door | None

    def discard(self) -> None:
        """Leave everything as it was."""
        if self.door is not None:
            self.door.close()


class Entrance:
    """That of one server. `open` once; `leave` and `close` any number of times."""

    def __init__(self, api: Api, *, gate: Gate, on_ready: Callable[[Address], None] | None = None) -> None:
        self.api = api
        """What holds."""
        self.connections: BoundedServer | None = None
        """Those that are there; None before `open` and after `close`."""
        self._gate = gate
        self._on_ready = on_ready
        self._door: Door | None = None

    @property
    def address(self) -> Address:
        """Where it really listens (port 0 became a free one). Only between `open` and `leave`."""
        if self._door is None:
            raise RuntimeError("The HTTP interface has not been started.")
        return self._door.address

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"{'http' if self.api.tls.cert_file is None else 'https'}://{self.address}"

    async def open(self, handler: Handler) -> None:
        """Listen. Raises CannotServe with the half of a sentence for the address, and CannotUseCertificate."""
        context = make_context(self.api.tls)
        self._door = await _taken(self.api.bind)
        self.connections = BoundedServer(handler, context=context, proxies=self.api.trusted_proxies)
        self._door.open(self.connections.take)
        log.info("HTTP interface at %s", self.url)
        if self._on_ready is not None:
            self._on_ready(self.address)

    async def prepare(self, api: Api) -> Prepared:
        """Do all of a change to these settings that can fail; nothing has changed then.

        Raises ConfigError with all that is wrong in the files, CannotUseCertificate, and CannotServe for the address.
        """
        lists = await self._gate.read(api)
        context = await asyncio.to_thread(make_context, api.tls)
        door = await _taken(api.bind) if api.bind != self.api.bind else None
        return Prepared(api=api, lists=lists, context=context, door=door)

    def adopt(self, prepared: Prepared) -> None:
        """Have it hold: for the next request of everybody, and for connections to come.

        With another address, or from or to TLS, those that are there end once they have the answer that they wait for.
        """
        connections, door = self.connections, prepared.door
        if connections is None or self._door is None:
            raise RuntimeError("The HTTP interface has not been started, or is closed.")
        is_other = door is not None or (prepared.context is None) != (connections.context is None)
        self.api = prepared.api
        self._gate.adopt(prepared.lists)
        connections.context, connections.proxies = prepared.context, prepared.api.trusted_proxies
        if door is not None:
            self._door.close()
            self._door = door
        if is_other:
            connections.retire()
        if door is not None:
            door.open(connections.take)
        if is_other:
            log.info("HTTP interface at %s now", self.url)

    def leave(self) -> None:
        """Stop listening; idempotent."""
        door, self._door = self._door, None
        if door is not None:
            door.close()

    async def close(self) -> None:
        """Stop listening, and end the connections; idempotent."""
        self.leave()
        connections, self.connections = self.connections, None
        if connections is not None:
            await connections.close()


async def _taken(bind: Address) -> Door:
    try:
        return await Door.take(bind)
    except (OSError, OverflowError) as error:
        raise CannotServe(getattr(error, "strerror", None) or str(error), error=error) from error
