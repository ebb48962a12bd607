"""Many sessions of raw bytes against one port, some hundred at a time, from one thread that is never the bottleneck.

A session is sent piece by piece, whatever the server answers; then the sending half is shut and the rest is read until
the server has closed too, or the connection is reset. A server that keeps a connection whose client has ended fails.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.mutation import Session

AT_ONCE = 200
LONGEST_S = 60.0
_RESET = struct.pack("ii", 1, 0)
_GONE = {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN, errno.ECONNABORTED}


class ServerFailed(AssertionError):
    """The server refused a connection, or did not let go of one."""


@dataclass(slots=True)
class _Visit:
    socket: socket.socket
    session: Session
    began_s: float
    sent: int = 0
    rest: bytes = b""


@dataclass(slots=True)
class Tally:
    """What was done."""

    sessions: int = 0
    mutated: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    by_port: dict[int, int] = field(default_factory=dict)
    """Which session last had a local port: what the server's log names."""


class Hammer:
    """Drives sessions; `open_sessions` are those that a dead server leaves behind."""

    def __init__(self, port: int, websocket_port: int | None = None) -> None:
        self._ports = (port, port if websocket_port is None else websocket_port)
        self._poll = select.epoll()
        self._visits: dict[int, _Visit] = {}
        self.tally = Tally()

    @property
    def open_sessions(self) -> list[Session]:
        """Those that have not ended."""
        return [visit.session for visit in self._visits.values()]

    def run(self, sessions: Iterator[Session], *, mutated: int, at_once: int = AT_ONCE) -> None:
        """Go on until so many mutated packets have been sent in all. Raises ServerFailed."""
        is_over = False
        while self._visits or not is_over:
            while not is_over and len(self._visits) < at_once:
                self._begin(next(sessions))
                is_over = self.tally.mutated >= mutated
            events = self._poll.poll(1.0)
            now_s = time.monotonic()
            for file, event in events:
                self._serve(self._visits[file], event)
            if not events:
                for visit in self._visits.values():
                    if now_s - visit.began_s > LONGEST_S:
                        raise ServerFailed(f"Session {visit.session.number} is still open after {LONGEST_S:g} s.")

    def close(self) -> None:
        """Drop what is open."""
        for visit in self._visits.values():
            visit.socket.close()
        self._visits.clear()
        self._poll.close()

    def _begin(self, session: Session) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Several addresses of the loopback, so that the ports of connections that just ended do not run out.
        sock.bind((f"127.0.0.{1 + session.number % 8}", 0))
        code = sock.connect_ex(("127.0.0.1", self._ports[session.is_websocket]))
        if code not in {0, errno.EINPROGRESS}:
            sock.close()
            raise ServerFailed(f"Session {session.number} could not connect: {errno.errorcode.get(code, code)}.")
        self._visits[sock.fileno()] = _Visit(sock, session, time.monotonic())
        self._poll.register(sock, select.EPOLLIN | select.EPOLLOUT)
        tally = self.tally
        tally.by_port[sock.getsockname()[1]] = session.number
        tally.sessions += 1
        tally.mutated += session.mutated

    def _serve(self, visit: _Visit, event: int) -> None:
        try:
            if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                data = visit.socket.recv(65536)
                self.tally.received_bytes += len(data)
                if not data:
                    self._end(visit)
                    return
            if event & select.EPOLLOUT:
                self._send(visit)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                raise ServerFailed(f"Session {visit.session.number} was refused: nobody listens.") from error
            if error.errno not in _GONE:
                raise
            self._end(visit)

    def _send(self, visit: _Visit) -> None:
        session = visit.session
        if not visit.rest and visit.sent < len(session.chunks):
            visit.rest = session.chunks[visit.sent]
            visit.sent += 1
        if visit.rest:
            taken = visit.socket.send(visit.rest)
            self.tally.sent_bytes += taken
            visit.rest = visit.rest[taken:]
        if visit.rest or visit.sent < len(session.chunks):
            return
        if session.resets:
            visit.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._end(visit)
            return
        visit.socket.shutdown(socket.SHUT_WR)
        self._poll.modify(visit.socket, select.EPOLLIN)

    def _end(self, visit: _Visit) -> None:
        del self._visits[visit.socket.fileno()]
        self._poll.unregister(visit.socket)
        visit.socket.close()
