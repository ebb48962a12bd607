"""A broker on a fake store, with channels that remember what was written to them."""

from __future__ import annotations

from itertools import count
from typing import Any

from bridge.record import Properties
from config import settings
from config.settings import Stream
from gateway.access.ports import Granted
from gateway.broker.broker import Broker
from gateway.broker.client import Client
from gateway.broker.connack import Terms
from gateway.mqtt.packets import Connect, PublishBatch, Subscribe, Subscription, Version
from tests.support.store import FakeStore


class FakeClock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.s = 1000.0

    def monotonic_s(self) -> float:
        return self.s

    def now_us(self) -> int:
        return 1_700_000_000_000_000 + int(self.s * 1_000_000)


class FakeChannel:
    """A `Channel`; `writes` has one entry a write."""

    def __init__(self) -> None:
        self.peer = "192.0.2.1:5000"
        self.is_writable = True
        self.writes: list[bytes] = []
        self.is_closed = False
        self.is_reading = True

    def write(self, data: bytes) -> None:
        if not self.is_closed:
            self.writes.append(data)

    write_soon = write

    def stop_reading(self) -> None:
        self.is_reading = False

    def close(self) -> None:
        self.is_closed = True

    def take(self) -> bytes:
        """Everything written since the last call."""
        data = b"".join(self.writes)
        self.writes.clear()
        return data


class House:
    """A broker and the ways to use it in a test."""

    def __init__(
        self,
        *streams: Stream,
        sessions: dict[str, bytes] | None = None,
        store: FakeStore | None = None,
        limits: settings.Sessions | None = None,
        **more: Any,
    ) -> None:
        self.store = store or FakeStore(sessions)
        if limits is not None:
            more["sessions"] = limits
        self.clock = FakeClock()
        numbers = count(1)
        self.broker = Broker(
            store=self.store,
            clock=self.clock,
            streams=streams or (Stream(),),
            new_client_id=lambda: f"auto-{next(numbers)}",
            **more,
        )

    def connect(
        self, client_id: str = "device", version: Version = Version.V311, *, terms: Terms | None = None, **more: Any
    ) -> tuple[Client, FakeChannel]:
        """A connected client, and its channel with nothing in it."""
        client, channel = self.knock(client_id, version, terms=terms, **more)
        assert client is not None
        if not channel.writes:
            self.store.commit()
        assert channel.take()[:1] == b"\x20"
        return client, channel

    def knock(
        self, client_id: str = "device", version: Version = Version.V311, *, terms: Terms | None = None, **more: Any
    ) -> tuple[Client | None, FakeChannel]:
        """What `Broker.connect` makes of a CONNECT, with the channel as it is then."""
        channel = FakeChannel()
        granted = more.pop("granted", Granted())
        packet = Connect(
            version=version,
            client_id=client_id,
            clean_start=more.pop("clean_start", True),
            keep_alive_s=more.pop("keep_alive_s", 60),
            **more,
        )
        return self.broker.connect(channel, packet, terms or Terms(), granted), channel

    def pass_time(self, seconds: float) -> None:
        """Time passes, and what is due is done."""
        self.clock.s += seconds
        self.broker.tick()

    def restarted(self) -> House:
        """A new broker, on what the disk had."""
        return House(store=FakeStore(self.store.disk, rows=self.store.rows))


def pid(number: int) -> bytes:
    """A packet id as it stands in packets."""
    return number.to_bytes(2, "big")


def run(
    qos: int,
    *topics: str,
    first_id: int = 1,
    ids: list[int] | None = None,
    payloads: list[bytes] | None = None,
    retain: bool = False,
    dup: bool = False,
    properties: list[Properties | None] | None = None,
) -> PublishBatch:
    """A run of publishes as the reader makes it; payload `i` is its number unless given."""
    n = len(topics)
    numbers = ids if ids is not None else list(range(first_id, first_id + n))
    return PublishBatch(
        qos=qos,
        topics=[topic.encode() for topic in topics],
        payloads=payloads if payloads is not None else [str(i).encode() for i in range(n)],
        packet_ids=[pid(number) for number in numbers] if qos else [],
        first_bytes=bytearray([0x30 | dup << 3 | qos << 1 | retain] * n),
        properties=properties,
        size_bytes=20 * n,
    )


def subscribe(
    *filters: str, qos: int = 0, packet_id: int = 77, identifier: int | None = None, **options: Any
) -> Subscribe:
    """A SUBSCRIBE to the filters, all with the same options."""
    return Subscribe(
        packet_id=packet_id,
        subscriptions=tuple(Subscription(topic_filter=each, qos=qos, **options) for each in filters),
        subscription_identifier=identifier,
    )


def pubacks(*numbers: int) -> bytes:
    return b"".join(b"\x40\x02" + pid(number) for number in numbers)


def pubrecs(*numbers: int) -> bytes:
    return b"".join(b"\x50\x02" + pid(number) for number in numbers)


def pubcomps(*numbers: int) -> bytes:
    return b"".join(b"\x70\x02" + pid(number) for number in numbers)
