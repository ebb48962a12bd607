"""What is asked of the first bytes of a TLS connection."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listener.client_hello import MAX_HELLO_BYTES, HelloInvalid, wanted_bytes


def head(record_bytes: int, message_bytes: int) -> bytes:
    return b"\x16\x03\x01" + record_bytes.to_bytes(2, "big") + b"\x01" + message_bytes.to_bytes(3, "big")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", 9),
        (b"\x16", 9),
        (head(516, 512)[:8], 9),
        (head(516, 512), 521),
        (head(100, 512), 105),  # in several records: the first is enough to know how long it is
        (head(16_384, 512), 521),
        (b"GET / HTTP/1.1", 1),
        (b"\x80", 1),
    ],
)
def test_openssl_sees_it_when_the_first_record_is_whole(data: bytes, wanted: int) -> None:
    assert wanted_bytes(data) == wanted


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (head(512, 131_000), "has 131009 bytes; it may have 16384"),
        (head(512, 0xFFFFFF), "it may have 16384"),
        (head(3, 100), "too short to begin"),
        (head(0, 0), "too short to begin"),
    ],
)
def test_one_that_no_honest_client_sends_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(HelloInvalid, match=words):
        wanted_bytes(data)


@given(st.binary(max_size=40))
def test_whatever_comes_no_more_is_wanted_than_a_clienthello_may_have(data: bytes) -> None:
    try:
        assert 1 <= wanted_bytes(data) <= MAX_HELLO_BYTES
    except HelloInvalid:
        assert data[0] == 22


def test_what_openssl_itself_sends_is_wanted_as_a_whole() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    assert wanted_bytes(hello) == len(hello)
