"""What the load generator and the benchmarks start: on ports that nobody else is given."""

from __future__ import annotations

import socket

import pytest

from simulators.load.processes import accepts, free_port


def test_a_free_port_is_given_once_and_left_to_whoever_is_told_it() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)
    port = ports[0]
    assert not accepts(port), "nobody listens there"
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):  # as servers bind: with SO_REUSEADDR
        assert accepts(port)
