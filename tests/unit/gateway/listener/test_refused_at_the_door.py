"""Whoever is turned away before the broker has heard of him is named to the operator all the same."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from config.settings import ProxyProtocol
from tests.support.doors import CONNECT_311, PING, Door, hang_up, opened, rest


def told(door: Door) -> list[tuple[str, str, int]]:
    return [(each.address.rpartition(":")[0], each.reason, each.count) for each in door.broker.devices.refused]


@pytest.mark.parametrize(
    ("settings", "said", "reason"),
    [
        ({}, PING, "protocol_error"),
        ({"connect_timeout_s": 0.05}, b"", "connect_timeout"),
        ({"proxy_protocol": ProxyProtocol.V2}, CONNECT_311, "proxy_header"),
        (
            {"proxy_protocol": ProxyProtocol.V2, "proxy_addresses": (ip_network("192.0.2.0/24"),)},
            b"",
            "proxy_address",
        ),
    ],
)
async def test_a_connection_that_did_not_begin_is_told_with_its_reason_and_equal_ones_are_one(
    settings: dict[str, Any], said: bytes, reason: str
) -> None:
    async with opened(**settings) as door:
        for _ in range(2):
            reader, writer = await door.knock()
            writer.write(said)
            await rest(reader)
            await hang_up(writer)
        assert told(door) == [("127.0.0.1", reason, 2)]
        assert door.refused == {reason: 2}


async def test_one_too_many_is_told() -> None:
    async with opened(max_connections=1) as door:
        _, first = await door.connected()
        reader, second = await door.knock()
        await rest(reader)
        assert told(door) == [("127.0.0.1", "max_connections", 1)]
        assert "1 connections" in door.broker.devices.refused[0].detail
        for writer in (first, second):
            await hang_up(writer)


async def test_a_device_is_shown_with_the_listener_it_came_through() -> None:
    async with opened(name="plant-floor") as door:
        _, writer = await door.connected()
        (device,) = door.broker.devices.page().devices
        assert device.listener == "plant-floor"
        assert device.address is not None
        assert device.address.startswith("127.0.0.1:")
        await hang_up(writer)
