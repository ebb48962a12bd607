"""One publisher to many subscribers: how many deliveries a second a broker makes, and how many it owes.

Publisher and subscribers are one process, beside the broker's. All packets have one size, so a subscriber counts the
bytes that came and divides; nothing is parsed. With QoS 1 the packet identifiers stand at the same place of each packet
and are put into PUBACKs by four slices. The publisher stays at most `ahead` messages before the slowest subscriber, so
that no broker has a reason to drop, and what is measured is what it can keep up for ever.

`python -m simulators.load.fanout --port 1883 --subscribers 10 --messages 100000` prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

from simulators.load.options import LoadFailed
from simulators.load.packets import V311, decode_connack, encode_connect, encode_subscribe
from simulators.load.rings import Ring, encode_ring

_READ_BYTES: Final = 512 * 1024
_TIMEOUT_S: Final = 15.0
_RING_MESSAGES: Final = 4000
_TOPIC: Final = "plant/line-1/{device}/telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class FanoutOptions:
    """`messages` from one publisher to each of `subscribers`; `stall_s` without a byte, and it is given up."""

    host: str = "127.0.0.1"
    port: int = 1883
    subscribers: int = 10
    qos: int = 0
    messages: int = 100_000
    payload_bytes: int = 160
    ahead: int = 1000
    stall_s: float = 3.0

    def __post_init__(self) -> None:
        if self.subscribers < 1 or self.messages < 1 or self.qos not in {0, 1}:
            raise ValueError("A fan-out needs a subscriber and a message at least, and QoS 0 or 1.")
        if not 1 <= self.ahead <= _RING_MESSAGES // 2:
            raise ValueError(f"The publisher may be between 1 and {_RING_MESSAGES // 2} messages ahead.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FanoutResult:
    """What came of it: `expected` deliveries were due. Times are of `time.monotonic`."""

    expected: int
    delivered: int
    started_s: float
    ended_s: float
    cpu_s: float

    @property
    def rate_per_s(self) -> float:
        """Deliveries a second, over all subscribers."""
        return self.delivered / max(1e-9, self.ended_s - self.started_s)


class Subscriber:
    """One socket that counts."""

    __slots__ = ("_id_at", "_rest", "_size", "qos", "received_bytes", "socket")

    def __init__(self, options: FanoutOptions, number: int, ring: Ring) -> None:
        self.socket = _connect(options, f"fanout-subscriber-{number}")
        self.socket.sendall(encode_subscribe(["plant/#"], qos=options.qos, version=V311))
        if _exactly(self.socket, 5)[:2] != b"\x90\x03":
            raise LoadFailed("The broker did not answer SUBSCRIBE with a SUBACK of one filter.")
        self.socket.setblocking(False)
        self.qos = options.qos
        self.received_bytes = 0
        self._size = ring.size_bytes
        self._rest = b""
        # First byte, remaining length, then the topic behind its length; the identifier comes after it.
        header = 2 if ring.data[1] < 0x80 else 3
        self._id_at = header + 2 + int.from_bytes(ring.data[header : header + 2], "big")

    @property
    def received(self) -> int:
        """Messages that came."""
        return self.received_bytes // self._size

    def on_readable(self) -> None:
        """Count what came, and acknowledge it."""
        data = self.socket.recv(_READ_BYTES)
        if not data:
            raise LoadFailed("The broker closed the connection of a subscriber.")
        self.received_bytes += len(data)
        if self.qos:
            data = self._rest + data
            whole = len(data) // self._size
            stop = whole * self._size
            self._rest = data[stop:]
            acks = bytearray(4 * whole)
            acks[0::4] = b"\x40" * whole
            acks[1::4] = b"\x02" * whole
            acks[2::4] = data[self._id_at : stop : self._size]
            acks[3::4] = data[self._id_at + 1 : stop : self._size]
            self._send(acks)

    def _send(self, data: bytearray) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:  # the broker is behind with reading; four bytes a message will fit soon
                select.select([], [self.socket], [], _TIMEOUT_S)


class Publisher:
    """One socket that sends its ring, as far as it is allowed."""

    __slots__ = ("_limit_bytes", "_ring", "_sent_bytes", "acknowledged_bytes", "socket", "wants_write")

    def __init__(self, options: FanoutOptions, ring: Ring) -> None:
        self.socket = _connect(options, "fanout-publisher")
        self.socket.setblocking(False)
        self.acknowledged_bytes = 0
        self.wants_write = False
        self._ring = ring
        self._sent_bytes = 0
        self._limit_bytes = 0

    def allow(self, messages: int) -> None:
        """It may have sent so many in all."""
        self._limit_bytes = messages * self._ring.size_bytes
        self.advance()

    def advance(self) -> None:
        """Send what is allowed."""
        ring = self._ring.data
        try:
            while self._sent_bytes < self._limit_bytes:
                at = self._sent_bytes % len(ring)
                self._sent_bytes += self.socket.send(ring[at : at + min(self._limit_bytes - self._sent_bytes, 262_144)])
            self.wants_write = False
        except BlockingIOError:
            self.wants_write = True

    def on_event(self, event: int) -> None:
        """PUBACKs came, or the socket takes more."""
        if event & ~select.EPOLLOUT:
            self._read()
        if event & select.EPOLLOUT:
            self.advance()

    def _read(self) -> None:
        data = self.socket.recv(_READ_BYTES)
        if not data:
            raise LoadFailed("The broker closed the connection of the publisher.")
        self.acknowledged_bytes += len(data)


def run_fanout(options: FanoutOptions) -> FanoutResult:
    """Run it in this thread. Raises LoadFailed when the broker ends a connection; what it owes is in the result."""
    ring = encode_ring(
        device=0,
        count=_RING_MESSAGES,
        payload_bytes=options.payload_bytes,
        qos=options.qos,
        version=V311,
        user_property=False,
        topic=_TOPIC,
        seed=1,
    )
    subscribers = [Subscriber(options, number, ring) for number in range(options.subscribers)]
    publisher = Publisher(options, ring)
    run = _Run(options, ring, publisher, subscribers)
    try:
        return run.run()
    except OSError as error:
        raise LoadFailed(f"A connection of the fan-out failed: {error}") from error
    finally:
        for sock in [publisher.socket, *(subscriber.socket for subscriber in subscribers)]:
            sock.close()


class _Run:
    """From the first publish to the last delivery."""

    def __init__(self, options: FanoutOptions, ring: Ring, publisher: Publisher, subscribers: list[Subscriber]) -> None:
        self._options = options
        self._size_bytes = ring.size_bytes
        self._publisher = publisher
        self._subscribers = subscribers
        self._by_file = {subscriber.socket.fileno(): subscriber for subscriber in subscribers}
        self._waiting = set(self._by_file)
        self._allowed = 0
        self._poll = select.epoll()

    def run(self) -> FanoutResult:
        """As `run_fanout`."""
        publisher, poll = self._publisher, self._poll
        own = publisher.socket.fileno()
        for file in (*self._by_file, own):
            poll.register(file, select.EPOLLIN)
        writing = False
        cpu_before_s = time.process_time()
        started_s = ended_s = time.monotonic()
        self._allow()
        while self._waiting:
            if publisher.wants_write is not writing:
                writing = publisher.wants_write
                poll.modify(own, select.EPOLLIN | select.EPOLLOUT if writing else select.EPOLLIN)
            events = poll.poll(self._options.stall_s)
            if not events:
                break
            ended_s = time.monotonic()
            for file, event in events:
                if file == own:
                    publisher.on_event(event)
                else:
                    self._count(file)
            self._allow()
        poll.close()
        return FanoutResult(
            expected=self._options.messages * len(self._subscribers),
            delivered=sum(subscriber.received for subscriber in self._subscribers),
            started_s=started_s,
            ended_s=ended_s,
            cpu_s=time.process_time() - cpu_before_s,
        )

    def _count(self, file: int) -> None:
        subscriber = self._by_file[file]
        subscriber.on_readable()
        if subscriber.received_bytes >= self._options.messages * self._size_bytes:
            self._waiting.discard(file)

    def _allow(self) -> None:
        """Let the publisher go on, a quarter of its lead at a time."""
        total, ahead = self._options.messages, self._options.ahead
        least = min(subscriber.received_bytes for subscriber in self._subscribers) // self._size_bytes
        room = min(total, least + ahead)
        if room - self._allowed >= ahead // 4 or room == total > self._allowed:
            self._allowed = room
            self._publisher.allow(room)


def _connect(options: FanoutOptions, client_id: str) -> socket.socket:
    try:
        sock = socket.create_connection((options.host, options.port), timeout=_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(encode_connect(client_id, version=V311))
        answer = decode_connack(_exactly(sock, 4), version=V311)
    except OSError as error:
        raise LoadFailed(f"No connection to {options.host}:{options.port} could be made: {error}") from error
    if answer is None or answer.reason_code:
        raise LoadFailed(f"The broker at {options.host}:{options.port} refused a connection of the fan-out.")
    return sock


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise LoadFailed("The broker closed a connection of the fan-out before it began.")
        data += more
    return data


def main() -> int:
    """Run what the command line says. Returns 0, or 1 when it could not be run to its end."""
    parser = argparse.ArgumentParser(prog="python -m simulators.load.fanout")
    for name, value in asdict(FanoutOptions()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    try:
        result = run_fanout(FanoutOptions(**vars(parser.parse_args())))
    except (LoadFailed, ValueError) as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
