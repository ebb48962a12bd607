"""What MQTT 5 lets messages and subscriptions carry, from each client to each other."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import FrontDoor
from tests.support.real_clients.kinds import FIVES
from tests.support.real_clients.peer import Peer

pytestmark = pytest.mark.slow


async def connected(clients: Clients, site: FrontDoor, kind: str, name: str, **options: object) -> Peer:
    peer = await clients(kind, site.doors["open"], f"{name}-{kind}", **options)
    await peer.connect()
    return peer


@pytest.mark.parametrize("kind", FIVES)
async def test_a_question_gets_its_answer_from_every_other_client(site: FrontDoor, clients: Clients, kind: str) -> None:
    asker = await connected(clients, site, kind, "asker")
    await asker.subscribe(f"answers/{kind}", 1)
    for other in FIVES:
        server = await connected(clients, site, other, f"server-{kind}")
        await server.subscribe(f"questions/{kind}/{other}", 1)
        correlation = bytes(range(256))
        await asker.publish(
            f"questions/{kind}/{other}",
            "how warm?",
            1,
            properties={"response_topic": f"answers/{kind}", "correlation_data": correlation},
        )
        asked = await server.hear()
        assert asked.properties["response_topic"] == f"answers/{kind}"
        await server.publish(
            asked.properties["response_topic"],
            "21 °C",
            1,
            properties={"correlation_data": asked.properties["correlation_data"]},
        )
        answer = await asker.hear()
        assert (answer.text, answer.properties["correlation_data"]) == ("21 °C", correlation)
        await server.disconnect()


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("kind", FIVES)
async def test_what_a_message_carries_reaches_every_client(
    site: FrontDoor, clients: Clients, kind: str, qos: int
) -> None:
    given = {
        "user_property": [("unit", "°C"), ("unit", "K"), ("site", "Halle 7")],
        "content_type": "text/plain",
        "payload_format": 1,
        "expiry_s": 3600,
    }
    readers = [await connected(clients, site, other, f"reader-{kind}-{qos}") for other in FIVES]
    for reader in readers:
        await reader.subscribe(f"carried/{kind}/{qos}", qos)
    peer = await connected(clients, site, kind, f"carrier-{qos}")
    await peer.publish(f"carried/{kind}/{qos}", "21,5 °C", qos, properties=given)
    for reader in readers:
        heard = await reader.hear()
        assert (heard.text, heard.qos) == ("21,5 °C", qos)
        found = dict(heard.properties)
        assert 3500 <= found.pop("expiry_s") <= 3600
        assert [tuple(pair) for pair in found.pop("user_property")] == given["user_property"]
        assert found == {"content_type": "text/plain", "payload_format": 1}


@pytest.mark.parametrize("kind", FIVES)
async def test_the_time_that_a_message_waits_counts_and_what_is_too_old_never_comes(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    options = {"clean": False, "expiry_s": 600}
    reader = await connected(clients, site, kind, "sleeper", **options)
    await reader.subscribe(f"aging/{kind}/#", 1)
    await reader.disconnect()
    peer = await connected(clients, site, kind, "ager")
    before_s = time.monotonic()
    await peer.publish(f"aging/{kind}/short", "gone by then", 1, retain=True, properties={"expiry_s": 1})
    await peer.publish(f"aging/{kind}/long", "still here", 1, retain=True, properties={"expiry_s": 100})
    await asyncio.sleep(2.1)  # time is what is tested here
    reader = await clients(kind, site.doors["open"], f"sleeper-{kind}", **options)
    await reader.connect()
    heard = await reader.hear()
    waited_s = time.monotonic() - before_s
    assert heard.text == "still here"
    assert 100 - waited_s - 1 <= heard.properties["expiry_s"] <= 98
    late = await connected(clients, site, kind, "late")
    await late.subscribe(f"aging/{kind}/#", 1)
    kept = await late.hear()
    assert (kept.text, kept.retain) == ("still here", True)
    assert kept.properties["expiry_s"] <= 98


@pytest.mark.parametrize("kind", FIVES)
async def test_a_message_tells_which_subscriptions_it_came_for(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await connected(clients, site, kind, "identified")
    await peer.subscribe(f"ids/{kind}/+", 1, identifier=7)
    await peer.subscribe(f"ids/{kind}/b", 1, identifier=200_000)
    await peer.publish(f"ids/{kind}/a", "one", 1)
    assert list((await peer.hear()).properties["identifiers"]) == [7]
    await peer.publish(f"ids/{kind}/b", "two", 1)
    both = await peer.hear()
    found = set(both.properties["identifiers"])
    if found != {7, 200_000}:  # a copy for each subscription is right too [MQTT-3.3.4-4]
        found |= set((await peer.hear()).properties["identifiers"])
    assert found == {7, 200_000}


@pytest.mark.parametrize("kind", FIVES)
async def test_retain_handling_decides_what_comes_at_subscribing(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await connected(clients, site, kind, "handling")
    topic = f"handled/{kind}"
    await peer.publish(topic, "kept", 1, retain=True)

    async def comes(retain_handling: int) -> list[str]:
        await peer.subscribe(topic, 1, retain_handling=retain_handling)
        await peer.publish(topic, "mark", 1)
        texts = []
        while (heard := await peer.hear()).text != "mark":
            assert heard.retain
            texts.append(heard.text)
        assert not heard.retain
        return texts

    assert await comes(1) == ["kept"]  # new
    assert await comes(1) == []  # not new
    assert await comes(0) == ["kept"]  # at every one
    assert await comes(2) == []
    await peer.unsubscribe(topic)
    assert await comes(2) == []
    await peer.unsubscribe(topic)
    assert await comes(1) == ["kept"]


@pytest.mark.parametrize("kind", FIVES)
async def test_no_local_and_retain_as_published(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await connected(clients, site, kind, "own")
    other = await connected(clients, site, kind, "other")
    await peer.subscribe(f"own/{kind}", 1, no_local=True)
    await other.subscribe(f"own/{kind}", 1, retain_as_published=True)
    await peer.publish(f"own/{kind}", "mine", 1, retain=True)
    await other.publish(f"own/{kind}", "yours", 1)
    assert (await peer.hear()).text == "yours"
    mine, yours = await other.hear_all(2)
    assert (mine.text, mine.retain) == ("mine", True)
    assert (yours.text, yours.retain) == ("yours", False)
