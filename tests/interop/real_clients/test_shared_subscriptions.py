"""Shared subscriptions with members of several kinds."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import FrontDoor
from tests.support.real_clients.kinds import ALL, FIVES
from tests.support.real_clients.peer import TIMEOUT_S

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_members_of_all_kinds_share_the_messages_and_go_on_when_one_leaves(
    site: FrontDoor, clients: Clients, qos: int
) -> None:
    door = site.doors["open"]
    members = [await clients(kind, door, f"member-{qos}-{kind}") for kind in ALL]
    for member in members:
        await member.connect()
        assert await member.subscribe(f"$share/team/jobs/{qos}/#", qos) == qos
    alone = await clients("paho-5", door, f"alone-{qos}")
    await alone.connect()
    await alone.subscribe(f"jobs/{qos}/#", qos)
    speaker = await clients("npm-5", door, f"boss-{qos}")
    await speaker.connect()

    async def says(first: int, last: int) -> None:
        await asyncio.gather(*(speaker.publish(f"jobs/{qos}/a", str(n), qos) for n in range(first, last)))
        assert [heard.text for heard in await alone.hear_all(last - first)] == [str(n) for n in range(first, last)]

    async def heard_by_members(count: int) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        async with asyncio.timeout(TIMEOUT_S):
            while sum(map(len, found.values())) < count:
                for member in members:
                    while not member.heard.empty():
                        found.setdefault(member.client_id, []).append(int(member.heard.get_nowait().text))
                await asyncio.sleep(0.01)
        return found

    await says(0, 80)
    shares = await heard_by_members(80)
    assert sorted(n for share in shares.values() for n in share) == list(range(80))
    assert Counter(map(len, shares.values())) == {10: len(ALL)}  # in turn
    assert all(share == sorted(share) for share in shares.values())
    leaver, rude, quits, *members = members
    await leaver.disconnect()
    await rude.cut()
    await quits.unsubscribe(f"$share/team/jobs/{qos}/#")
    await says(80, 130)
    shares = await heard_by_members(50)
    assert sorted(n for share in shares.values() for n in share) == list(range(80, 130))
    assert len(shares) == len(members)


@pytest.mark.parametrize("kind", FIVES)
async def test_what_waits_for_a_member_that_ends_its_session_goes_to_another(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    door = site.doors["open"]
    topic_filter = f"$share/pair/pairs/{kind}"
    first = await clients(kind, door, f"first-{kind}", clean=False, expiry_s=600)
    await first.connect()
    await first.subscribe(topic_filter, 1)
    await first.disconnect()
    speaker = await clients("paho-5", door, f"speaker-{kind}")
    await speaker.connect()
    for n in range(5):
        assert await speaker.publish(f"pairs/{kind}", str(n), 1) == 0  # kept for the absent one
    second = await clients(kind, door, f"second-{kind}")
    await second.connect()
    await second.subscribe(topic_filter, 1)
    again = await clients(kind, door, f"first-{kind}")  # a clean start ends the session
    await again.connect()
    assert [heard.text for heard in await second.hear_all(5)] == [str(n) for n in range(5)]
