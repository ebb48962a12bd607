"""Retained messages on disk: with the commit of their publish, whatever becomes of it."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest

from bridge.record import Properties
from config.settings import Retained
from gateway.broker.message import Message, MessageUnreadable
from gateway.mqtt.packets import Version
from gateway.spool.ports import Outcome, Table
from tests.support.broker import House, pubacks, run


def rows(house: House) -> dict[int | str, bytes]:
    return house.store.rows[Table.RETAINED]


def kept(house: House) -> dict[str, bytes]:
    """What a new subscription would get."""
    return {message.topic: message.payload for message in house.broker.retained}


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_message_is_there_after_a_restart(qos: int) -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(qos, "a", retain=True))
    assert kept(house) == {}
    house.store.commit()
    assert kept(house) == {"a": b"0"}
    assert kept(house.restarted()) == {"a": b"0"}


def test_an_empty_payload_clears_memory_and_disk() -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(1, "a", retain=True))
    house.store.commit()
    client.handle(run(1, "a", retain=True, payloads=[b""], first_id=2))
    house.store.commit()
    assert kept(house) == {}
    assert kept(house.restarted()) == {}
    house.store.commit()
    assert not rows(house)


@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.FAILED])
@pytest.mark.parametrize("payload", [b"", b"new"])
def test_a_refused_publish_changes_nothing(outcome: Outcome, payload: bytes) -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(1, "a", retain=True))
    house.store.commit()
    channel.take()
    client.handle(run(1, "a", retain=True, payloads=[payload], first_id=2))
    house.store.commit(outcome)
    house.store.commit()
    assert channel.take() == b""
    assert kept(house) == {"a": b"0"}
    assert kept(house.restarted()) == {"a": b"0"}


def test_the_last_of_several_publishers_holds_in_memory_as_on_disk() -> None:
    house = House()
    one, _ = house.connect("one")
    two, _ = house.connect("two")
    one.handle(run(1, "a", retain=True, payloads=[b"1"]))
    two.handle(run(1, "a", retain=True, payloads=[b"2"]))
    one.handle(run(1, "a", retain=True, payloads=[b"3"], first_id=2))
    two.handle(run(1, "b", retain=True, payloads=[b"1"], first_id=2))
    one.handle(run(1, "b", retain=True, payloads=[b"2"], first_id=3))
    house.store.commit()
    assert kept(house) == {"a": b"3", "b": b"2"}
    assert kept(house.restarted()) == {"a": b"3", "b": b"2"}


def test_a_topic_that_is_cleared_and_said_again_stays() -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(1, "a", retain=True))
    house.store.commit()
    client.handle(run(1, "a", retain=True, payloads=[b""], first_id=2))
    first = house.store.close_commit()
    client.handle(run(1, "a", retain=True, payloads=[b"again"], first_id=3))
    house.store.end_commit(first)
    house.store.commit()
    house.store.commit()
    assert kept(house) == {"a": b"again"}
    assert kept(house.restarted()) == {"a": b"again"}


def test_what_is_over_the_limits_is_delivered_but_not_kept() -> None:
    house = House(retained=Retained(max_messages=1))
    client, channel = house.connect()
    client.handle(run(1, "a", "b", retain=True))
    house.store.commit()
    assert channel.take() == pubacks(1, 2)
    client.handle(run(1, "c", retain=True, first_id=3))
    house.store.commit()
    house.store.commit()
    assert kept(house) == {"a": b"0"}
    assert set(rows(house)) == {"a"}


def test_an_expired_message_leaves_memory_and_disk() -> None:
    house = House()
    client, _ = house.connect(version=Version.V5)
    client.handle(run(1, "a", retain=True, properties=[Properties(message_expiry_interval=5)]))
    house.store.commit()
    house.pass_time(20)
    house.store.commit()
    assert kept(house) == {}
    assert not rows(house)


def test_a_row_of_the_first_version_which_did_not_name_the_access_is_still_read() -> None:
    body = msgpack.packb([1, "t", b"x", 1, True, "dev1", "alice", None, None])
    message = Message.unpack(body, now_s=0.0, now_us=0)
    assert (message.topic, message.payload, message.origin_username, message.origin_access) == ("t", b"x", "alice", "")
    again = Message.unpack(replace(message, origin_access="plant").pack(now_s=0.0, now_us=0), now_s=0.0, now_us=0)
    assert (again.origin, again.origin_access) == ("dev1", "plant")
    with pytest.raises(MessageUnreadable, match="version 3; versions up to 2 are read here"):
        Message.unpack(msgpack.packb([3]), now_s=0.0, now_us=0)


@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.FAILED])
@pytest.mark.parametrize("payload", [b"", b"new"])
def test_a_publish_with_qos_0_that_the_disk_refused_is_given_to_it_again(outcome: Outcome, payload: bytes) -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(1, "a", retain=True))
    house.store.commit()
    client.handle(run(0, "a", retain=True, payloads=[payload]))
    house.store.commit(outcome)
    expected = {"a": payload} if payload else {}
    assert kept(house) == expected
    client.handle(run(1, "a", retain=True, payloads=[b"refused"], first_id=2))
    house.store.commit(Outcome.FULL)
    assert kept(house.restarted()) == {}
    house.pass_time(11)
    house.store.commit(outcome)
    house.pass_time(11)
    house.store.commit()
    assert kept(house) == expected
    assert kept(house.restarted()) == expected
