"""A device whose QoS 2 exchange is cut in the middle."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulators.device_client import DeviceClient
from simulators.device_seam import DeviceOptions
from simulators.profiles import Message
from simulators.units import Endpoint
from tests.support.plain_mqtt import Packet, packet, read_packet

TIMEOUT_S = 30.0
PUBLISH, PUBREL = 3, 6


class Events:
    """`DeviceEvents` that only tells when the device can speak."""

    def __init__(self) -> None:
        self.online = asyncio.Event()
        self.acknowledged = asyncio.Event()

    def on_online(self, session_present: bool) -> None:
        self.online.set()

    def on_lost(self) -> None:
        self.online.clear()

    def on_resend(self, name: str) -> None:
        raise AssertionError("nothing is repeated behind a PUBREC")

    def on_received(self, name: str) -> None:
        pass

    def on_acknowledged(self, name: str) -> None:
        self.acknowledged.set()

    def on_refused(self, name: str, reason: int) -> None:
        raise AssertionError(reason)


@pytest.mark.parametrize("protocol", [4, 5])
async def test_a_publish_that_had_its_pubrec_is_not_sent_again_however_often_connecting_fails(protocol: int) -> None:
    said: list[Packet] = []
    lives: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes the session; cuts it at the PUBREL; hangs up on three CONNECTs; then answers all."""
        connect = await read_packet(reader)
        is_clean = bool(connect.body[7] & 2) and protocol == 4
        life = "clean" if is_clean else "cut" if "cut" not in lives else "deaf" if lives.count("deaf") < 3 else "last"
        lives.append(life)
        if life != "deaf":
            writer.write(packet(0x20, b"\0\0" if protocol == 4 else b"\0\0\0"))
            while life != "deaf":
                try:
                    each = await read_packet(reader)
                except asyncio.IncompleteReadError:
                    break
                if each.kind in {PUBLISH, PUBREL}:
                    said.append(each)
                if each.kind == PUBLISH:
                    writer.write(packet(0x50, each.packet_id.to_bytes(2, "big")))
                elif each.kind == PUBREL and life == "last":
                    writer.write(packet(0x70, each.body[:2]))
                elif each.kind == PUBREL:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    options = DeviceOptions(
        to=Endpoint(host="127.0.0.1", port=port), protocol=protocol, backoff_first_s=0.01, backoff_max_s=0.02
    )
    events = Events()
    with ThreadPoolExecutor(1) as pool:
        device = DeviceClient("device", options, events, pool)
        device.start()
        await asyncio.wait_for(events.online.wait(), TIMEOUT_S)
        device.publish(Message(topic="t", payload=b"once"), qos=2, name="once")
        await asyncio.wait_for(events.acknowledged.wait(), TIMEOUT_S)
        await device.close()
    server.close()
    await server.wait_closed()
    assert lives.count("deaf") == 3
    assert [each.kind for each in said] == [PUBLISH, PUBREL, PUBREL]
