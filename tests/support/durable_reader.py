"""A subscriber whose session outlives everything, with the client's side of QoS 1 and 2 by hand.

It remembers what it received over connections, as a device with a disk does: payloads in their order, and the QoS 2
packet ids that it has answered with PUBREC and not seen released.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable

from simulators.ledger import payload_id
from simulators.units import Endpoint
from tests.support.plain_mqtt import PlainClient

TIMEOUT_S = 60.0
RETRY_S = 0.02


class DurableReader:
    """Subscribed to everything with QoS 2. `come` connects again and again until `leave`."""

    def __init__(self, to: Endpoint, client_id: str) -> None:
        self._to = to
        self._client_id = client_id
        self._task: asyncio.Task[None] | None = None
        self._client: PlainClient | None = None
        self._is_here = False
        self._awaiting_release: set[int] = set()
        self._changed = asyncio.Event()
        self._is_subscribed = False
        self._names: set[str] = set()
        self.sessions_lost = 0
        self.received: list[tuple[str, int, bytes]] = []
        """Topic, QoS and payload; of QoS 1 also what came again."""

    async def come(self) -> None:
        """Connect, and stay connected; returns when the subscription is there."""
        self._is_here = True
        self._task = asyncio.create_task(self._stay())
        await self._wait(lambda: self._is_subscribed)

    async def leave(self) -> None:
        """Break the connection."""
        self._is_here = False
        if self._client is not None:
            self._client.writer.transport.abort()
        if self._task is not None:
            await self._task
            self._task = None

    async def has(self, names: set[str]) -> None:
        """Wait until all of these have come; a name is that of the devices' ledger (`payload_id`)."""
        await self._wait(lambda: names <= self._names)

    async def _wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                assert self._task is not None
                if self._task.done():
                    self._task.result()
                self._changed.clear()
                await self._changed.wait()

    async def _stay(self) -> None:
        while self._is_here:
            try:
                client = await PlainClient.connect(self._to.host, self._to.port, self._client_id, clean=False)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(RETRY_S)  # the gateway is dead: nothing of ours tells when it lives again
                continue
            self._client = client
            try:
                if not client.session_present:
                    self.sessions_lost += self._is_subscribed
                    assert await client.subscribe("#", qos=2) == 2
                self._is_subscribed = True
                self._changed.set()
                while self._is_here:
                    await self._read(client)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                pass
            finally:
                self._client = None
                await client.abort()

    async def _read(self, client: PlainClient) -> None:
        packet = await client.read()
        number = struct.pack(">H", packet.packet_id)
        if packet.kind == 3:
            qos = packet.flags >> 1 & 3
            topic = packet.body[2 : 2 + int.from_bytes(packet.body[:2])].decode()
            if qos == 1 or packet.packet_id not in self._awaiting_release:
                self.received.append((topic, qos, packet.payload))
                self._names.add(payload_id(json.loads(packet.payload)["device"], topic, packet.payload))
                self._changed.set()
            if qos == 2:
                self._awaiting_release.add(packet.packet_id)
            client.write(0x40 if qos == 1 else 0x50, number)
        elif packet.kind == 6:
            self._awaiting_release.discard(packet.packet_id)
            client.write(0x70, number)
