"""Wills of real clients: said when they vanish, after the delay, and not when they say goodbye."""

from __future__ import annotations

import time

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import PASSWORDS, FrontDoor
from tests.support.real_clients.kinds import ALL, FIVES, which_can
from tests.support.real_clients.peer import Refused, Will

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ALL)
async def test_a_will_is_said_when_its_client_vanishes_and_not_when_it_says_goodbye(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    door = site.doors["open"]
    watcher = await clients("paho-5", door, f"watcher-{kind}")
    await watcher.connect()
    await watcher.subscribe(f"state/{kind}/#", 2)
    will = Will(topic=f"state/{kind}/will", payload="gone", qos=2, retain=True)
    polite = await clients(kind, door, f"polite-{kind}", will=will)
    await polite.connect()
    await polite.disconnect()
    await watcher.publish(f"state/{kind}/mark", "after the polite one", 1)
    rude = await clients(kind, door, f"rude-{kind}", will=will)
    await rude.connect()
    await rude.cut()
    first, second = await watcher.hear_all(2)
    assert first.text == "after the polite one"
    assert (second.topic, second.text, second.qos) == (f"state/{kind}/will", "gone", 2)
    late = await clients("npm-5", door, f"late-{kind}")
    await late.connect()
    await late.subscribe(f"state/{kind}/will")
    kept = await late.hear()
    assert (kept.text, kept.retain) == ("gone", True)


@pytest.mark.parametrize("kind", which_can("goodbye with a reason", of=FIVES))
async def test_a_goodbye_may_ask_for_the_will(site: FrontDoor, clients: Clients, kind: str) -> None:
    door = site.doors["open"]
    watcher = await clients("paho-5", door, f"watcher-{kind}")
    await watcher.connect()
    await watcher.subscribe(f"farewell/{kind}", 1)
    peer = await clients(kind, door, f"farewell-{kind}", will=Will(topic=f"farewell/{kind}", payload="as asked"))
    await peer.connect()
    await peer.disconnect(4)  # Disconnect with Will Message
    assert (await watcher.hear()).text == "as asked"


@pytest.mark.parametrize("kind", FIVES)
async def test_a_will_waits_for_its_delay_and_is_forgotten_when_the_client_is_back_in_time(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    door = site.doors["open"]
    watcher = await clients("paho-5", door, f"watcher-{kind}")
    await watcher.connect()
    await watcher.subscribe(f"delayed/{kind}/+", 1)
    soon = Will(topic=f"delayed/{kind}/soon", payload="soon", delay_s=1)
    late = Will(topic=f"delayed/{kind}/back", payload="never", delay_s=5)
    back = await clients(kind, door, f"back-{kind}", clean=False, expiry_s=600, will=late)
    away = await clients(kind, door, f"away-{kind}", clean=False, expiry_s=600, will=soon)
    await back.connect()
    await away.connect()
    before_s = time.monotonic()
    await back.cut()
    await away.cut()
    back = await clients(kind, door, f"back-{kind}", clean=False, expiry_s=600)
    welcome = await back.connect()
    assert welcome.session_present or kind.startswith("aiomqtt")
    heard = await watcher.hear()
    assert heard.text == "soon"
    assert time.monotonic() - before_s >= 0.9
    third = Will(topic=f"delayed/{kind}/third", payload="third", delay_s=5)
    other = await clients(kind, door, f"other-{kind}", clean=False, expiry_s=600, will=third)
    await other.connect()
    await other.cut()
    assert (await watcher.hear()).text == "third"  # by then that of `back` would have been said


async def test_wills_of_those_who_were_connected_are_said_after_a_kill(own_site: FrontDoor, clients: Clients) -> None:
    """Of durable sessions; their delay is counted from the restart."""
    door = own_site.doors["open"]
    watcher = await clients("paho-5", door, "watcher", clean=False, expiry_s=600)
    await watcher.connect()
    await watcher.subscribe("wills/#", 1)
    for kind in FIVES:
        will = Will(topic=f"wills/{kind}", payload="gone", delay_s=1)
        peer = await clients(kind, door, f"victim-{kind}", clean=False, expiry_s=600, will=will)
        await peer.connect()
    own_site.gateway.kill()
    await watcher.until_gone()
    await own_site.gateway.start()
    await watcher.connect()
    assert {heard.topic for heard in await watcher.hear_all(len(FIVES))} == {f"wills/{kind}" for kind in FIVES}


@pytest.mark.parametrize("kind", ALL)
async def test_a_will_that_its_client_may_not_publish_is_never_said(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    door = site.doors["passwords"]
    watcher = await clients("paho-5", door, f"owner-{kind}", username="bob", password=PASSWORDS["bob"])
    await watcher.connect()
    await watcher.subscribe(f"users/bob/{kind}", 1)
    will = Will(topic=f"users/bob/{kind}", payload="forged", qos=1)
    peer = await clients(kind, door, f"forger-{kind}", username="ann", password=PASSWORDS["ann"], will=will)
    with pytest.raises(Refused) as refused:
        await peer.connect()
    assert refused.value.reason in {135, 5}
    other = await clients(kind, door, f"other-{kind}", username="bob", password=PASSWORDS["bob"], will=will)
    await other.connect()
    await other.cut()
    assert (await watcher.hear()).text == "forged"
    assert watcher.heard.empty()
