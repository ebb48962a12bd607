"""The link against a server that says exactly these bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.errors import LinkLost, LinkRefused, LinkUnreachable
from bridge.link import LinkSettings, MqttLink
from bridge.ports import Delivery, Publish
from config.settings import BrokerUrl, Protocol

TIMEOUT_S = 30.0
CONNACK = bytes.fromhex("200300 00 00")
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Owner:
    """Keeps what the link tells it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        self.events.put_nowait(("acknowledged", packet_id, reason_code))

    def on_delivery(self, delivery: Delivery) -> None:
        self.events.put_nowait(("delivery", delivery))

    def on_lost(self, error: Exception) -> None:
        self.events.put_nowait(("lost", error))

    async def next(self) -> tuple[Any, ...]:
        async with asyncio.timeout(TIMEOUT_S):
            return await self.events.get()


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[int]:
    """Plays the script to each connection, then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await packet(reader)
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await running.wait_closed()


async def packet(reader: asyncio.StreamReader) -> bytes:
    """One whole packet of at most 127 bytes."""
    first = await reader.readexactly(2)
    return first + await reader.readexactly(first[1])


def link_to(port: int, owner: Owner, **more: Any) -> MqttLink:
    return MqttLink(LinkSettings(url=BrokerUrl(host="127.0.0.1", port=port), client_id="edge", **more), owner)


@pytest.mark.parametrize("code", [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x95, 0x96, 0x97, 0x99])
async def test_every_reason_code_of_a_puback_is_handed_on(code: int) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK)
        published = await packet(reader)
        writer.write(b"\x40\x03" + published[5:7] + bytes([code]))
        await reader.read()

    async with server(script) as port:
        owner = Owner()
        link = link_to(port, owner)
        await link.connect()
        packet_id = link.publish(Publish(topic="a", payload=b"x"))
        assert await owner.next() == ("acknowledged", packet_id, code)
        await link.close()


async def test_acknowledgements_come_before_the_loss_that_follows_them() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK)
        ids = [(await packet(reader))[5:7] for _ in range(3)]
        writer.write(b"".join(b"\x40\x02" + packet_id for packet_id in reversed(ids)) + b"\xe0\x01\x8b")

    async with server(script) as port:
        owner = Owner()
        link = link_to(port, owner)
        await link.connect()
        ids = [link.publish(Publish(topic="a", payload=b"x")) for _ in range(3)]
        assert [await owner.next() for _ in ids] == [("acknowledged", packet_id, 0) for packet_id in reversed(ids)]
        kind, error = await owner.next()
        assert kind == "lost"
        assert isinstance(error, LinkLost)
        assert error.reason_code == 0x8B
        assert "server shutting down" in str(error)
        await link.close()


@pytest.mark.parametrize(
    ("protocol", "connack", "code"),
    [
        (Protocol.V5, "2003008a00", 0x8A),
        (Protocol.V5, "2003008900", 0x89),
        (Protocol.V311, "20020003", 0x88),
        (Protocol.V311, "20020004", 0x86),
        (Protocol.V311, "20020005", 0x87),
    ],
)
async def test_a_refusal_in_the_connack_carries_its_code(protocol: Protocol, connack: str, code: int) -> None:
    async def script(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes.fromhex(connack))

    async with server(script) as port:
        owner = Owner()
        with pytest.raises(LinkRefused) as caught:
            await link_to(port, owner, protocol=protocol).connect()
        assert caught.value.reason_code == code
        await asyncio.sleep(0)
        assert owner.events.empty()


async def test_a_server_that_hangs_up_or_talks_nonsense_is_unreachable() -> None:
    for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00"):

        async def script(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = answer) -> None:
            writer.write(answer)

        async with server(script) as port:
            owner = Owner()
            with pytest.raises(LinkUnreachable, match="before it answered CONNECT"):
                await link_to(port, owner).connect()
            assert owner.events.empty()


@pytest.mark.parametrize(("granted", "error"), [(0x87, "not authorized"), (0x00, "granted only QoS 0")])
async def test_a_subscription_that_is_not_granted_in_full_is_refused(granted: int, error: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK)
        asked = await packet(reader)
        writer.write(b"\x90\x04" + asked[2:4] + bytes([0, granted]))
        await reader.read()

    async with server(script) as port:
        link = link_to(port, Owner())
        await link.connect()
        with pytest.raises(LinkRefused, match=error):
            await link.subscribe("a/#", qos=1)
        with pytest.raises(ValueError, match="QoS 1 at most"):
            await link.subscribe("a/#", qos=2)
        await link.close()


async def test_a_packet_id_that_still_waits_is_passed_over() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK)
        await reader.read()

    async with server(script) as port:
        link = link_to(port, Owner())
        await link.connect()
        message = Publish(topic="a", payload=b"")
        assert link.publish(message) == 1
        link._client._last_mid = 65535
        assert link.publish(message) == 2
        await link.close()


async def test_a_qos_0_message_is_never_acknowledged() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CONNACK)
        await packet(reader)

    async with server(script) as port:
        owner = Owner()
        link = link_to(port, owner)
        await link.connect()
        assert link.publish(Publish(topic="a", payload=b"x", qos=0)) == 0
        assert (await owner.next())[0] == "lost"
        await link.close()


@pytest.mark.parametrize("wrong", [{"receive_maximum": 0}, {"keep_alive_s": 65536}])
def test_settings_that_no_connect_can_carry_cannot_be_made(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="receive_maximum"):
        LinkSettings(url=BrokerUrl(), client_id="edge", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="client id"):
        LinkSettings(url=BrokerUrl(), client_id="")
