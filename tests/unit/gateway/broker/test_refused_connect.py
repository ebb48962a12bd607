"""A CONNECT that the disk does not take changes nothing."""

from __future__ import annotations

import pytest

from gateway.mqtt.packets import Disconnect, Version, Will
from gateway.spool.ports import Outcome
from tests.support.broker import House, subscribe

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
REFUSALS = [Outcome.FULL, Outcome.FAILED]


def a_will(topic: str, delay_interval_s: int = 10) -> Will:
    return Will(topic=topic, payload=b"x", qos=1, retain=False, delay_interval_s=delay_interval_s)


def left_with_a_will(house: House) -> None:
    client, _ = house.connect(will=a_will("old"), **DURABLE_5)
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    client.lost()
    house.store.commit()


def topics(house: House) -> list[bytes]:
    house.store.commit()
    return [each.topic for each in house.store.stored]


@pytest.mark.parametrize("outcome", REFUSALS)
@pytest.mark.parametrize("will", [None, a_will("new", 0), a_will("new")])
@pytest.mark.parametrize("expiry_s", [0, 1, 5000])
def test_the_delayed_will_the_subscriptions_and_the_expiry_stay_what_they_were(
    outcome: Outcome, will: Will | None, expiry_s: int
) -> None:
    """[MQTT-3.1.3-9] is about a connection that opens."""
    house = House()
    left_with_a_will(house)
    session = house.broker.sessions["device"]
    house.pass_time(4)
    client, channel = house.knock(will=will, **(DURABLE_5 | {"session_expiry_interval_s": expiry_s}))
    house.store.commit(outcome)
    assert channel.is_closed
    assert client is not None
    assert not client.is_open
    assert house.broker.counters.connected_now == 0
    assert house.broker.sessions["device"] is session
    assert (session.expiry_interval_s, session.will) == (100, a_will("old"))
    assert list(session.subscriptions) == ["a"]
    house.pass_time(5.9)
    assert topics(house) == []
    house.pass_time(0.2)
    assert topics(house) == [b"old"]
    house.pass_time(89)
    assert "device" in house.broker.sessions
    house.pass_time(6)
    assert "device" not in house.broker.sessions


def test_a_will_whose_time_came_while_the_disk_decided_is_published_when_that_said_no() -> None:
    house = House()
    left_with_a_will(house)
    house.knock(**DURABLE_5)
    house.pass_time(11)
    house.store.commit(Outcome.FAILED)
    house.pass_time(0.1)
    assert topics(house) == [b"old"]


@pytest.mark.parametrize("outcomes", [(first, second) for first in Outcome for second in Outcome])
@pytest.mark.parametrize("was_there", [False, True])
def test_of_two_connects_one_after_the_other_a_session_is_left_when_one_was_told_of_it(
    outcomes: tuple[Outcome, Outcome], was_there: bool
) -> None:
    house = House()
    if was_there:
        left_with_a_will(house)
    house.knock(will=a_will("first"), **DURABLE_5)
    first = house.store.close_commit()
    second, channel = house.knock(will=a_will("second"), **DURABLE_5)
    house.store.end_commit(first, outcomes[0])
    house.store.commit(outcomes[1])
    is_in = outcomes[1] is Outcome.DURABLE
    assert channel.is_closed is not is_in
    assert ("device" in house.broker.sessions) is (was_there or is_in)
    if is_in:
        assert second is not None
        assert second.session.undo is None
        assert second.session.will == a_will("second")
        second.handle(Disconnect())
    elif was_there:
        assert house.broker.sessions["device"].will == a_will("old")
    house.store.commit()
    house.pass_time(2)
    house.store.commit()
    assert set(house.store.disk) == set(house.broker.sessions)
