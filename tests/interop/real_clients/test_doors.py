"""Real clients come in at every kind of door, and see why they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.interop.real_clients.conftest import Clients
from tests.support.front_door import PASSWORDS, FrontDoor
from tests.support.real_clients.kinds import ALL, which_can
from tests.support.real_clients.peer import Peer, Refused

pytestmark = pytest.mark.slow


def denial(kind: str) -> set[int]:
    """The reasons that a client may report for credentials that are wrong.

    Under 3.1.1 paho and aiomqtt report the return codes as the reason codes of 5 that mean the same.
    """
    return {134, 135} if kind.endswith("5") or kind.startswith(("paho", "aiomqtt")) else {4, 5}


async def says_something(peer: Peer, topic: str) -> None:
    """It hears what it says itself."""
    assert await peer.subscribe(topic, 1) == 1
    await peer.publish(topic, f"from {peer.client_id}", 1)
    heard = await peer.hear()
    assert (heard.topic, heard.text, heard.qos) == (topic, f"from {peer.client_id}", 1)


@pytest.mark.parametrize(("door", "kind"), [
    (door, kind)
    for door in ("passwords", "tls", "ws", "wss", "unix")
    for kind in which_can(door)
])  # fmt: skip
async def test_a_client_with_the_right_password_comes_in(
    site: FrontDoor, clients: Clients, door: str, kind: str
) -> None:
    peer = await clients(kind, site.doors[door], f"{kind}-{door}", username="ann", password=PASSWORDS["ann"])
    await peer.connect()
    await says_something(peer, f"users/ann/{kind}/{door}")
    await peer.disconnect()


@pytest.mark.parametrize("user", PASSWORDS)
@pytest.mark.parametrize("kind", ALL)
async def test_each_kind_of_hash_is_known(site: FrontDoor, clients: Clients, kind: str, user: str) -> None:
    door = site.doors["passwords"]
    peer = await clients(kind, door, f"{kind}-{user}", username=user, password=PASSWORDS[user])
    await peer.connect()
    await peer.disconnect()
    wrong = await clients(kind, door, f"{kind}-{user}", username=user, password="wrong")
    with pytest.raises(Refused) as refused:
        await wrong.connect()
    assert refused.value.reason in denial(kind)


@pytest.mark.parametrize("kind", ALL)
async def test_a_stranger_and_one_without_a_name_are_told_so(site: FrontDoor, clients: Clients, kind: str) -> None:
    for credentials in ({"username": "nobody", "password": "x"}, {}):
        peer = await clients(kind, site.doors["passwords"], f"{kind}-stranger", **credentials)
        with pytest.raises(Refused) as refused:
            await peer.connect()
        assert refused.value.reason in denial(kind)


@pytest.mark.parametrize("kind", ALL)
async def test_a_certificate_is_a_name(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await clients(kind, site.doors["certificate"], f"{kind}-certificate")
    await peer.connect()
    await says_something(peer, f"users/ann/{kind}/certificate")
    assert await peer.subscribe("users/bob/#") >= 0x80
    await peer.disconnect()


# aiomqtt and gmqtt wait for a CONNACK that cannot come: in TLS 1.3 the server's alert follows the client's last word.
@pytest.mark.parametrize("kind", ["paho-5", "paho-4", "npm-5", "npm-4"])
async def test_without_its_certificate_a_client_does_not_come_in(site: FrontDoor, clients: Clients, kind: str) -> None:
    peer = await clients(kind, replace(site.doors["certificate"], pair=None), f"{kind}-bare")
    with pytest.raises((Refused, OSError)):
        await peer.connect()


@pytest.mark.parametrize("kind", ALL)
async def test_a_token_is_a_password_until_it_ends(site: FrontDoor, clients: Clients, kind: str) -> None:
    door = site.doors["tokens"]
    peer = await clients(kind, door, f"{kind}-token", username="carla", password=site.token("carla"))
    await peer.connect()
    await says_something(peer, f"users/carla/{kind}")
    await peer.disconnect()
    for token in (site.token("carla", aud="others"), site.token("carla", exp=1_000_000_000), "no.token.at-all"):
        wrong = await clients(kind, door, f"{kind}-token", username="carla", password=token)
        with pytest.raises(Refused) as refused:
            await wrong.connect()
        assert refused.value.reason in denial(kind)
