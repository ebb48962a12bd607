"""A broker that means harm: it takes an uplink's connections and answers with whatever a script says, byte for byte.

    async with HostileBroker(port) as broker:
        broker.script = my_script            # async (Visit) -> None, called for each connection
        await broker.played(3)               # it was played to its end three times since

It remembers what it truly acknowledged: a frame counts when its PUBACK, with a code that says success, was sent while
the frame was in flight on that connection. Everything that is sent goes through one place that watches for PUBACKs, so
that garbage which happens to be one counts as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from bridge.compression import Codec
from bridge.frame import decode_frame
from tests.support import wire
from tests.support.plain_mqtt import Packet, read_packet

TIMEOUT_S = 60.0
_CODEC = Codec()

Script = Callable[["Visit"], Awaitable[None]]
Span = tuple[str, int, int]
"""A stream, its first sequence number in a frame, and the one behind its last."""


class Visit:
    """One connection of the uplink."""

    def __init__(self, broker: HostileBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._broker = broker
        self._writer = writer
        self._sent = bytearray()
        self._stranger = False
        self.reader = reader
        self.level = 0
        self.frames: dict[int, Span] = {}
        """What is in flight, by packet identifier; in the order in which it came."""

    async def connect(self) -> None:
        """Read CONNECT."""
        packet = await self.read()
        assert packet.kind == 1, packet
        self.level = packet.body[6]

    async def read(self) -> Packet:
        """The next packet. Raises IncompleteReadError at the end."""
        packet = await read_packet(self.reader)
        if packet.kind == 3 and packet.flags & 6:
            topic_end = 2 + int.from_bytes(packet.body[:2], "big")
            payload = packet.body[topic_end + 2 :]
            if self.level == 5:  # an uplink writes no properties
                assert payload[:1] == b"\0"
                payload = payload[1:]
            header = decode_frame(payload, 1 << 26, _CODEC).header
            self.frames[packet.packet_id] = (header.stream, header.first_seq, header.first_seq + header.count)
        return packet

    async def frame(self) -> int:
        """Wait for a frame; returns its packet identifier."""
        while True:
            packet = await self.read()
            if packet.kind == 3:
                return packet.packet_id

    def send(self, data: bytes) -> None:
        """Send bytes."""
        if not self._stranger:
            self._sent += data
            self._look()
            if len(self._sent) > 1 << 22:  # a packet so long that nothing behind it will be read
                self._stranger = True
                self._sent.clear()
        if not self._writer.is_closing():
            self._writer.write(data)

    async def flush(self) -> None:
        """Wait until the gateway has taken what was sent, or is gone."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    @property
    def is_over(self) -> bool:
        """Whether the gateway has hung up."""
        return self._writer.is_closing() or self.reader.at_eof()

    def connack(self, code: int = 0, items: wire.Properties = (), *, flags: int = 0) -> None:
        """CONNACK in the version of CONNECT."""
        self.send(wire.packet(0x20, bytes((flags, code)), wire.properties(self.level, items)))

    def puback(self, packet_id: int, code: int | None = None) -> None:
        """PUBACK; without a code as 3.1.1 writes it."""
        self.send(wire.packet(0x40, struct.pack("!H", packet_id), b"" if code is None else bytes((code,))))

    async def gone(self) -> None:
        """Read until the gateway has closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def cut(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    def _look(self) -> None:
        """Note the PUBACKs in what was sent; once it is no packet any more, nothing behind it counts."""
        data = self._sent
        while len(data) >= 2:
            length = at = 0
            for at in range(1, 6):
                if at == 5 or at >= len(data):
                    self._stranger = at == 5
                    return
                length |= (data[at] & 0x7F) << 7 * (at - 1)
                if data[at] < 0x80:
                    break
            if len(data) < at + 1 + length:
                return
            body = bytes(data[at + 1 : at + 1 + length])
            if data[0] >> 4 == 4 and len(body) >= 2:
                code = body[2] if len(body) > 2 else 0
                span = self.frames.pop(int.from_bytes(body[:2], "big"), None)
                if span is not None and code < 0x80 and code != 0x10:
                    self._broker.acknowledged.append(span)
            del data[: at + 1 + length]


class HostileBroker:
    """Listens on a port that a real broker can have after it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.acknowledged: list[Span] = []
        """What it truly acknowledged, over all connections."""
        self.visits = 0
        self.errors: list[BaseException] = []
        """Faults of the scripts themselves."""
        self._script: Script = _silent
        self._ended = 0
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def script(self) -> Script:
        """What is played to each connection; a new one ends those that are open."""
        return self._script

    @script.setter
    def script(self, script: Script) -> None:
        self._script = script
        self._ended = 0
        for task in self._tasks:
            task.cancel()

    def taken(self, stream: str = "telemetry") -> set[int]:
        """The sequence numbers that it has acknowledged."""
        return {seq for name, first, stop in self.acknowledged if name == stream for seq in range(first, stop)}

    def watermark(self, stream: str = "telemetry") -> int:
        """The first sequence number that it has not acknowledged."""
        taken, at = self.taken(stream), 1
        while at in taken:
            at += 1
        return at

    async def played(self, times: int, timeout_s: float = TIMEOUT_S) -> None:
        """Return when the script has come to its end so many times."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self._ended >= times or self.errors)
        if self.errors:
            raise AssertionError("the script itself failed") from self.errors[0]

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 22)

    async def stop(self) -> None:
        """End every connection and free the port."""
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._script
        self.visits += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(Visit(self, reader, writer))
            if script is self._script:
                async with self._changed:
                    self._ended += 1
                    self._changed.notify_all()
        except asyncio.CancelledError:
            pass  # the next script begins; the connection of this one ends, and nothing waits for this task
        except Exception as error:  # noqa: BLE001 - told by `played`
            self.errors.append(error)
            async with self._changed:
                self._changed.notify_all()
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


async def _silent(visit: Visit) -> None:
    await visit.gone()
