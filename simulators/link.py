"""A TCP link that is slow, narrow and breaks: a proxy between the gateway and the cloud.

- Delay is one way and applies to each direction, so a round trip takes twice the delay. Jitter is uniform around it and
  keeps the order. Setting up a TCP connection is not delayed; the first bytes are.
- The rate is a bound on each direction, shared by all connections. The socket buffers are kept small with it, so that
  the queue is at the sender, where a real link has it, and not in this machine's memory.
- TCP hides loss: a lost segment arrives one retransmission later, and everything behind it waits. So does it here.
- A cut resets every connection, and new ones are refused. A black hole lets bytes vanish and closes nothing; those who
  were connected stay unheard for ever, as behind a NAT that forgot them, and who connects meanwhile is never answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

from simulators.link_model import DelayLine, FaultSchedule, LinkState, TokenBucket
from simulators.link_wire import Connection, Direction, Line, reset_on_close
from simulators.units import Endpoint, Window

_MIN_SOCKET_BUFFER_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """A link and its faults. Durations in seconds; `rate_bits_per_s` None: as fast as it goes."""

    listen: Endpoint
    to: Endpoint
    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate_bits_per_s: float | None = None
    loss: float = 0.0
    """The share of segments that have to be sent again."""
    may_change: bool = False
    """The socket buffers are kept small, because the link may get a rate later."""
    cuts: tuple[Window, ...] = ()
    black_holes: tuple[Window, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.to.port == 0:
            raise ValueError("The link needs a port to go to.")
        DelayLine(delay_s=self.delay_s, jitter_s=self.jitter_s)
        _ = self.line
        if self.rate_bits_per_s is not None:
            TokenBucket(rate_bits_per_s=self.rate_bits_per_s, burst_bytes=0)

    @property
    def line(self) -> Line:
        """What each direction can carry."""
        return Line(delay_s=self.delay_s, jitter_s=self.jitter_s, rate_bits_per_s=self.rate_bits_per_s, loss=self.loss)


@dataclass(frozen=True, slots=True, kw_only=True)
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
        self.state = LinkState.UP
        self._options = options
        self._on_change = on_change
        self._placeholder: socket.socket | None = None
        self._listening: socket.socket | None = None
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._line = options.line
        self._directions: tuple[Direction, Direction] | None = None
        """Up (from the listening side) and down."""
        self._taken = self._refused = 0

    @property
    def address(self) -> Endpoint:
        """Where it listens, with the port that it really has. Raises RuntimeError before `start`."""
        if self._placeholder is None:
            raise RuntimeError("The link is not started.")
        return Endpoint(host=self._options.listen.host, port=self._placeholder.getsockname()[1])

    @property
    def counters(self) -> LinkCounters:
        """What went over it so far. Raises RuntimeError before the first `start`."""
        if self._directions is None:
            raise RuntimeError("The link is not started.")
        up, down = self._directions
        return LinkCounters(
            connections=self._taken,
            refused=self._refused,
            bytes_up=up.bytes_taken,
            bytes_down=down.bytes_taken,
            bytes_vanished=up.bytes_vanished + down.bytes_vanished,
        )

    @property
    def open_connections(self) -> int:
        """Connections that have at least one open end."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen, and begin the schedule of faults. Raises OSError when the address is taken."""
        self._loop = asyncio.get_running_loop()
        chance = random.Random(self._options.seed)
        self._directions = Direction(self._line, chance), Direction(self._line, chance)
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
            self._clear()
            for connection in self._connections:
                connection.forget()
            self._listen()
            self._become(LinkState.BLACK_HOLE)

    def change(self, line: Line) -> None:
        """Carry as `line` says from now on; see `LinkOptions.may_change`."""
        self._line = line
        for direction in self._directions or ():
            direction.change(line)

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
        self._fit_buffer(sock)
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
        if self._listening is None or self._directions is None:
            return
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            near, _ = self._listening.accept()
            near.setblocking(False)
            self._own(self._open(near, Connection(*self._directions, self._connections.discard)))

    async def _open(self, near: socket.socket, connection: Connection) -> None:
        """Join an accepted connection to a new one to the far side."""
        self._taken += 1
        self._connections.add(connection)
        if self.state is LinkState.BLACK_HOLE:
            connection.forget()
        try:
            if not connection.forgotten:
                to = self._options.to
                far, _ = await self._loop.create_connection(lambda: connection.far, to.host, to.port)
                self._fit_buffer(far.get_extra_info("socket"))
            if self.state is LinkState.CUT:  # it was cut while this one was under way
                raise ConnectionAbortedError
            await self._loop.connect_accepted_socket(lambda: connection.near, near)
        except (OSError, asyncio.CancelledError) as error:
            self._refused += isinstance(error, OSError)
            reset_on_close(near)
            near.close()
            connection.reset()
            if not isinstance(error, OSError):
                raise

    def _fit_buffer(self, sock: socket.socket) -> None:
        """With a rate: let the kernel hold no more than the link itself would."""
        if self._options.may_change:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _MIN_SOCKET_BUFFER_BYTES)
        elif self._options.rate_bits_per_s is not None:
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, max(_MIN_SOCKET_BUFFER_BYTES, self._line.high_water_bytes)
            )

    def _clear(self) -> None:
        for direction in self._directions or ():
            direction.clear()

    def _reset_all(self) -> None:
        self._clear()
        for connection in tuple(self._connections):
            connection.reset()

    def _own(self, work: asyncio._CoroutineLike[None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
