"""What comes to a subscriber by the fast way, as bytes that were made once, and by the slow one, in any mixture.

Whatever the order of it all: each message that was taken comes once, those of one QoS in the order of their publishing,
no packet id stands for two at a time, the window is kept, and in the end nothing of it is in memory.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.record import Properties
from gateway.broker.client import Client
from gateway.broker.queue_limits import QueueLimits, Total
from gateway.mqtt.packets import PubAck, PubAcks, PubComp, PubRec, PubRel, Version
from gateway.spool.ports import Outcome
from tests.support.broker import FakeChannel, House, pid, run, subscribe
from tests.support.examples import examples

WINDOW = 5
MORE = Properties(user_property=(("k", "v"),))


class Subscriber:
    """One who answers when he is told to."""

    def __init__(self, house: House, name: str, qos: int, identifier: int | None) -> None:
        self.client: Client
        self.channel: FakeChannel
        self.client, self.channel = house.connect(name, Version.V5, receive_maximum=WINDOW)
        self.client.handle(subscribe("#", qos=qos, identifier=identifier))
        self.channel.take()
        self.qos = qos
        self.received: list[tuple[int, int]] = []
        """QoS and number of each message, as they came."""
        self.unanswered: dict[int, int] = {}
        """Packet id to the kind of packet that is to be answered: 3 or 6 (PUBREL), of those that take a place."""
        self.qos_of: dict[int, int] = {}

    def hear(self) -> None:
        data = self.channel.take()
        at = 0
        while at < len(data):
            self.on_packet(data[at], data[at + 2 : at + 2 + data[at + 1]])
            at += 2 + data[at + 1]

    def on_packet(self, first: int, body: bytes) -> None:
        kind, qos = first >> 4, first >> 1 & 3
        if kind == 6:
            self.unanswered[int.from_bytes(body[:2])] = 6
            return
        assert kind == 3
        assert not first & 8
        at = 2 + int.from_bytes(body[:2])
        if qos:
            packet_id = int.from_bytes(body[at : at + 2])
            assert packet_id not in self.qos_of
            self.qos_of[packet_id] = qos
            assert len(self.qos_of) <= WINDOW
            self.unanswered[packet_id] = 3
            at += 2
        at += 1 + body[at]
        self.received.append((qos, int(body[at:])))

    def answer(self, count: int, *, backwards: bool, as_run: bool) -> None:
        self.hear()
        chosen = list(self.unanswered)[:count]
        if backwards:
            chosen.reverse()
        pubacks = [packet_id for packet_id in chosen if self.qos_of[packet_id] == 1]
        for packet_id in chosen:
            kind = self.unanswered.pop(packet_id)
            if self.qos_of[packet_id] == 1 or kind == 6:
                del self.qos_of[packet_id]
            if packet_id in pubacks:
                if not as_run:
                    self.client.handle(PubAck(packet_id=packet_id))
            elif kind == 3:
                self.client.handle(PubRec(packet_id=packet_id))
            else:
                self.client.handle(PubComp(packet_id=packet_id))
        if as_run and pubacks:
            self.client.handle(PubAcks(packet_ids=[*pubacks, 60_000, pubacks[0]]))  # an unknown one, and one twice
        self.hear()


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 2), st.integers(1, 8), st.sampled_from(["plain", "more", "retain"])),
    st.tuples(st.just("commit"), st.sampled_from([Outcome.DURABLE] * 4 + [Outcome.FULL])),
    st.tuples(st.just("answer"), st.integers(0, 2), st.integers(1, 5), st.booleans(), st.booleans()),
    st.tuples(st.just("writable"), st.integers(0, 2), st.booleans()),
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_both_ways_together_bring_each_message_once_and_in_order(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    total = Total()
    house = House(queue_limits=QueueLimits(total=total))
    subscribers = [
        Subscriber(house, "fast", 1, None),
        Subscriber(house, "slow", 1, 7),
        Subscriber(house, "twice", 2, None),
    ]
    publisher, to_publisher = house.connect("publisher")
    number = 0
    open_runs: list[tuple[int, list[int]]] = []
    taken: list[tuple[int, int]] = []

    def commit(outcome: Outcome) -> None:
        house.store.commit(outcome)
        to_publisher.take()
        for qos, numbers in open_runs:
            if outcome is Outcome.DURABLE or qos == 0:
                taken.extend((qos, each) for each in numbers)
            if qos == 2 and outcome is Outcome.DURABLE:
                publisher.handle(PubRel(packet_ids=[pid(1 + each % 60_000) for each in numbers]))
        open_runs.clear()

    for name, *values in steps:
        if name == "publish":
            qos, count, way = values
            numbers = list(range(number, number + count))
            number += count
            publisher.handle(
                run(
                    qos,
                    *["t"] * count,
                    ids=[1 + each % 60_000 for each in numbers],
                    payloads=[b"%d" % each for each in numbers],
                    properties=[MORE] * count if way == "more" else None,
                    retain=way == "retain",
                )
            )
            open_runs.append((qos, numbers))
        elif name == "commit":
            commit(*values)
        elif name == "answer":
            who, count, backwards, as_run = values
            subscribers[who].answer(count, backwards=backwards, as_run=as_run)
        else:
            who, is_writable = values
            subscribers[who].channel.is_writable = is_writable
            subscribers[who].client.pump()
        for each in subscribers:
            each.hear()
    commit(Outcome.DURABLE)
    for each in subscribers:
        each.channel.is_writable = True
        each.client.pump()
        each.hear()
        while each.unanswered:
            each.answer(100, backwards=False, as_run=True)
        for qos in (0, 1, 2):
            expected = [item for sent_qos, item in taken if min(sent_qos, each.qos) == qos]
            assert [item for got_qos, item in each.received if got_qos == qos] == expected
        assert max(Counter(item for _, item in each.received).values(), default=0) <= 1
    assert (total.held_bytes, total.entries) == (0, 0)
    assert not any(house.broker.counters.dropped.values())
