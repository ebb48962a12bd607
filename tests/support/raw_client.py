"""A connection of raw bytes for tests of misbehaviour: says anything in any version, and reads packets as they come.

async with RawClient(port, version=V5) as client:
    code = await client.connect("id", will=("state", b"gone"))
    client.send(wire.publish(...)); packet = await client.read()
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from types import TracebackType
from typing import Any, Self

from tests.support import wire
from tests.support.plain_mqtt import Packet, read_packet
from tests.support.wire import V5, V311

TIMEOUT_S = 30.0


class RawClient:
    """One connection; `version` is what its packets are written in."""

    def __init__(self, port: int, *, version: int = V311, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None):
        self.version = version
        self._address = (host, port)
        self._tls = tls
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> Self:
        """Connect the socket."""
        name = "localhost" if self._tls is not None else None
        self._reader, self._writer = await asyncio.open_connection(
            *self._address, ssl=self._tls, server_hostname=name, limit=1 << 22
        )
        return self

    async def connect(self, client_id: str, **more: Any) -> int:
        """CONNECT; returns the code of the CONNACK, or -1 when the connection ended in its place."""
        self.send(wire.connect(client_id, version=self.version, **more))
        try:
            packet = await self.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return -1
        assert packet.kind == 2, packet
        self.session_present = bool(packet.body[0])
        return packet.body[1]

    def send(self, data: bytes) -> None:
        """Send bytes; a connection that is gone takes none."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def flush(self) -> None:
        """Wait until the other side has taken most of it, or is gone."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def read(self, timeout_s: float = TIMEOUT_S) -> Packet:
        """The next packet."""
        return await asyncio.wait_for(read_packet(self._reader), timeout_s)

    async def until(self, kind: int, timeout_s: float = TIMEOUT_S) -> Packet:
        """The next packet of a type; those before it are thrown away."""
        async with asyncio.timeout(timeout_s):
            while (packet := await read_packet(self._reader)).kind != kind:
                pass
            return packet

    async def subscribe(self, *filters: tuple[str, int], packet_id: int = 1) -> list[int]:
        """SUBSCRIBE; returns the codes."""
        self.send(wire.subscribe(*filters, version=self.version, packet_id=packet_id))
        suback = await self.until(9)
        return list(suback.body[3 if self.version == V5 else 2 :])

    async def publish(self, topic: str, payload: bytes = b"x", *, packet_id: int = 1, **more: Any) -> int:
        """PUBLISH with QoS 1; returns the code of its PUBACK."""
        self.send(wire.publish(topic, payload, version=self.version, qos=1, packet_id=packet_id, **more))
        puback = await self.until(4)
        return puback.body[2] if len(puback.body) > 2 else 0

    def payload(self, packet: Packet) -> bytes:
        """The payload of a PUBLISH without properties."""
        data = packet.payload
        return data[1 + data[0] :] if self.version == V5 else data

    async def closed(self, timeout_s: float = TIMEOUT_S) -> list[Packet]:
        """Wait until the other side has closed; returns the packets that came before."""
        packets = []
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(timeout_s):
                while True:
                    packets.append(await read_packet(self._reader))
        return packets

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
