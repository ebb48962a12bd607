"""A QoS 2 exchange cut between its packets by a SIGKILL, with every packet written by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.edge import TIMEOUT_S, Edge
from tests.support.mqtt_bytes import field, packet, publish, varint
from tests.support.plain_mqtt import Packet, PlainClient

CLIENT, TOPIC = "device", "plant/device/reading"
PUBREC, PUBCOMP = 5, 7
ID = 7
MQTT_3_1_1, MQTT_5 = 4, 5
SLOW = pytest.mark.slow


class Device:
    """One client id with a session that lasts; `connect` as often as wanted."""

    def __init__(self, edge: Edge, level: int) -> None:
        self._edge = edge
        self._level = level
        self._client: PlainClient | None = None

    async def connect(self) -> bool:
        """CONNECT without clean start, CONNACK; returns whether the session was present."""
        await self.abort()
        to = self._edge.devices
        client = self._client = PlainClient(*await asyncio.open_connection(to.host, to.port))
        expiry = b"\x11\0\0\x0e\x10"
        properties = varint(len(expiry)) + expiry if self._level == 5 else b""
        client.writer.write(packet(0x10, field("MQTT"), bytes((self._level, 0)), b"\0\x3c", properties, field(CLIENT)))
        connack = await client.read()
        assert (connack.kind, connack.body[1]) == (2, 0)
        return bool(connack.body[0])

    async def publish(self, payload: bytes, *, dup: bool = False) -> None:
        """PUBLISH with QoS 2, PUBREC."""
        self.write(publish(TOPIC, payload, level=self._level, qos=2, packet_id=ID, flags=8 * dup))
        await self.expect(PUBREC)

    async def release(self) -> None:
        """PUBREL, PUBCOMP."""
        self.write_pubrel()
        await self.expect(PUBCOMP)

    def write_pubrel(self) -> None:
        self.write(packet(0x62, ID.to_bytes(2, "big")))

    def write(self, data: bytes) -> None:
        assert self._client is not None
        self._client.writer.write(data)

    async def expect(self, kind: int) -> None:
        """The next packet is this one, and refuses nothing."""
        assert self._client is not None
        got: Packet = await self._client.read()
        assert (got.kind, got.packet_id) == (kind, ID)
        assert got.body[2:3] in {b"", b"\0"}

    async def hears_nothing_more(self) -> None:
        """The connection ends without another packet."""
        assert self._client is not None
        try:
            rest = await asyncio.wait_for(self._client.reader.read(), TIMEOUT_S)
        except ConnectionError:
            rest = b""
        assert rest == b""

    async def abort(self) -> None:
        if self._client is not None:
            await self._client.abort()


async def payloads(edge: Edge) -> list[bytes]:
    """What arrived, in order."""
    await edge.settled()
    return [row[-1] for row in edge.rows()]


@pytest.mark.parametrize("level", [pytest.param(MQTT_3_1_1, marks=SLOW), MQTT_5])
async def test_killed_between_pubrec_and_pubrel_the_message_is_there_once_and_its_id_is_new_after_pubcomp(
    tmp_path: Path, level: int
) -> None:
    async with Edge(tmp_path) as edge:
        device = Device(edge, level)
        assert not await device.connect()
        await device.publish(b"one")
        await edge.gateway.kill()
        await edge.gateway.start()
        assert await device.connect()
        await device.publish(b"one", dup=True)  # as if the PUBREC had been lost
        await device.release()
        await device.publish(b"two")
        await edge.gateway.kill()
        await edge.gateway.start()
        assert await device.connect()
        await device.release()  # the device had the PUBREC
        await device.publish(b"three")
        await device.release()
        assert await payloads(edge) == [b"one", b"two", b"three"]
        await device.abort()


@pytest.mark.parametrize("level", [MQTT_3_1_1, pytest.param(MQTT_5, marks=SLOW)])
@pytest.mark.parametrize("point", [pytest.param("gateway.before_commit", marks=SLOW), "gateway.after_commit"])
async def test_killed_between_pubrel_and_pubcomp_the_pubrel_is_taken_again_and_its_id_is_new_after_pubcomp(
    tmp_path: Path, level: int, point: str
) -> None:
    # With no cloud there are no commits but these three: of the session, of the PUBLISH, of the PUBREL.
    async with Edge(tmp_path, cloud_is_up=False, gateway_crash_at=f"{point}:3") as edge:
        device = Device(edge, level)
        assert not await device.connect()
        await device.publish(b"one")
        device.write_pubrel()
        await edge.gateway.died()
        await device.hears_nothing_more()
        await edge.gateway.start()
        assert await device.connect()
        await device.release()
        await device.publish(b"one")  # the same words, said again on purpose
        await device.release()
        await edge.start_cloud()
        assert await payloads(edge) == [b"one", b"one"]
        await device.abort()


@SLOW
@pytest.mark.parametrize("level", [MQTT_3_1_1, MQTT_5])
async def test_killed_before_its_commit_a_publish_has_no_pubrec_and_sent_again_is_there_once(
    tmp_path: Path, level: int
) -> None:
    async with Edge(tmp_path, cloud_is_up=False, gateway_crash_at="gateway.before_commit:2") as edge:
        device = Device(edge, level)
        assert not await device.connect()
        device.write(publish(TOPIC, b"one", level=level, qos=2, packet_id=ID))
        await edge.gateway.died()
        await device.hears_nothing_more()
        await edge.gateway.start()
        assert await device.connect()
        await device.publish(b"one", dup=True)
        await device.release()
        await edge.start_cloud()
        assert await payloads(edge) == [b"one"]
        await device.abort()
