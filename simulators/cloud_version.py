"""The first look at a connection: which version of MQTT does its CONNECT speak?

amqtt 0.12 parses every CONNECT as one of 3.1.1. In one of version 5 it takes the properties for the client id, waits
for a payload that never comes, and answers nothing; only its own time-out tells the client that something is wrong.
"""

from __future__ import annotations

import asyncio

from amqtt.adapters import StreamReaderAdapter

from simulators.cloud_session import Writer

LEVEL = 4
"""The protocol level of MQTT 3.1.1."""
REFUSAL = bytes.fromhex("20020001")
"""CONNACK, return code 1: unacceptable protocol version [MQTT-3.1.2-2]; clients of version 5 know it as 0x84."""
_MAX_FIXED_HEADER = 5


class Reader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt is not typed
    """Reads for amqtt; as soon as another protocol level went by, refuses the connection and reads no further."""

    def __init__(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        super().__init__(reader)
        self.has_refused = False
        self._writer = writer
        self._head: bytearray | None = bytearray()

    async def read(self, n: int = -1) -> bytes:
        """As `asyncio.StreamReader` does. Raises ConnectionResetError after a refusal."""
        data: bytes = await super().read(n)
        if self._head is not None:
            self._head += data
            level = protocol_level(self._head)
            if level is not None:
                self._head = None
                if level != LEVEL:
                    self.has_refused = True
                    self._writer.write(REFUSAL)
                    await self._writer.close()
                    raise ConnectionResetError(f"the client speaks MQTT level {level}")
        return data


def protocol_level(head: bytes | bytearray) -> int | None:
    """The protocol level of a CONNECT that begins like this (§3.1.2.2); None as long as it has not come."""
    at = 1
    while at < len(head) and at < _MAX_FIXED_HEADER and head[at] & 0x80:
        at += 1
    at += 1
    if len(head) < at + 2:
        return None
    at += 2 + int.from_bytes(head[at : at + 2], "big")
    return head[at] if at < len(head) else None
