"""QoS 2 packet identifiers that come again before their PUBREL."""

from __future__ import annotations

import pytest

from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import PublishBatch, PubRel, Version
from tests.support.broker import House, pid, pubrecs

VERSIONS = [Version.V31, Version.V311, Version.V5]
PLAIN, DUP = 0x34, 0x3C


def one(payload: bytes, *, first: int = PLAIN, times: int = 1) -> PublishBatch:
    return PublishBatch(
        qos=2,
        topics=[b"t"] * times,
        payloads=[payload] * times,
        packet_ids=[pid(7)] * times,
        first_bytes=bytearray([first]) * times,
        properties=None,
        size_bytes=20 * times,
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_repeat_that_says_so_is_answered_however_often_it_comes_and_stored_once(version: Version) -> None:
    house = House()
    client, channel = house.connect(version=version)
    client.handle(one(b"x"))
    for _ in range(5):
        client.handle(one(b"x", first=DUP))
    client.handle(one(b"x", first=DUP, times=5))
    house.store.commit()
    assert channel.take() == pubrecs(*[7] * 11)
    assert len(house.store.stored) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_repeat_that_does_not_say_so_is_answered_once_and_then_the_client_is_at_fault(version: Version) -> None:
    house = House()
    client, channel = house.connect(version=version)
    client.handle(one(b"x"))
    client.handle(one(b"x"))
    house.store.commit()
    assert channel.take() == pubrecs(7, 7)
    with pytest.raises(ProtocolError, match="identifier 7 came three times"):
        client.handle(one(b"x"))
    assert len(house.store.stored) == 1


def test_the_same_is_seen_within_one_run() -> None:
    house = House()
    client, _ = house.connect()
    with pytest.raises(ProtocolError):
        client.handle(one(b"x", times=3))


def test_an_id_that_comes_with_other_words_each_time_is_answered() -> None:
    house = House()
    client, channel = house.connect()
    for payload in (b"", b"p", b"", b"p"):
        client.handle(one(payload))
    house.store.commit()
    assert channel.take() == pubrecs(7, 7, 7, 7)
    assert len(house.store.stored) == 1


def test_after_pubrel_the_count_begins_anew() -> None:
    house = House()
    client, _ = house.connect()
    for _ in range(4):
        client.handle(one(b"x"))
        client.handle(one(b"x"))
        house.store.commit()
        client.handle(PubRel(packet_ids=[pid(7)]))
    assert len(house.store.stored) == 4


def test_a_new_connection_begins_anew_too() -> None:
    house = House()
    durable = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
    for _ in range(3):
        client, _ = house.connect(**durable)
        house.store.commit()
        client.handle(one(b"x"))
        client.handle(one(b"x"))
        house.store.commit()
        client.lost()
    assert len(house.store.stored) == 1
