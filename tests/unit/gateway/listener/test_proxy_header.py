"""The PROXY header as bytes."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listener.peer import Peer
from gateway.listener.proxy_header import (
    HEAD_BYTES,
    MAX_HEADER_BYTES,
    SIGNATURE,
    ProxyHeader,
    ProxyHeaderInvalid,
    read_proxy_header,
)

IP4 = socket.inet_pton(socket.AF_INET, "198.51.100.7") + bytes([127, 0, 0, 1])
IP6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16)
PORTS = (50000).to_bytes(2, "big") + (1883).to_bytes(2, "big")


def header(command: int, kind: int, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return SIGNATURE + bytes([command, kind]) + size.to_bytes(2, "big") + body


GOOD = [
    (header(0x21, 0x11, IP4 + PORTS), Peer("198.51.100.7", 50000)),
    (header(0x21, 0x11, IP4 + PORTS + b"\x04\x00\x02xx"), Peer("198.51.100.7", 50000)),
    (header(0x21, 0x21, IP6 + PORTS), Peer("2001:db8::7", 50000)),
    (
        header(0x21, 0x21, bytes(10) + b"\xff\xff" + IP4[:4] + bytes(16) + PORTS),
        Peer("198.51.100.7", 50000),
    ),
    (header(0x21, 0x31, bytes(216)), Peer()),
    (header(0x20, 0x00, b""), None),
    (header(0x20, 0x11, IP4 + PORTS), None),
    (header(0x21, 0x00, b"whatever"), None),
]


@pytest.mark.parametrize(("data", "peer"), GOOD)
def test_it_says_who_is_behind_the_balancer_and_how_long_it_is(data: bytes, peer: Peer | None) -> None:
    assert read_proxy_header(data + b"\x10\x0d") == ProxyHeader(peer=peer, size_bytes=len(data))


@pytest.mark.parametrize("data", [data for data, _ in GOOD])
def test_a_header_that_is_not_all_there_is_waited_for(data: bytes) -> None:
    for end in range(len(data)):
        assert read_proxy_header(data[:end]) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x10", "does not begin with a PROXY v2 header"),
        (b"PROXY TCP4 198.51.100.7 127.0.0.1 50000 1883\r\n", "does not begin with a PROXY v2 header"),
        (header(0x11, 0x11, IP4 + PORTS), "version and command 0x11"),
        (header(0x22, 0x11, IP4 + PORTS), "version and command 0x22"),
        (header(0x21, 0x12, IP4 + PORTS), "not of a stream"),
        (header(0x21, 0x41, IP4 + PORTS), "not of a stream"),
        (header(0x21, 0x11, IP4), "too short"),
        (header(0x21, 0x21, IP4 + PORTS), "too short"),
        (header(0x21, 0x11, b"", MAX_HEADER_BYTES - HEAD_BYTES + 1), "it may have 4096"),
        (header(0x20, 0x00, b"", 65535), "it may have 4096"),
    ],
)
def test_what_is_no_header_is_refused_in_a_sentence_as_soon_as_it_is_seen(data: bytes, words: str) -> None:
    with pytest.raises(ProxyHeaderInvalid, match=words):
        read_proxy_header(data)


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_header_or_waited_for_or_refused(data: bytes) -> None:
    for start in (b"", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x0c"):
        try:
            found = read_proxy_header(start + data)
        except ProxyHeaderInvalid:
            continue
        assert found is None or HEAD_BYTES <= found.size_bytes <= min(len(start + data), MAX_HEADER_BYTES)
