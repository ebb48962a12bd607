"""What one client does takes neither the memory, nor the time, nor the messages of the others."""

from __future__ import annotations

import asyncio

import pytest

from gateway.broker.session import Session
from gateway.mqtt.packets import Unsubscribe, Version
from tests.support.broker import House, run, subscribe


def test_the_names_of_shared_subscriptions_count_too() -> None:
    house = House()
    client, _ = house.connect("d", Version.V5)
    other, _ = house.connect("e", Version.V5)
    client.handle(subscribe("$share/" + "x" * 60_000 + "/a"))
    size_bytes = house.broker.subscribing.size_bytes
    assert size_bytes > 60_000
    for each in (client, other):
        each.handle(subscribe("$share/" + "x" * 60_000 + "/a"))
    assert house.broker.subscribing.size_bytes > size_bytes + 60_000
    client.handle(subscribe("plain/+/x"))
    client.lost()
    other.lost()
    assert house.broker.subscribing.size_bytes == 0


async def test_sessions_that_expire_together_do_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    for i in range(500):
        house.connect(f"d{i}", Version.V5, session_expiry_interval_s=10, clean_start=False)[0].lost()
    house.clock.s += 11
    end = house.broker.sessions.end

    def end_slowly(session: Session) -> None:
        house.clock.s += 0.001
        end(session)

    monkeypatch.setattr(house.broker.sessions, "end", end_slowly)
    assert not house.broker.tick()
    assert 450 < len(house.broker.sessions) < 500
    house.broker.start()
    all_ended = asyncio.Event()
    house.broker.later("last", 0.0, all_ended.set)
    async with asyncio.timeout(30):
        await all_ended.wait()
    assert not house.broker.sessions
    asyncio.get_running_loop().call_soon(house.store.commit)
    await house.broker.drain()


def test_a_fault_with_one_packet_of_a_client_keeps_nothing_from_others_that_came_behind_it() -> None:
    """Whoever has a delivery in a commit waits for it to be settled, and with it all that is published later."""
    house = House()
    reader, channel = house.connect("reader", Version.V5, session_expiry_interval_s=10, clean_start=False)
    reader.handle(subscribe("t", qos=1))
    house.store.commit()
    channel.take()
    client, broken = house.connect("publisher")
    house.store.after_commit(client, object())
    client.handle(run(1, "t", payloads=[b"first"]))
    house.store.commit()
    assert broken.is_closed
    other, _ = house.connect("other")
    other.handle(run(1, "t", payloads=[b"second"]))
    house.store.commit()
    data = channel.take()
    assert 0 < data.index(b"first") < data.index(b"second")


def test_a_session_has_no_more_filters_than_are_written_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snapshot has all of them, and goes to the disk with each of its QoS 2 publishes."""
    monkeypatch.setattr("gateway.broker.subscribing.MAX_FILTERS_BYTES", 1000)
    house = House()
    client, channel = house.connect("d", Version.V5, session_expiry_interval_s=10, clean_start=False)
    client.handle(subscribe("a" * 600, "b" * 600, "c", "a" * 600))
    house.store.commit()
    assert channel.take() == b"\x90\x07\x00\x4d\x00\x00\x00\x97\x00"
    client.handle(Unsubscribe(packet_id=1, topic_filters=("a" * 600,)))
    client.handle(subscribe("c"))
    house.store.commit()
    assert channel.take()[-1] == 0
    again = house.restarted().broker.sessions["d"]
    assert list(again.subscriptions) == ["b" * 600, "c"]
    assert again.filters_bytes == client.session.filters_bytes == 601
