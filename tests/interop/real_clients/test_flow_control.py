"""Topic aliases, windows of one, the server's keep alive, take-over, and what the server says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import FrontDoor
from tests.support.real_clients.kinds import ALL, FIVES, which_can

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", FIVES)
async def test_a_client_with_topic_aliases_is_sent_the_right_topics(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    """More topics than aliases, each said several times."""
    door = site.doors["open"]
    peer = await clients(kind, door, f"aliased-{kind}", alias_maximum=5)
    await peer.connect()
    await peer.subscribe(f"alias/{kind}/#", 1)
    for n in range(60):
        await peer.publish(f"alias/{kind}/{n % 8}", str(n), n % 2)
    heard = await peer.hear_all(60)
    assert {(each.topic, each.text) for each in heard} == {(f"alias/{kind}/{n % 8}", str(n)) for n in range(60)}


@pytest.mark.parametrize("kind", FIVES)
async def test_a_client_may_say_topics_by_alias(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await clients(kind, site.doors["open"], f"aliases-{kind}")
    await peer.connect()
    await peer.subscribe(f"said/{kind}/#", 1)
    for n in range(6):
        topic = f"said/{kind}/{n % 2}" if n < 2 else ""
        await peer.publish(topic, str(n), 1, properties={"alias": n % 2 + 1})
    heard = await peer.hear_all(6)
    assert [(each.topic, each.text) for each in heard] == [(f"said/{kind}/{n % 2}", str(n)) for n in range(6)]


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("kind", which_can("hold", of=FIVES))
async def test_a_client_that_takes_one_message_at_a_time_gets_no_more(
    site: FrontDoor, clients: Clients, kind: str, qos: int
) -> None:
    door = site.doors["open"]
    peer = await clients(kind, door, f"one-{kind}-{qos}", receive_maximum=1, hold=True)
    await peer.connect()
    await peer.subscribe(f"one/{kind}/{qos}", 2)
    speaker = await clients("paho-5", door, f"many-{kind}-{qos}")
    await speaker.connect()
    for n in range(6):
        await speaker.publish(f"one/{kind}/{qos}", str(n), qos)
    await speaker.publish(f"one/{kind}/{qos}", "not counted", 0)
    for n in range(6):
        heard = await peer.hear()
        if heard.text == "not counted":
            await peer.acknowledge(heard)  # npm's mqtt takes nothing more before
            heard = await peer.hear()
        assert heard.text == str(n)
        assert all(waiting.qos == 0 for waiting in list(peer.heard._queue))  # type: ignore[attr-defined]
        await peer.acknowledge(heard)


# gmqtt takes a Receive Maximum of 1 for the number of packet ids, less one, and has none left.
@pytest.mark.parametrize("kind", which_can("a narrow door"))
async def test_a_server_that_takes_one_message_at_a_time_gets_all(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await clients(kind, site.doors["narrow"], f"narrow-{kind}")
    await peer.connect()
    await peer.subscribe(f"narrow/{kind}", 1)
    for n in range(10):
        await peer.publish(f"narrow/{kind}", str(n), 1 + n % 2)
    assert [heard.text for heard in await peer.hear_all(10)] == [str(n) for n in range(10)]


async def test_the_keep_alive_of_the_server_holds(site: FrontDoor, clients: Clients) -> None:
    """It is 4 s at this door; a client that kept to its own 60 s would be cut after six."""
    peers = [await clients(kind, site.doors["narrow"], f"alive-{kind}", keep_alive_s=60) for kind in FIVES]
    for kind, peer in zip(FIVES, peers, strict=True):
        welcome = await peer.connect()
        if kind in which_can("welcome"):
            assert welcome.keep_alive_s == 4
    await asyncio.wait({peer.gone for peer in peers}, timeout=8.5)  # time is what is tested here
    assert not any(peer.gone.done() for peer in peers)


@pytest.mark.parametrize("kind", ALL)
async def test_a_second_client_of_the_same_id_takes_over_and_the_first_is_told(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    door = site.doors["open"]
    first = await clients(kind, door, f"twin-{kind}", clean=False, expiry_s=600)
    await first.connect()
    await first.subscribe(f"twin/{kind}", 1)
    second = await clients(kind, door, f"twin-{kind}", clean=False, expiry_s=600)
    welcome = await second.connect()
    assert welcome.session_present or kind not in which_can("welcome")
    reason = await first.until_gone()
    assert kind.endswith("4") or reason == 0x8E  # 3.1.1 has no way to tell
    await second.publish(f"twin/{kind}", "for the second", 1)
    assert (await second.hear()).text == "for the second"


@pytest.mark.parametrize("kind", ALL)
async def test_the_server_tells_of_itself_under_the_names_of_mosquitto(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    peer = await clients(kind, site.doors["open"], f"sys-{kind}")
    await peer.connect()
    await peer.subscribe("$SYS/#")
    found: dict[str, str] = {}

    async def until(name: str, holds: Callable[[str], bool]) -> None:
        while not holds(found.get(f"$SYS/broker/{name}", "")):
            heard = await peer.hear()
            found[heard.topic] = heard.text

    await until("clients/connected", lambda text: int(text or 0) >= 1)
    await until("version", lambda text: text.startswith("fieldgate"))
    await until("load/messages/received/1min", lambda text: float(text or 0) > 0)
    await until("uptime", lambda text: text.endswith("seconds"))
    seen = found["$SYS/broker/uptime"]
    await until("uptime", lambda text: text != seen)
