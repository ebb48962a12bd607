"""How much is written to a connection that can't take it all."""

from __future__ import annotations

import pytest

from gateway.broker.sending import AT_ONCE_BYTES, MAX_HELD_BYTES
from gateway.mqtt.packets import PingReq, Version
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
