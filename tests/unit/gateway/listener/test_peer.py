"""Where connections come from."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.listener.partials import SMALL_BYTES, Partials
from gateway.listener.peer import Peer, peer_of


@pytest.mark.parametrize(
    ("name", "written", "host"),
    [
        (("192.0.2.1", 5), "192.0.2.1:5", "192.0.2.1"),
        (("2001:db8::1", 5, 0, 0), "[2001:db8::1]:5", "2001:db8::1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1:5", "192.0.2.1"),
        ("", "the Unix socket", ""),
        (b"\0abstract", "the Unix socket", ""),
    ],
)
def test_a_peer_is_written_as_people_know_it(name: Any, written: str, host: str) -> None:
    peer = peer_of(name)
    assert str(peer) == written
    assert peer.host == host


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "::1", False),
    ],
)
def test_an_ip_6_network_of_64_bits_counts_as_one_address(one: str, other: str, are_one: bool) -> None:
    assert (Peer(one).group == Peer(other).group) is are_one


class Holder:
    def __init__(self) -> None:
        self.has_given_up = False

    def give_up(self) -> None:
        self.has_given_up = True


def test_half_received_packets_have_a_common_bound_and_the_largest_gives_way() -> None:
    partials = Partials(100_000)
    small, large, new = Holder(), Holder(), Holder()
    partials.note(small, 30_000)
    partials.note(large, 30_000)
    partials.note(large, 60_000)
    assert partials.total_bytes == 90_000
    partials.note(new, 20_000)
    assert (small.has_given_up, large.has_given_up, new.has_given_up) == (False, True, False)
    assert partials.total_bytes == 50_000
    partials.note(new, 0)
    partials.release(small)
    partials.release(small)
    assert partials.total_bytes == 0


def test_the_beginning_of_a_small_packet_is_not_counted() -> None:
    partials = Partials(1)
    holder = Holder()
    partials.note(holder, SMALL_BYTES)
    assert partials.total_bytes == 0
    assert not holder.has_given_up
