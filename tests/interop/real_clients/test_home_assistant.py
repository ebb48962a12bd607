"""A home automation that uses its broker as Home Assistant does: discovery, states, availability, starts."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import FrontDoor
from tests.support.real_clients.peer import TIMEOUT_S, Peer, Will

pytestmark = pytest.mark.slow

DEVICES, ENTITIES = 80, 30
ONLINE = Will(topic="homeassistant/status", payload="offline", qos=1, retain=True)


def discovery(device: int, entity: int) -> tuple[str, str]:
    """Topic and payload that announce one entity."""
    node = f"device{device:03}"
    payload = {
        "name": f"Entity {entity}",
        "unique_id": f"{node}_{entity}",
        "state_topic": f"plant/{node}/{entity}",
        "availability_topic": f"plant/{node}/status",
        "device": {"identifiers": [node], "manufacturer": "Fieldgate", "model": "x" * 200},
    }
    return f"homeassistant/sensor/{node}/e{entity}/config", json.dumps(payload)


async def collect(peer: Peer, wanted: int, topics: set[str]) -> None:
    """Add the retained topics that come until there are so many."""
    async with asyncio.timeout(TIMEOUT_S):
        while len(topics) < wanted:
            heard = await peer.heard.get()
            if heard.topic.endswith("/config"):
                assert heard.retain
                assert json.loads(heard.payload)["unique_id"]
                topics.add(heard.topic)


async def test_thousands_of_discovery_messages_are_there_at_every_start_and_after_a_kill(
    own_site: FrontDoor, clients: Clients
) -> None:
    door = own_site.doors["open"]
    devices = await clients("paho-4", door, "devices")
    await devices.connect()
    announced = dict(discovery(device, entity) for device in range(DEVICES) for entity in range(ENTITIES))
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*(devices.publish(topic, text, 1, retain=True) for topic, text in announced.items()))
    await devices.publish("plant/device000/status", "online", 1, retain=True)

    async def home_starts() -> Peer:
        home = await clients("paho-5", door, "home", will=ONLINE)
        await home.connect()
        # Each integration subscribes for itself, with filters that overlap.
        for topic_filter in ("homeassistant/+/+/config", "homeassistant/+/+/+/config", "homeassistant/#"):
            assert await home.subscribe(topic_filter, 0) == 0
        topics: set[str] = set()
        await collect(home, len(announced), topics)
        assert topics == announced.keys()
        await home.publish("homeassistant/status", "online", 1, retain=True)
        return home

    home = await home_starts()
    watcher = await clients("aiomqtt-5", door, "watcher")
    await watcher.connect()
    await watcher.subscribe("homeassistant/status", 1)
    assert (await watcher.hear()).text == "online"
    await home.cut()
    assert (await watcher.hear()).text == "offline"  # what devices wait for before they announce themselves again
    home = await home_starts()
    assert (await watcher.hear()).text == "online"
    removed = [discovery(device, entity)[0] for device in range(10) for entity in range(ENTITIES)]
    for topic in removed:
        del announced[topic]
    # Entities that are removed are cleared with an empty payload.
    await asyncio.gather(*(devices.publish(topic, "", 1, retain=True) for topic in removed))
    own_site.gateway.kill()
    await devices.until_gone()
    await own_site.gateway.start()
    again = await clients("npm-5", door, "home-2")
    await again.connect()
    await again.subscribe("homeassistant/+/+/+/config")
    topics: set[str] = set()
    await collect(again, len(announced), topics)
    assert topics == announced.keys()


async def test_states_of_many_entities_reach_it_in_order_and_commands_go_back(
    site: FrontDoor, clients: Clients
) -> None:
    door = site.doors["open"]
    home = await clients("aiomqtt-5", door, "ha-home")
    await home.connect()
    for entity in range(200):  # one subscription for each entity, as it does
        await home.subscribe(f"zigbee/lamp{entity}/state", 0)
    lamps = await clients("npm-4", door, "ha-lamps", clean=False)
    await lamps.connect()
    await lamps.subscribe("zigbee/+/set", 1)
    for entity in range(200):
        await home.publish(f"zigbee/lamp{entity}/set", "ON", 1)
    asked = await lamps.hear_all(200)
    assert [heard.topic for heard in asked] == [f"zigbee/lamp{entity}/set" for entity in range(200)]
    await asyncio.gather(*(lamps.publish(heard.topic.replace("/set", "/state"), heard.text, 1) for heard in asked))
    states = await home.hear_all(200)
    assert {heard.topic for heard in states} == {f"zigbee/lamp{entity}/state" for entity in range(200)}
