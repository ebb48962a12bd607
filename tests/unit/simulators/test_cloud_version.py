"""The cloud's broker answers a CONNECT of another version at once."""

from __future__ import annotations

import asyncio

import pytest

from simulators.cloud import CloudBroker
from simulators.cloud_version import REFUSAL, protocol_level
from simulators.units import Endpoint

CONNECT_5 = bytes.fromhex("10 1b 0004 4d515454 05 02 001e 08 11 0000000a 21 00c8 0006") + b"edge-1"
CONNECT_4 = bytes.fromhex("10 12 0004 4d515454 04 02 001e 0006") + b"edge-1"
CONNECT_3 = bytes.fromhex("10 14 0006 4d5149736470 03 02 001e 0006") + b"edge-1"


@pytest.mark.parametrize(
    ("packet", "at", "level"),
    [
        (CONNECT_5, 9, 5),
        (CONNECT_4, 9, 4),
        (CONNECT_3, 11, 3),
        (b"\x10\x92\x80\x00" + CONNECT_5[2:], 11, 5),
        (b"\x10\x12\xff\xff", 5, None),
    ],
)
def test_the_level_is_known_as_soon_as_it_went_by(packet: bytes, at: int, level: int | None) -> None:
    for length in range(at):
        assert protocol_level(packet[:length]) is None
    assert protocol_level(packet[:at]) == level
    assert protocol_level(packet) == level


@pytest.mark.parametrize(("connect", "at"), [(CONNECT_5, 9), (CONNECT_3, 11)])
@pytest.mark.parametrize("together", [True, False])
async def test_another_version_is_refused_and_the_connection_closed(connect: bytes, at: int, *, together: bool) -> None:
    broker = CloudBroker(Endpoint(host="127.0.0.1", port=0))
    await broker.start()
    for _ in range(3):
        reader, writer = await asyncio.open_connection(broker.address.host, broker.address.port)
        for part in [connect] if together else [connect[n : n + 1] for n in range(at)]:
            writer.write(part)
            await asyncio.sleep(0)  # the next byte is a write of its own
        async with asyncio.timeout(10):
            assert await reader.read() == REFUSAL
        writer.close()
        await writer.wait_closed()
    await broker.stop()
