"""A device that follows the protocol, a disk that fails, connections that break and a gateway that is killed.

Whatever the order of it all: what the device was told is stored, is stored once; what it was told is refused, is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.client import Client
from gateway.mqtt.packets import PubRel, Version
from gateway.spool.ports import Outcome
from tests.support.broker import FakeChannel, House, pid, run
from tests.support.examples import examples
from tests.support.store import Commit


@dataclass
class Device:
    """The client's side of its session: what it keeps until the exchange is complete."""

    version: Version
    sent: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Packet id to QoS and payload, in the order of sending: PUBLISH went out, no answer came."""
    released: list[int] = field(default_factory=list)
    payload_of: dict[int, bytes] = field(default_factory=dict)
    done: dict[bytes, int] = field(default_factory=dict)
    refused: set[bytes] = field(default_factory=set)
    """QoS 2 only: of QoS 1, an earlier sending of the same may have been stored."""
    was_welcome: bool = False
    number: int = 0

    def free_id(self) -> int:
        return next(i for i in range(1, 100) if i not in self.sent and i not in self.released)


class World:
    """The device, the gateway, and what may happen to them; what cannot happen now does nothing."""

    def __init__(self) -> None:
        self.house = House()
        self.stored_before: list[bytes] = []
        self.device = Device(version=Version.V5)
        self.client: Client | None = None
        self.channel: FakeChannel | None = None
        self.is_welcome = False
        self.closed: tuple[Commit, dict[str, bytes | None]] | None = None

    def connect(self, version: Version) -> None:
        if self.channel is None:
            self.device.version = version
            expiry = 0xFFFFFFFF if version is Version.V5 else None
            self.client, self.channel = self.house.knock(
                version=version, clean_start=False, session_expiry_interval_s=expiry
            )

    def publish(self, qos: int) -> None:
        if self.is_welcome and len(self.device.sent) + len(self.device.released) < 4:
            self.device.number += 1
            self.send(self.device.free_id(), qos, b"%d" % self.device.number, dup=False)

    def hear(self) -> None:
        """The device reads what was written to it."""
        if self.channel is None:
            return
        data = self.channel.take()
        if self.channel.is_closed:
            self.lose_the_connection()
        at = 0
        while at < len(data):
            length = data[at + 1]
            self.on_packet(data[at], data[at + 2 : at + 2 + length])
            at += 2 + length

    def lose_the_connection(self) -> None:
        if self.client is not None:
            self.client.lost()
        self.client = self.channel = None
        self.is_welcome = False

    def close_the_commit(self) -> None:
        if self.closed is None:
            self.closed = self.house.store.close_commit()

    def end_the_commit(self, outcome: Outcome) -> None:
        if self.closed is not None:
            closed, self.closed = self.closed, None
            self.house.store.end_commit(closed, outcome)

    def pass_time(self) -> None:
        self.house.pass_time(2)

    def fill_the_disk(self, has_room: bool) -> None:
        self.house.store.has_room = has_room

    def kill_the_gateway(self) -> None:
        self.stored_before += [each.payload for each in self.house.store.stored]
        self.house = self.house.restarted()
        self.client = self.channel = self.closed = None
        self.is_welcome = False

    # ---- how the device answers

    def on_packet(self, first: int, body: bytes) -> None:
        device = self.device
        if first == 0x20:
            if body[1] == 0:
                self.on_welcome(session_present=bool(body[0]))
            return
        packet_id = int.from_bytes(body[:2])
        is_error = len(body) > 2 and body[2] >= 0x80
        if first == 0x70:
            assert packet_id in device.released
            device.released.remove(packet_id)
            self.complete(device.payload_of[packet_id], 2)
        elif first in {0x40, 0x50} and packet_id in device.sent:
            qos, payload = device.sent.pop(packet_id)
            assert first == (0x40 if qos == 1 else 0x50)
            if is_error:
                if qos == 2:
                    device.refused.add(payload)
            elif qos == 1:
                self.complete(payload, 1)
            else:
                device.payload_of[packet_id] = payload
                device.released.append(packet_id)
                self.release(packet_id)
        else:
            # The answer to a duplicate may come after the exchange went on.
            assert first == 0x50

    def on_welcome(self, *, session_present: bool) -> None:
        device = self.device
        assert session_present or not device.was_welcome, "a session that was announced is gone"
        device.was_welcome = self.is_welcome = True
        for packet_id in device.released:
            self.release(packet_id)
        for packet_id, (qos, payload) in list(device.sent.items()):
            self.send(packet_id, qos, payload, dup=True)

    def send(self, packet_id: int, qos: int, payload: bytes, *, dup: bool) -> None:
        self.device.sent[packet_id] = (qos, payload)
        if self.client is not None:
            self.client.handle(run(qos, "t", ids=[packet_id], payloads=[payload], dup=dup))

    def release(self, packet_id: int) -> None:
        if self.client is not None:
            self.client.handle(PubRel(packet_ids=[pid(packet_id)]))

    def complete(self, payload: bytes, qos: int) -> None:
        assert payload not in self.device.done
        self.device.done[payload] = qos

    # ---- what must hold

    def check(self) -> None:
        stored = self.stored_before + [each.payload for each in self.house.store.stored]
        qos_2_waiting = {payload for qos, payload in self.device.sent.values() if qos == 2}
        for payload, qos in self.device.done.items():
            assert stored.count(payload) >= 1
            if qos == 2:
                assert stored.count(payload) == 1
        for packet_id in self.device.released:
            assert stored.count(self.device.payload_of[packet_id]) == 1
        for payload in self.device.refused:
            assert stored.count(payload) == 0
        for payload in qos_2_waiting:
            assert stored.count(payload) <= 1


STEPS = [
    *[lambda world: world.connect(Version.V5), lambda world: world.connect(Version.V311)] * 3,
    *[lambda world: world.publish(2)] * 5,
    *[lambda world: world.publish(1)] * 2,
    *[World.hear] * 8,
    *[World.close_the_commit] * 6,
    *[lambda world: world.end_the_commit(Outcome.DURABLE)] * 6,
    lambda world: world.end_the_commit(Outcome.FULL),
    lambda world: world.end_the_commit(Outcome.FAILED),
    World.lose_the_connection,
    World.pass_time,
    lambda world: world.fill_the_disk(False),
    *[lambda world: world.fill_the_disk(True)] * 3,
    World.kill_the_gateway,
]
"""What happens often stands here more than once."""


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.integers(0, len(STEPS) - 1), min_size=100, max_size=140))
def test_what_the_device_was_told_is_true(steps: list[int]) -> None:
    world = World()
    for step in steps:
        STEPS[step](world)
        world.check()
