"""A TCP link that is slow, narrow and breaks: a proxy between the gateway and the cloud.

- Delay is one way and applies to each direction, so a round trip takes twice the delay. Jitter is uniform around it and
  keeps the order. Setting up a TCP connection is not delayed; the first bytes are.
- The rate is a bound on each direction, shared by all connections. The socket buffers are kept small with it, so that
  the queue is at the sender, where a real link has it, and not in this machine's memory.
- A cut resets every connection, and new ones are refused. A black hole lets bytes vanish and closes nothing; those who
  were connected stay unheard for ever, as behind a NAT that forgot them, and who connects meanwhile is never answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from simulators.link_model import DelayLine, FaultSchedule, LinkState, TokenBucket
from simulators.units import Endpoint, Window

_SLICE_S = 0.005
_MIN_SLICE_BYTES = 1460
_MIN_SOCKET_BUFFER_BYTES = 16 * 1024
_UNLIMITED_BUFFER_BYTES = 32 * 1024 * 1024
_EARLY_S = 0.0005
"""The loop's timers are not finer than this; what is due within it goes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """A link and its faults. Durations in seconds; `rate_bits_per_s` None: as fast as it goes."""

    listen: Endpoint
    to: Endpoint
    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate_bits_per_s: float | None = None
    cuts: tuple[Window, ...] = ()
    black_holes: tuple[Window, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.to.port == 0:
            raise ValueError("The link needs a port to go to.")
        DelayLine(delay_s=self.delay_s, jitter_s=self.jitter_s)
        if self.rate_bits_per_s is not None:
            TokenBucket(rate_bits_per_s=self.rate_bits_per_s, burst_bytes=0)


@dataclass(slots=True)
class LinkCounters:
    """What went over the link; up is from the listening side to the far one."""

    connections: int = 0
    refused: int = 0
    """Connections that the far side did not take."""
    bytes_up: int = 0
    bytes_down: int = 0
    bytes_vanished: int = 0


class LinkProxy:
    """The link. `start`, then `cut`, `blackhole` and `restore` at any time; all belong to the event loop."""

    def __init__(self, options: LinkOptions, *, on_change: Callable[[LinkState], None] | None = None) -> None:
        self.counters = LinkCounters()
        self.state = LinkState.UP
        self._options = options
        self._on_change = on_change
        self._placeholder: socket.socket | None = None
        self._listening: socket.socket | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # How much of one connection may be under way before its sender has to wait, and how little before it may go on:
        # never less than is on the line at full rate, or the line would run dry.
        self.high_water_bytes, self.low_water_bytes = _UNLIMITED_BUFFER_BYTES, _UNLIMITED_BUFFER_BYTES // 2
        if options.rate_bits_per_s is not None:
            bytes_per_s = options.rate_bits_per_s / 8
            on_the_line = bytes_per_s * (options.delay_s + options.jitter_s)
            self.low_water_bytes = int(on_the_line + max(4 * _SLICE_S * bytes_per_s, 2 * _MIN_SLICE_BYTES))
            self.high_water_bytes = int(on_the_line + max(8 * _SLICE_S * bytes_per_s, 4 * _MIN_SLICE_BYTES))

    @property
    def address(self) -> Endpoint:
        """Where it listens, with the port that it really has. Raises RuntimeError before `start`."""
        if self._placeholder is None:
            raise RuntimeError("The link is not started.")
        return Endpoint(host=self._options.listen.host, port=self._placeholder.getsockname()[1])

    @property
    def open_connections(self) -> int:
        """Connections that have at least one open end."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen, and begin the schedule of faults. Raises OSError when the address is taken."""
        self._loop = asyncio.get_running_loop()
        chance = random.Random(self._options.seed)
        self._up, self._down = _Direction(self, self._options, chance), _Direction(self, self._options, chance)
        listen = self._options.listen
        found = await self._loop.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
        # The bound socket that never listens keeps the port ours while the link is cut and no one may connect.
        self._placeholder = socket.socket(found[0][0], socket.SOCK_STREAM)
        try:
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._placeholder.bind(found[0][4])
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._listen()
        except OSError:
            self._placeholder.close()
            self._placeholder = None
            raise
        schedule = FaultSchedule(cuts=self._options.cuts, black_holes=self._options.black_holes)
        if schedule.next_change_s(-1.0) is not None:
            self._own(self._follow(schedule))

    async def stop(self) -> None:
        """Close everything; idempotent."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stop_listening()
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
            self._reset_all()
        await asyncio.sleep(0)  # the aborted transports close on the loop's next turn

    def cut(self) -> None:
        """Reset every connection and refuse new ones until `restore`."""
        if self.state is not LinkState.CUT:
            self._stop_listening()
            self._reset_all()
            self._become(LinkState.CUT)

    def blackhole(self) -> None:
        """Let every byte vanish until `restore`; who is connected now stays unheard for ever."""
        if self.state is not LinkState.BLACK_HOLE:
            self._up.clear()
            self._down.clear()
            for connection in self._connections:
                connection.forget()
            self._listen()
            self._become(LinkState.BLACK_HOLE)

    def restore(self) -> None:
        """Take new connections and carry their bytes again."""
        if self.state is not LinkState.UP:
            self._listen()
            self._become(LinkState.UP)

    def _become(self, state: LinkState) -> None:
        self.state = state
        if self._on_change:
            self._on_change(state)

    async def _follow(self, schedule: FaultSchedule) -> None:
        began_s = self._loop.time()
        at_s = 0.0
        while True:
            match schedule.state(at_s):
                case LinkState.CUT:
                    self.cut()
                case LinkState.BLACK_HOLE:
                    self.blackhole()
                case LinkState.UP:
                    self.restore()
            next_s = schedule.next_change_s(at_s)
            if next_s is None:
                return
            await asyncio.sleep(began_s + next_s - self._loop.time())
            at_s = next_s

    # Listening and connecting.

    def _listen(self) -> None:
        if self._listening is not None or self._placeholder is None:
            return
        sock = socket.socket(self._placeholder.family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.fit_buffer(sock)
        sock.setblocking(False)
        try:
            sock.bind(self._placeholder.getsockname())
            sock.listen(1024)
        except OSError:
            sock.close()
            raise
        self._listening = sock
        self._loop.add_reader(sock.fileno(), self._accept)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None

    def _accept(self) -> None:
        if self._listening is None:
            return
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            near, _ = self._listening.accept()
            near.setblocking(False)
            self._own(self._open(near))

    async def _open(self, near: socket.socket) -> None:
        """Join an accepted connection to a new one to the far side."""
        self.counters.connections += 1
        connection = _Connection(self, self._up, self._down)
        self._connections.add(connection)
        if self.state is LinkState.BLACK_HOLE:
            connection.forget()
        try:
            if not connection.forgotten:
                to = self._options.to
                far, _ = await self._loop.create_connection(lambda: connection.far, to.host, to.port)
                self.fit_buffer(far.get_extra_info("socket"))
            if self.state is LinkState.CUT:  # it was cut while this one was under way
                raise ConnectionAbortedError
            await self._loop.connect_accepted_socket(lambda: connection.near, near)
        except (OSError, asyncio.CancelledError) as error:
            self.counters.refused += isinstance(error, OSError)
            _reset_on_close(near)
            near.close()
            connection.reset()
            if not isinstance(error, OSError):
                raise

    def fit_buffer(self, sock: socket.socket) -> None:
        """With a rate: let the kernel hold no more than the link itself would."""
        if self._options.rate_bits_per_s is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(_MIN_SOCKET_BUFFER_BYTES, self.high_water_bytes))

    def _reset_all(self) -> None:
        self._up.clear()
        self._down.clear()
        for connection in tuple(self._connections):
            connection.reset()

    def forget_connection(self, connection: _Connection) -> None:
        """Both ends are closed."""
        self._connections.discard(connection)

    def count(self, direction: _Direction, size: int) -> None:
        """Bytes that the link took in."""
        if direction is self._up:
            self.counters.bytes_up += size
        else:
            self.counters.bytes_down += size

    def _own(self, work: asyncio._CoroutineLike[None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Direction:
    """One way of the link: a bucket, a delay line, and what is under way in it, in the order of its arrival."""

    def __init__(self, proxy: LinkProxy, options: LinkOptions, chance: random.Random) -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._chance = chance
        self._jitter = options.jitter_s > 0
        self._line = DelayLine(delay_s=options.delay_s, jitter_s=options.jitter_s)
        self._bucket: TokenBucket | None = None
        self._slice_bytes = 0
        if options.rate_bits_per_s is not None:
            self._slice_bytes = max(_MIN_SLICE_BYTES, int(options.rate_bits_per_s / 8 * _SLICE_S))
            self._bucket = TokenBucket(rate_bits_per_s=options.rate_bits_per_s, burst_bytes=self._slice_bytes)
        self._at_once = self._bucket is None and not options.delay_s and not options.jitter_s
        self._under_way: deque[tuple[float, _End, bytes | memoryview | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def carry(self, source: _End, data: bytes) -> None:
        """Bring data from `source` to its peer."""
        self._proxy.count(self, len(data))
        if self._at_once:
            source.peer.write(data)
            return
        now_s = self._loop.time()
        source.queued_bytes += len(data)
        if self._bucket is None or len(data) <= self._slice_bytes:
            self._push(source, data, len(data), now_s)
        else:
            view = memoryview(data)
            for start in range(0, len(data), self._slice_bytes):
                part = view[start : start + self._slice_bytes]
                self._push(source, part, len(part), now_s)
        if source.queued_bytes > self._proxy.high_water_bytes:
            source.hold()

    def carry_close(self, source: _End) -> None:
        """Bring the end of `source` to its peer, behind its data."""
        if self._at_once:
            source.peer.close()
        else:
            self._push(source, None, 0, self._loop.time())

    def _push(self, source: _End, data: bytes | memoryview | None, size: int, now_s: float) -> None:
        departure_s = self._bucket.reserve(size, now_s) if self._bucket else now_s
        due_s = self._line.arrival(departure_s, self._chance.uniform(-1.0, 1.0) if self._jitter else 0.0)
        self._under_way.append((due_s, source, data))
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now_s = self._loop.time() + _EARLY_S
        under_way = self._under_way
        while under_way and under_way[0][0] <= now_s:
            _, source, data = under_way.popleft()
            if data is None:
                source.peer.close()
            else:
                source.queued_bytes -= len(data)
                source.peer.write(data)
                source.release()
        if under_way:
            self._timer = self._loop.call_at(under_way[0][0], self._deliver)

    def clear(self) -> None:
        """What is under way vanishes."""
        for _, source, data in self._under_way:
            if data is not None:
                source.queued_bytes -= len(data)
                self._proxy.counters.bytes_vanished += len(data)
        self._under_way.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Connection:
    """Two ends, joined until one of them closes, a cut resets both, or a black hole swallowed what was between them."""

    def __init__(self, proxy: LinkProxy, up: _Direction, down: _Direction) -> None:
        self.proxy = proxy
        self.forgotten = False
        self.near = _End(self, up)
        self.far = _End(self, down)
        self.near.peer, self.far.peer = self.far, self.near

    def forget(self) -> None:
        """From now on no end hears of the other again."""
        self.forgotten = True
        for end in (self.near, self.far):
            end.release()

    def reset(self) -> None:
        """RST to both ends."""
        self.near.reset()
        self.far.reset()
        self.check_over()

    def check_over(self) -> None:
        """Tell the link when no end is open."""
        if not self.near.is_open and not self.far.is_open:
            self.proxy.forget_connection(self)


class _End(asyncio.Protocol):
    """One socket of a connection."""

    peer: _End

    def __init__(self, connection: _Connection, direction: _Direction) -> None:
        self._connection = connection
        self._direction = direction
        self._transport: asyncio.Transport | None = None
        self._held = False
        self._full = False
        self._early: list[bytes | memoryview] = []
        self._ended = False
        self.queued_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's is one, but not by its class
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._ended:
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._connection.forgotten:
            self._connection.proxy.counters.bytes_vanished += len(data)
        else:
            self._direction.carry(self, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- a reset ends the other side as an end does
        self._transport = None
        if not self._connection.forgotten:
            self._direction.carry_close(self)
        self._connection.check_over()

    def pause_writing(self) -> None:
        self._full = True
        self.peer.hold()

    def resume_writing(self) -> None:
        self._full = False
        self.peer.release()

    def write(self, data: bytes | memoryview) -> None:
        """Data that arrived for this end."""
        if self._transport is not None:
            self._transport.write(data)
        elif not self._ended:
            self._early.append(data)  # the far side may speak first, before the near one is joined

    def close(self) -> None:
        """The other end closed."""
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """RST."""
        self._ended = True
        if self._transport is not None:
            _reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()
            self._transport = None

    def hold(self) -> None:
        """Read no more for now."""
        if not self._held and self._transport is not None and not self._connection.forgotten:
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Read on, when nothing is in the way any more."""
        free = self._connection.forgotten or (
            not self.peer._full and self.queued_bytes <= self._connection.proxy.low_water_bytes
        )
        if self._held and free and self._transport is not None:
            self._held = False
            if not self._transport.is_closing():
                self._transport.resume_reading()


def _reset_on_close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
