"""How much is written to a connection that can't take it all."""

from __future__ import annotations

import pytest

from config.settings import Limits, Retained, Sessions
from gateway.broker.sending import AT_ONCE_BYTES, MAX_HELD_BYTES
from gateway.mqtt.packets import PingReq, PubAck, PubComp, PubRec, Version
from tests.support.broker import FakeChannel, House, run, subscribe


class Narrow(FakeChannel):
    """A connection that is full as soon as `room_bytes` were written."""

    room_bytes = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.is_writable = sum(map(len, self.writes)) < self.room_bytes

    write_soon = write


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("payload_bytes", [100, 30_000, 100_000])
def test_a_connection_that_has_room_for_little_gets_little_and_the_rest_still_waits(
    qos: int, payload_bytes: int
) -> None:
    house = House()
    client, channel = house.connect("reader")
    client.handle(subscribe("#", qos=qos))
    channel.__class__ = Narrow
    channel.is_writable = False
    publisher, _ = house.connect("publisher")
    payloads = [bytes([number]) * payload_bytes for number in range(100)]
    for number, payload in enumerate(payloads):
        publisher.handle(run(qos, "t", payloads=[payload], first_id=number + 1))
        house.store.commit()
    outgoing = client.session.outgoing
    channel.take()
    written = b""
    rounds = 0
    while outgoing.queued:
        before = outgoing.queued
        channel.is_writable = True
        client.pump()
        part = channel.take()
        assert 0 < len(part) < AT_ONCE_BYTES + 2 * payload_bytes
        assert outgoing.queued < before
        written += part
        rounds += 1
    assert rounds > 1 or payload_bytes == 100
    found = [written.find(payload) for payload in payloads]
    assert found == sorted(found)
    assert found[0] > 0


@pytest.mark.parametrize("version", [Version.V5, Version.V311])
def test_who_asks_without_end_before_it_has_its_connack_is_refused(version: Version) -> None:
    house = House()
    client, channel = house.knock("device", version, clean_start=False, session_expiry_interval_s=100)
    assert client is not None
    for _ in range(MAX_HELD_BYTES // 2):
        client.handle(PingReq())
    assert client.is_open
    client.handle(PingReq())
    assert channel.is_closed
    assert channel.take() == (b"\x20\x03\x00\x97\x00" if version is Version.V5 else b"\x20\x02\x00\x03")
    house.store.commit()
    assert not channel.writes


def test_what_was_asked_before_connack_is_answered_behind_it() -> None:
    house = House()
    client, channel = house.knock("device", Version.V311, clean_start=False)
    assert client is not None
    client.handle(PingReq())
    client.handle(PingReq())
    assert not channel.writes
    house.store.commit()
    assert channel.writes == [b"\x20\x02\x00\x00" + b"\xd0\x00" * 2]


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("is_durable", [False, True])
def test_another_window_holds_at_once_for_who_is_connected_and_takes_nothing_back(qos: int, is_durable: bool) -> None:
    house = House(limits=Sessions(max_in_flight=2))
    client, _ = house.connect("reader", version=Version.V5, session_expiry_interval_s=3600 * is_durable)
    house.store.commit()
    client.handle(subscribe("#", qos=qos))
    house.store.commit()
    publisher, _ = house.connect("publisher")
    outgoing = client.session.outgoing

    def publish_five(first_id: int) -> int:
        publisher.handle(run(qos, *"abcde", payloads=[b"x"] * 5, first_id=first_id))
        house.store.commit()
        return len(outgoing.in_flight) + len(outgoing.sent_once)

    def limit(max_in_flight: int) -> None:
        sessions = Sessions(max_in_flight=max_in_flight)
        house.broker.limit(sessions=sessions, retained=Retained(), limits=Limits())

    assert publish_five(1) == 2
    limit(4)
    assert publish_five(6) == 4
    limit(3)
    assert publish_five(11) == 4
    for answered, left in ((1, 3), (2, 3)):
        if qos == 1:
            client.handle(PubAck(packet_id=answered))
        else:
            client.handle(PubRec(packet_id=answered))
            house.store.commit()
            client.handle(PubComp(packet_id=answered))
        assert len(outgoing.in_flight) + len(outgoing.sent_once) == left
