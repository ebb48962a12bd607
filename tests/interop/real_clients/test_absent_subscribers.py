"""Persistent sessions of real clients over a SIGKILL of the gateway."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import FrontDoor
from tests.support.real_clients.kinds import ALL
from tests.support.real_clients.peer import TIMEOUT_S, Heard, Peer

pytestmark = pytest.mark.slow

KEPT = {"clean": False, "expiry_s": 3600}
AT_ONCE = 8


async def says_until_it_dies(peer: Peer, topic: str, qos: int, *, enough: asyncio.Event, after: int) -> list[str]:
    """Publish, a few at a time, until the connection ends; what was acknowledged. `enough` is set after so many."""
    acknowledged: list[str] = []
    numbers = count()

    async def talk() -> None:
        try:
            while True:
                text = f"{peer.client_id}-{next(numbers)}"
                if await peer.publish(topic, text, qos) in {None, 0}:
                    acknowledged.append(text)
                if len(acknowledged) >= after:
                    enough.set()
        except ConnectionError:
            return

    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*(talk() for _ in range(AT_ONCE)))
    return acknowledged


async def hears(peer: Peer, wanted: set[str]) -> list[Heard]:
    """All that came until everything wanted had come."""
    found: list[Heard] = []
    while wanted:
        found.append(await peer.hear())
        wanted = wanted - {found[-1].text}
    return found


@pytest.mark.parametrize("qos", [1, 2])
async def test_an_absent_subscriber_gets_all_that_was_acknowledged_before_the_gateway_was_killed(
    own_site: FrontDoor, clients: Clients, qos: int
) -> None:
    door = own_site.doors["open"]
    for kind in ALL:
        peer = await clients(kind, door, f"absent-{kind}", **KEPT)
        await peer.connect()
        assert await peer.subscribe("kept/#", qos) == qos
        await peer.disconnect()
    publishers = [await clients(kind, door, f"speaker-{kind}") for kind in ALL]
    events = [asyncio.Event() for _ in publishers]
    for peer in publishers:
        await peer.connect()
    talks = [
        asyncio.create_task(says_until_it_dies(peer, f"kept/{peer.client_id}", qos, enough=enough, after=25))
        for peer, enough in zip(publishers, events, strict=True)
    ]
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*(enough.wait() for enough in events))
    own_site.gateway.kill()
    acknowledged = {text for texts in await asyncio.gather(*talks) for text in texts}
    assert len(acknowledged) >= 25 * len(ALL)
    await own_site.gateway.start()
    for kind in ALL:
        peer = await clients(kind, door, f"absent-{kind}", **KEPT)
        welcome = await peer.connect()
        assert welcome.session_present or kind.startswith("aiomqtt")  # which does not tell
        found = await hears(peer, acknowledged)
        assert {heard.qos for heard in found} == {qos}
        assert max(Counter(heard.text for heard in found).values()) == 1, kind
        for speaker in {heard.topic for heard in found}:
            heard_of = [int(heard.text.rpartition("-")[2]) for heard in found if heard.topic == speaker]
            assert heard_of == sorted(heard_of)
        await peer.disconnect()


@pytest.mark.parametrize("kind", ["paho-5", "paho-4", "npm-5", "npm-4"])
async def test_a_subscriber_that_comes_back_after_a_kill_has_each_qos_2_message_once(
    own_site: FrontDoor, clients: Clients, kind: str
) -> None:
    """The same client object connects again, with what it still knows of handshakes that were cut."""
    door = own_site.doors["open"]
    total, rounds = 200, 2
    peer = await clients(kind, door, "returns", reconnect=True, **KEPT)
    await peer.connect()
    assert await peer.subscribe("once/#", 2) == 2
    if kind.startswith("paho"):
        await peer.disconnect()
    speaker = await clients("paho-5", door, "speaker")
    await speaker.connect()
    wanted = {str(n) for n in range(total)}
    found: list[str] = []
    sends = asyncio.gather(*(speaker.publish("once/x", text, 2) for text in sorted(wanted, key=int)))
    if kind.startswith("paho"):
        await sends
        await peer.connect()
    for part in range(1, rounds + 1):
        while len(found) < total * part // (rounds + 1):
            found.append((await peer.hear()).text)
        await sends
        own_site.gateway.kill()
        await peer.until_gone()
        await own_site.gateway.start()
        if kind.startswith("paho"):
            await peer.connect()
    async with asyncio.timeout(TIMEOUT_S):
        while set(found) != wanted:
            found.append((await peer.hear()).text)
    assert max(Counter(found).values()) == 1
    assert found == sorted(found, key=int)
