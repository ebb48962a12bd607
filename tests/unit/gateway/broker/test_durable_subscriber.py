"""A durable subscriber, a publisher, a disk that fails, connections that break, a gateway that is killed.

Whatever the order of it all: what the publisher was told is stored comes to the subscriber, with QoS 2 once, in order.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.client import Client
from gateway.mqtt.packets import PubAck, PubComp, PubRec, PubRel, Version
from gateway.spool.ports import Outcome, Table
from tests.support.broker import FakeChannel, House, pid, run, subscribe
from tests.support.examples import examples
from tests.support.store import Commit


class Reader:
    """The subscriber's side of its session, as the specification has it (§4.3)."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.channel: FakeChannel | None = None
        self.received: list[int] = []
        self.awaiting_release: set[int] = set()
        self.in_flight: set[int] = set()
        """Packet ids of this connection that the gateway may not use for another message."""

    def hear(self) -> None:
        """Read what was written, and answer it."""
        if self.channel is None or self.client is None:
            return
        data = self.channel.take()
        at = 0
        while at < len(data):
            length = data[at + 1]
            self.on_packet(data[at], data[at + 2 : at + 2 + length])
            at += 2 + length

    def on_packet(self, first: int, body: bytes) -> None:
        assert self.client is not None
        kind, qos = first >> 4, first >> 1 & 3
        if kind == 3:
            topic = int.from_bytes(body[:2])
            packet_id = int.from_bytes(body[2 + topic : 4 + topic])
            number = int(body[4 + topic :])
            assert packet_id
            if qos == 1:
                self.received.append(number)
                self.client.handle(PubAck(packet_id=packet_id))
            else:
                if packet_id not in self.awaiting_release:
                    self.awaiting_release.add(packet_id)
                    self.received.append(number)
                self.client.handle(PubRec(packet_id=packet_id))
        elif kind == 6:
            packet_id = int.from_bytes(body[:2])
            self.awaiting_release.discard(packet_id)
            self.client.handle(PubComp(packet_id=packet_id))
        else:
            assert kind in {2, 9}


class World:
    """All of them, and what may happen; what cannot happen now does nothing."""

    def __init__(self) -> None:
        self.house = House()
        self.reader = Reader()
        self.publisher: Client | None = None
        self.to_publisher: FakeChannel | None = None
        self.sent: dict[int, int] = {}
        """Packet id to number, of what the publisher has no answer to."""
        self.qos_of: dict[int, int] = {}
        self.promised: list[int] = []
        self.number = 0
        self.closed: tuple[Commit, dict[str, bytes | None]] | None = None
        self.connect()
        assert self.reader.client is not None
        self.house.store.commit()
        self.reader.client.handle(subscribe("t", qos=2))
        self.house.store.commit()
        self.reader.hear()

    def connect(self) -> None:
        if self.reader.client is None:
            self.reader.client, self.reader.channel = self.house.knock("reader", clean_start=False)

    def leave(self) -> None:
        if self.reader.client is not None:
            self.reader.client.lost()
            self.reader.client = self.reader.channel = None

    def publish(self, qos: int) -> None:
        """A new message; what was not answered is not sent again: the publisher is not what is tried here."""
        if self.publisher is None:
            self.publisher, self.to_publisher = self.house.connect("publisher", Version.V5)
            self.sent.clear()
        self.number += 1
        packet_id = self.number % 60000 + 1
        self.sent[packet_id] = self.number
        self.qos_of[self.number] = qos
        self.publisher.handle(run(qos, "t", ids=[packet_id], payloads=[b"%d" % self.number]))

    def listen(self) -> None:
        """The publisher reads its answers."""
        if self.to_publisher is None or self.publisher is None:
            return
        data = self.to_publisher.take()
        at = 0
        while at < len(data):
            body = data[at + 2 : at + 2 + data[at + 1]]
            packet_id = int.from_bytes(body[:2])
            if data[at] in {0x40, 0x50}:
                number = self.sent.pop(packet_id)
                if len(body) == 2 or body[2] < 0x80:
                    self.promised.append(number)
                    if data[at] == 0x50:
                        self.publisher.handle(PubRel(packet_ids=[pid(packet_id)]))
            at += 2 + data[at + 1]

    def close_the_commit(self) -> None:
        if self.closed is None:
            self.closed = self.house.store.close_commit()

    def end_the_commit(self, outcome: Outcome) -> None:
        if self.closed is not None:
            closed, self.closed = self.closed, None
            self.house.store.end_commit(closed, outcome)

    def kill(self) -> None:
        self.listen()  # what was written before has come
        self.house = self.house.restarted()
        self.closed = self.publisher = self.to_publisher = None
        self.reader.client = self.reader.channel = None

    def finish(self) -> None:
        """Everything works from now on."""
        for _ in range(40):
            self.connect()
            self.end_the_commit(Outcome.DURABLE)
            self.house.pass_time(2)
            self.house.store.commit()
            self.listen()
            self.reader.hear()

    def check(self) -> None:
        received = self.reader.received
        missing = set(self.promised) - set(received)
        assert not missing
        doubles = [number for number in received if self.qos_of[number] == 2 and received.count(number) > 1]
        assert not doubles
        for qos in (1, 2):
            first = list(dict.fromkeys(number for number in received if self.qos_of[number] == qos))
            assert first == sorted(first)
        rows = self.house.store.rows
        assert not rows[Table.MESSAGE]
        assert all(int(key) % 2**32 == 2**32 - 1 for key in rows[Table.DELIVERY])
        assert not self.house.broker.counters.dropped


STEPS = [
    *[lambda world: world.publish(2)] * 4,
    *[lambda world: world.publish(1)] * 3,
    *[World.listen] * 3,
    *[lambda world: world.reader.hear()] * 6,
    *[World.close_the_commit] * 6,
    *[lambda world: world.end_the_commit(Outcome.DURABLE)] * 6,
    lambda world: world.end_the_commit(Outcome.FULL),
    lambda world: world.end_the_commit(Outcome.FAILED),
    *[World.connect] * 4,
    *[World.leave] * 2,
    lambda world: world.house.pass_time(2),
    World.kill,
]
"""What happens often stands here more than once."""


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.integers(0, len(STEPS) - 1), min_size=60, max_size=120))
def test_what_was_promised_comes_and_with_qos_2_once(steps: list[int]) -> None:
    world = World()
    for step in steps:
        STEPS[step](world)
    world.finish()
    world.check()
