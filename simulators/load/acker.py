"""A stand-in for a broker that does nothing but answer: it shows how fast the generator could go.

It speaks MQTT 3.1.1 QoS 1 to this generator alone: it takes the size of a connection's first PUBLISH for the size of
all, and answers so many bytes with so many PUBACKs from a ring. `python -m simulators.load.acker COUNT` (the length of
the generator's rings) prints its port and serves until it is stopped.
"""

from __future__ import annotations

import select
import socket
import sys

from simulators.load.packets import PUBACK, decode_length
from simulators.load.rings import acknowledgement_ring

_CONNACK = b"\x20\x02\x00\x00"


class _Peer:
    """One publisher's connection."""

    __slots__ = ("_acked", "_count", "_greeted", "_received", "_ring", "_size", "_start", "socket")

    def __init__(self, sock: socket.socket, count: int) -> None:
        self.socket = sock
        self._size = 0
        self._received = 0
        self._acked = 0
        self._count = count
        self._ring = acknowledgement_ring(PUBACK, count, b"")
        self._greeted = False
        self._start = b""

    def feed(self, data: bytes) -> None:
        if not self._size:
            self._start += data
            data = self._begin()
            if not self._size:
                return
        self._received += len(data)
        whole = self._received // self._size
        while self._acked < whole:
            at = self._acked % self._count
            n = min(whole - self._acked, self._count)
            self.socket.sendall(memoryview(self._ring)[4 * at : 4 * (at + n)])
            self._acked += n

    def _begin(self) -> bytes:
        """Answer CONNECT; learn the size of a PUBLISH from the first one. Returns what came after CONNECT."""
        length = decode_length(self._start, 1)
        if length is None or len(self._start) < length[0] + length[1]:
            return b""
        rest = self._start[length[0] + length[1] :]
        if not self._greeted:
            self._greeted = True
            self.socket.sendall(_CONNACK)
        following = decode_length(rest, 1)
        if following is None:
            return b""
        self._size = following[0] + following[1]
        return rest


def serve(listener: socket.socket, count: int) -> None:
    """Answer publishers, whose rings hold `count` messages, for ever."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    peers: dict[int, _Peer] = {}
    while True:
        for file, _ in poll.poll():
            if file == listener.fileno():
                sock, _address = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[sock.fileno()] = _Peer(sock, count)
                poll.register(sock, select.EPOLLIN)
                continue
            peer = peers[file]
            try:
                data = peer.socket.recv(256 * 1024)
                if data and data != b"\xe0\x00":
                    peer.feed(data)
                    continue
            except ConnectionError:
                pass
            poll.unregister(file)
            peers.pop(file).socket.close()


def main() -> None:
    """Listen on a free port of 127.0.0.1, print it, serve."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        serve(listener, int(sys.argv[1]))


if __name__ == "__main__":
    main()
