"""A listener with its broker on a fake store, and clients made by hand."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from config.settings import Address, Listener, Stream, UnixPath
from gateway.access.ports import UNLIMITED, Credentials, Entry, Granted, Rights, Verdict
from gateway.broker.broker import Broker
from gateway.listener.listener import MqttListener
from gateway.listener.partials import Partials
from gateway.listener.places import Places
from tests.support.broker import FakeClock
from tests.support.store import FakeStore

WITHIN_S = 20.0
CONNECT_311 = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
CONNECT_5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"
ACCEPTED = b"\x20\x02\x00\x00"
PING, PONG = b"\xc0\x00", b"\xd0\x00"
PUBLISH = b"\x32\x06\x00\x01t\x00\x01x"
PUBACK = b"\x40\x02\x00\x01"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class OpenEntry:
    """Lets everybody in and keeps what it was shown (`gateway.access.ports.Entry`)."""

    name = "default"

    def __init__(self) -> None:
        self.asked: list[Credentials] = []

    def decide_now(self, credentials: Credentials) -> Verdict | None:
        self.asked.append(credentials)
        return Granted(access=self.name, username=credentials.certificate_username or credentials.username)

    async def decide(self, credentials: Credentials) -> Verdict:
        return Granted(access=self.name, username=credentials.username)

    def still_knows(self, username: str | None) -> bool:
        return True

    def has_removed(self, username: str | None) -> bool:
        return False

    def rights(self, *, client_id: str, username: str | None) -> Rights:
        return UNLIMITED


class Door:
    """A listener on any free port of loopback, unless `bind` is given."""

    def __init__(
        self,
        *,
        entry: Entry | None = None,
        partials: Partials | None = None,
        places: Places | None = None,
        **settings: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.store = FakeStore(auto=loop.call_soon)
        self.broker = Broker(store=self.store, clock=FakeClock(), streams=(Stream(),), new_client_id=lambda: "auto")
        self.entry = OpenEntry()
        settings.setdefault("bind", Address(host="127.0.0.1", port=0))
        self.listener = MqttListener(
            Listener(**settings), self.broker, entry=entry or self.entry, partials=partials, places=places
        )

    @property
    def port(self) -> int:
        assert isinstance(self.listener.address, Address)
        return self.listener.address.port

    @property
    def refused(self) -> dict[str, int]:
        """Connections that were not accepted, by reason."""
        return dict(self.broker.counters.refused_connects)

    async def knock(self, *, tls: ssl.SSLContext | None = None, host: str | None = None, **more: Any) -> Streams:
        """A connection that has said nothing yet; of MQTT, that is."""
        address = self.listener.address
        if isinstance(address, UnixPath):
            return await asyncio.open_unix_connection(address.path)
        return await asyncio.open_connection(host or address.host, address.port, ssl=tls, **more)

    async def connected(self, connect: bytes = CONNECT_311, **more: Any) -> Streams:
        """A connection whose CONNECT was accepted."""
        reader, writer = await self.knock(**more)
        writer.write(connect)
        head = await exactly(reader, 2)
        assert head[0] == 0x20
        assert (await exactly(reader, head[1]))[1] == 0
        return reader, writer


@contextlib.asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Door]:
    """A started listener."""
    door = Door(**settings)
    await door.listener.start()
    try:
        yield door
    finally:
        await door.listener.close()


async def exactly(reader: asyncio.StreamReader, n: int) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        return await reader.readexactly(n)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All until the other side closes; a reset is an end, too."""
    data = b""
    async with asyncio.timeout(WITHIN_S):
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                data += chunk
    return data


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - counters have no event, and need none outside of tests
            await asyncio.sleep(0.001)
