"""Rights as real clients see them: what is denied, how that is told, what is withdrawn while they are connected."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import PASSWORDS, FrontDoor
from tests.support.real_clients.kinds import ALL, which_can
from tests.support.real_clients.peer import TIMEOUT_S, Peer
from tests.support.site import until

pytestmark = pytest.mark.slow

NUMBERS = count()


async def connected(clients: Clients, site: FrontDoor, kind: str, door: str, name: str, user: str = "ann") -> Peer:
    peer = await clients(kind, site.doors[door], f"{kind}-{name}", username=user, password=PASSWORDS[user])
    await peer.connect()
    return peer


@pytest.mark.parametrize("kind", ALL)
async def test_a_filter_beyond_the_rights_is_refused_and_one_within_is_granted(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    peer = await connected(clients, site, kind, "passwords", "filters")
    denied = 0x80  # which tells no more than that; Paho's suites of MQTT 5 take no other
    for topic_filter, reason in {
        "users/ann/#": 2, "free/+/x": 2, "free/#": 2, "users/bob/x": denied, "#": denied, "users/+/x": denied,
        "box/1": denied, "$SYS/broker/uptime": denied,
    }.items():  # fmt: skip
        assert await peer.subscribe(topic_filter, 2) == reason, topic_filter


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_denied_publish_is_told_to_5_and_swallowed_for_311(
    site: FrontDoor, clients: Clients, kind: str, qos: int
) -> None:
    owner = await connected(clients, site, kind, "passwords", "owner", "bob")
    assert await owner.subscribe("users/bob/#", qos) == qos
    peer = await connected(clients, site, kind, "passwords", "publisher")
    reason = await peer.publish(f"users/bob/{kind}", "denied", qos)
    if kind in which_can("puback reason" if qos == 1 else "pubrec reason"):
        assert reason == (0x87 if kind.endswith("5") else 0)
    await peer.publish("free/mark", "allowed", qos)  # it is still connected
    await owner.publish(f"users/bob/{kind}", "mine", qos)
    assert (await owner.hear()).text == "mine"


@pytest.mark.parametrize("kind", ALL)
async def test_what_may_not_be_read_is_left_out_of_a_wider_filter(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await connected(clients, site, kind, "passwords", "reader")
    assert await peer.subscribe("free/#", 1) == 1
    for topic in (f"free/secret/{kind}", f"free/{kind}/open"):
        await peer.publish(topic, kind, 1, retain=True)
    heard = await peer.hear()
    while heard.text != kind:
        heard = await peer.hear()
    assert heard.topic == f"free/{kind}/open"
    late = await connected(clients, site, kind, "passwords", "late")
    await late.subscribe("free/#", 1)
    await late.publish(f"free/{kind}/end", "end", 1)
    topics = []
    while (heard := await late.hear()).text != "end":
        topics.append(heard.topic)
    assert f"free/{kind}/open" in topics
    assert not any(topic.startswith("free/secret") for topic in topics)


@pytest.mark.parametrize("kind", ALL)
async def test_a_right_that_is_withdrawn_at_sighup_holds_no_more_for_those_who_are_connected(
    site: FrontDoor, clients: Clients, kind: str
) -> None:
    probe = await connected(clients, site, "paho-5", "files", f"probe-{kind}")

    async def allow(*lines: str) -> None:
        """Returns when the rules hold: these alone allow the mark, and those at the start allow all that they deny."""
        mark = f"probe/{kind}/{next(NUMBERS)}"
        site.allow(f"topic read {mark}", f"topic deny not/{mark}", *lines)
        site.hang_up()
        async with asyncio.timeout(TIMEOUT_S):
            while await probe.subscribe(mark) or not await probe.subscribe(f"not/{mark}"):
                pass

    await allow("topic readwrite plant/#")
    reader = await connected(clients, site, kind, "files", "reader")
    writer = await connected(clients, site, kind, "files", "writer")
    assert await reader.subscribe("plant/#", 1) == 1
    await writer.publish("plant/a", "before", 1)
    assert (await reader.hear()).text == "before"
    await allow("topic read plant/#", "topic write plant/b", "topic deny plant/secret")
    reason = await writer.publish("plant/a", "after", 1)
    if kind in which_can("puback reason"):
        assert reason == (0x87 if kind.endswith("5") else 0)
    await writer.publish("plant/b", "allowed", 1)
    assert (await reader.hear()).text == "allowed"
    await allow("topic write plant/b")
    await writer.publish("plant/b", "unread", 1)
    await allow("topic readwrite plant/#")
    await writer.publish("plant/b", "read", 1)
    assert (await reader.hear()).text == "read"


async def test_a_broken_file_changes_nothing_and_a_user_who_is_taken_out_is_disconnected(
    own_site: FrontDoor, clients: Clients
) -> None:
    peers = [await connected(clients, own_site, kind, "files", "ann") for kind in ALL]
    bobs = [await connected(clients, own_site, kind, "passwords", "bob", "bob") for kind in ALL]
    for peer in peers:
        assert await peer.subscribe("plant/#", 1) == 1
    own_site.acl_file.write_text("user ann\ntopic sideways plant/#\n")
    own_site.hang_up()
    await until(lambda: "Nothing was changed" in own_site.gateway.log, "the gateway says that a file is broken")
    assert str(own_site.acl_file) in own_site.gateway.log
    await peers[0].publish("plant/b", "still", 1)
    assert {(await peer.hear()).text for peer in peers} == {"still"}
    own_site.allow("topic readwrite plant/#")
    passwords = own_site.folder / "passwords"
    lines = passwords.read_text().splitlines(keepends=True)
    passwords.write_text("".join(line for line in lines if not line.startswith("bob:")))
    own_site.hang_up()
    for kind, bob in zip(ALL, bobs, strict=True):
        reason = await bob.until_gone()
        assert kind.endswith("4") or reason == 0x87
    await peers[0].publish("plant/b", "after", 1)
    assert {(await peer.hear()).text for peer in peers} == {"after"}
