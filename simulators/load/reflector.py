"""A stand-in for a broker that hands on bytes: it shows how fast the fan-out's own two ends could go.

It knows two kinds of connections by their second packet: who subscribes gets every byte that anyone else publishes, as
it came. It serves QoS 0 of `simulators.load.fanout` alone: it prints its port and serves until it is stopped.
"""

from __future__ import annotations

import select
import socket
import sys

from simulators.load.packets import decode_length

_CONNACK = b"\x20\x02\x00\x00"
_SUBACK = b"\x90\x03\x00\x01\x00"


def serve(listener: socket.socket) -> None:
    """Hand on what publishers send, for ever."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    peers: dict[int, socket.socket] = {}
    greeted: set[int] = set()
    subscribers: dict[int, socket.socket] = {}
    while True:
        for file, _ in poll.poll():
            if file == listener.fileno():
                sock, _address = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
                continue
            sock = peers[file]
            try:
                data = sock.recv(256 * 1024)
            except ConnectionError:
                data = b""
            if not data:
                poll.unregister(file)
                peers.pop(file).close()
                greeted.discard(file)
                subscribers.pop(file, None)
                continue
            if file not in greeted:
                greeted.add(file)
                sock.sendall(_CONNACK)
                length = decode_length(data, 1)
                data = data[sum(length) :] if length is not None else b""
            if data[:1] == b"\x82":
                subscribers[file] = sock
                sock.sendall(_SUBACK)
            elif data:
                for each in subscribers.values():
                    each.sendall(data)


def main() -> None:
    """Listen on a free port of 127.0.0.1, print it, serve."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        serve(listener)


if __name__ == "__main__":
    main()
