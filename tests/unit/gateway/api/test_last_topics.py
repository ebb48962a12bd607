"""Of a device's last topic the beginning is kept; where more of it may be missing, the answer says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.web.routes import Call
from bridge.web.shape import read_query
from tests.support.in_process import running, settings_with
from tests.support.plain_mqtt import PlainClient

TIMEOUT_S = 20.0


@pytest.mark.parametrize(
    ("topic", "told", "is_cut"),
    [
        ("plant/a", "plant/a", False),
        ("x" * 511, "x" * 511, False),
        ("x" * 513, "x" * 512, True),
        ("ö" * 300, "ö" * 256, True),
        ("x" + "ö" * 300, "x" + "ö" * 255, True),
        ("🙂" + "x" + "🙂" * 200, "🙂" + "x" + "🙂" * 126, True),
    ],
)
async def test_a_last_topic_says_whether_it_was_cut(tmp_path: Path, topic: str, told: str, is_cut: bool) -> None:
    async with asyncio.timeout(TIMEOUT_S), running(settings_with(tmp_path)) as (gateway, port):
        client = await PlainClient.connect("127.0.0.1", port, "loud")
        client.publish(topic, b"1", packet_id=1)
        await client.read()
        (route,) = [route for route in gateway.api.web.routes if route.path == "/api/v1/devices"]
        assert route.operation is not None
        query = read_query(route.operation.query, [])
        (device,) = (await route.handler(Call(method="GET", url_path=route.path, query=query)))["devices"]
        await client.abort()
        assert (device["last_topic"], device["is_last_topic_cut"]) == (told, is_cut)
