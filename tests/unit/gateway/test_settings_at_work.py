"""What the settings say reaches those whom it is for."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

from config.settings import Limits, Listener, Sessions, UnixPath
from tests.support.in_process import LOOPBACK, running, settings_with
from tests.support.plain_mqtt import PlainClient


async def test_topics_of_more_levels_than_the_settings_allow_close_the_connection(tmp_path: Path) -> None:
    settings = dataclasses.replace(settings_with(tmp_path), limits=Limits(max_topic_levels=2))
    async with running(settings) as (_, port):
        client = await PlainClient.connect("127.0.0.1", port, "dev1")
        client.publish("a/b", b"")
        assert (await client.read()).kind == 4
        client.publish("a/b/c", b"")
        await client.closed()


async def test_a_session_has_no_more_subscriptions_than_the_settings_allow(tmp_path: Path) -> None:
    settings = dataclasses.replace(settings_with(tmp_path), sessions=Sessions(max_subscriptions=1))
    async with running(settings) as (_, port):
        client = await PlainClient.connect("127.0.0.1", port, "dev1")
        assert await client.subscribe("a") == 1
        assert await client.subscribe("b") == 0x80
        await client.abort()


async def test_several_doors_lead_to_one_broker(tmp_path: Path) -> None:
    socket = tmp_path / "m.sock"
    doors = (Listener(bind=LOOPBACK), Listener(name="near", bind=UnixPath(path=socket)))
    async with running(settings_with(tmp_path, listeners=doors)) as (gateway, port):
        far = await PlainClient.connect("127.0.0.1", port, "far")
        assert await far.subscribe("a", 0) == 0
        near = PlainClient(*await asyncio.open_unix_connection(socket))
        near.write(0x10, b"\0\4MQTT\4\2\0\0\0\4near")
        assert (await near.read()).body == b"\0\0"
        near.publish("a", b"hello", qos=0)
        assert (await far.read()).payload == b"hello"
        assert [item.connections for item in gateway.overview.status().listeners] == [1, 1]
        for client in (near, far):
            await client.abort()
