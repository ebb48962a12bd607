"""Who may come to a listener, and who is there."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field, replace

import pytest

from config.settings import Listener, ProxyProtocol, Stream
from gateway.broker.broker import Broker
from gateway.listener.guests import Guests
from gateway.listener.peer import Peer, PeerCertificate
from gateway.listener.places import Places
from tests.support.broker import FakeClock
from tests.support.store import FakeStore

HERE, THERE = Peer("192.0.2.1", 5000), Peer("192.0.2.2", 5000)


@dataclass(eq=False)
class Somebody:
    """A `Guest` of whom nothing is asked."""

    origin: Peer = HERE
    certificate: PeerCertificate | None = None
    ends: list[str] = field(default_factory=list)

    def look_for_stall(self, now_s: float) -> None: ...

    def revoked(self) -> None: ...

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


class Inn:
    """Guests, and the broker that counts who was turned away."""

    def __init__(self, *, places: int = 100, **settings: object) -> None:
        self.broker = Broker(store=FakeStore(), clock=FakeClock(), streams=(Stream(),), new_client_id=lambda: "auto")
        self.settings = Listener(**settings)  # type: ignore[arg-type]
        self.places = Places(places)
        self.guests = Guests(self.settings, self.broker, self.places)

    def come(self, peer: Peer = HERE) -> Somebody | None:
        """What a listener does with a socket."""
        if not self.guests.may_come(peer):
            return None
        guest = Somebody(peer)
        self.guests.add(guest)
        return guest


async def test_there_are_no_more_than_the_listener_takes() -> None:
    inn = Inn(max_connections=2)
    first, second = inn.come(), inn.come(THERE)
    assert first
    assert second
    assert inn.come() is None
    assert inn.broker.counters.refused_connects["max_connections"] == 1
    inn.guests.remove(first)
    assert inn.come()
    assert len(inn.guests) == 2


async def test_there_are_no_more_than_all_listeners_take_and_who_goes_frees_a_place_once() -> None:
    inn = Inn(places=1)
    guest = inn.come()
    assert guest
    assert inn.come() is None
    assert inn.broker.counters.refused_connects["limits.max_connections"] == 1
    inn.guests.remove(guest)
    inn.guests.remove(guest)
    assert inn.places.taken == 0


async def test_of_one_address_there_are_no_more_than_its_limit() -> None:
    inn = Inn(max_connections_per_address=1)
    guest = inn.come()
    assert guest
    assert inn.come() is None
    assert inn.come(THERE)
    inn.guests.remove(guest)
    assert inn.come()


async def test_behind_a_load_balancer_those_count_who_stand_behind_it() -> None:
    inn = Inn(
        max_connections_per_address=1,
        proxy_protocol=ProxyProtocol.V2,
        proxy_addresses=(ipaddress.ip_network("192.0.2.1/32"),),
    )
    first, second = inn.come(), inn.come()
    assert first
    assert second
    first.origin = second.origin = THERE
    assert inn.guests.located(first)
    assert not inn.guests.located(second)
    assert inn.come(THERE) is None
    assert inn.broker.counters.refused_connects["proxy_address"] == 1


async def test_a_limit_that_comes_later_counts_those_who_are_here() -> None:
    inn = Inn()
    assert inn.come()
    inn.guests.follow(replace(inn.settings, max_connections_per_address=1))
    assert inn.come() is None
    inn.guests.follow(inn.settings)
    assert inn.come()


async def test_whoever_waits_is_told_when_the_last_one_has_left() -> None:
    inn = Inn()
    await inn.guests.all_left(1.0)
    guest = inn.come()
    assert guest
    with pytest.raises(TimeoutError):
        await inn.guests.all_left(0.01)
    waiting = asyncio.ensure_future(inn.guests.all_left(10.0))
    for each in inn.guests:
        each.close()
        inn.guests.remove(each)
    await waiting
    assert guest.ends == ["close"]
