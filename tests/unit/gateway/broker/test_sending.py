"""How much is written to a connection that can't take it all."""

from __future__ import annotations

import pytest

from gateway.broker.sending import AT_ONCE_BYTES
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
