"""Connections that do nothing: how fast they are accepted, and, while they stay, what each of them costs.

`python -m simulators.load.idle --port 1883 --connections 10000` connects them all, some hundred at a time, prints one
line of JSON and holds them until its standard input ends.
"""

from __future__ import annotations

import argparse
import errno
import json
import resource
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

from simulators.load.options import LoadFailed
from simulators.load.packets import CONNACK, V311, encode_connect

_AT_ONCE: Final = 300
_STALL_S: Final = 10.0
_ADDRESSES: Final = 8
"""Addresses of the loopback that connections come from: one has too few ports for tens of thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleResult:
    """`connections` were let in between the two times, which are of `time.monotonic`."""

    connections: int
    started_s: float
    ended_s: float
    cpu_s: float

    @property
    def rate_per_s(self) -> float:
        """Connections let in a second: TCP, CONNECT and CONNACK."""
        return self.connections / max(1e-9, self.ended_s - self.started_s)


def connect_all(host: str, port: int, connections: int) -> tuple[list[socket.socket], IdleResult]:
    """Connect them; the sockets stay open. Raises LoadFailed, with all of them closed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < connections + 50:
        raise LoadFailed(f"{connections} connections need as many file descriptors, and the limit here is {hard}.")
    opening = _Opening(host, port, connections)
    try:
        return opening.done, opening.run()
    except OSError as error:
        opening.close()
        raise LoadFailed(f"A connection failed: {error}") from error
    except LoadFailed:
        opening.close()
        raise


class _Opening:
    """Connections on their way from connect() to CONNACK, some hundred at a time."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._address = (host, port)
        self._connections = connections
        self._begun = 0
        self._poll = select.epoll()
        self._waiting: dict[int, socket.socket] = {}
        self.done: list[socket.socket] = []

    def run(self) -> IdleResult:
        """Until all are let in."""
        cpu_before_s = time.process_time()
        started_s = time.monotonic()
        while len(self.done) < self._connections:
            while self._begun < self._connections and len(self._waiting) < _AT_ONCE:
                self._begin()
            events = self._poll.poll(_STALL_S)
            if not events:
                raise LoadFailed(f"Only {len(self.done)} of {self._connections} connections were let in.")
            for file, event in events:
                self._go_on(file, event)
        self._poll.close()
        return IdleResult(
            connections=self._connections,
            started_s=started_s,
            ended_s=time.monotonic(),
            cpu_s=time.process_time() - cpu_before_s,
        )

    def close(self) -> None:
        """Drop all of them."""
        self._poll.close()
        for sock in (*self.done, *self._waiting.values()):
            sock.close()

    def _begin(self) -> None:
        sock = socket.socket()
        self._waiting[sock.fileno()] = sock
        sock.setblocking(False)
        if self._address[0] == "127.0.0.1":
            sock.bind((f"127.0.0.{1 + self._begun % _ADDRESSES}", 0))
        code = sock.connect_ex(self._address)
        if code not in {0, errno.EINPROGRESS}:
            raise LoadFailed(f"Connection {self._begun} could not be made: {errno.errorcode.get(code, code)}.")
        self._poll.register(sock, select.EPOLLOUT)
        self._begun += 1

    def _go_on(self, file: int, event: int) -> None:
        sock = self._waiting[file]
        if not event & select.EPOLLIN:
            sock.send(encode_connect(f"idle-{file}-{self._begun}", version=V311))
            self._poll.modify(file, select.EPOLLIN)
            return
        data = sock.recv(16)
        if len(data) < 4 or data[0] != CONNACK or data[3]:
            raise LoadFailed(f"Connection {len(self.done)} was refused: {data.hex() or 'it was closed'}.")
        self._poll.unregister(file)
        self.done.append(self._waiting.pop(file))


def main() -> int:
    """Run what the command line says. Returns 0, or 1 when it could not be run to its end."""
    parser = argparse.ArgumentParser(prog="python -m simulators.load.idle")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--connections", type=int, default=10_000)
    options = parser.parse_args()
    try:
        sockets, result = connect_all(options.host, options.port, options.connections)
    except LoadFailed as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    for sock in sockets:
        sock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
