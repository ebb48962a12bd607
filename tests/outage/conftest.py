"""The roads that the tests here break, with each of the two brokers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.cloud import CloudBroker
from simulators.units import Endpoint
from tests.support.mosquitto import Mosquitto
from tests.support.ports import steady_port
from tests.support.road import Road, road_through


@pytest.fixture
async def mosquitto_road(tmp_path: Path) -> AsyncIterator[Road]:
    """With Debian's Mosquitto, MQTT 5; it keeps its state over a restart in good order."""
    async with (
        Mosquitto(tmp_path, persistence=True, lines=["max_queued_messages 0"]) as broker,
        road_through(broker, tmp_path) as road,
    ):
        yield road


@pytest.fixture
async def amqtt_road(tmp_path: Path) -> AsyncIterator[Road]:
    """With amqtt, MQTT 3.1.1; it keeps nothing."""
    broker = CloudBroker(Endpoint(host="127.0.0.1", port=steady_port()))
    await broker.start()
    try:
        async with road_through(broker, tmp_path) as road:
            yield road
    finally:
        await broker.stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
def road(request: pytest.FixtureRequest) -> Road:
    """Both, one after the other."""
    found: Road = request.getfixturevalue(f"{request.param}_road")
    return found
