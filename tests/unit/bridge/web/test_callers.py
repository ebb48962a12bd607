"""Who calls, where a reverse proxy stands between."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bridge.web.callers import MAX_HOPS, Caller, caller_of

PROXIES = (ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
PROXY = "127.0.0.1"


def caller(
    peer: str = PROXY, *headers: tuple[str, str], proxies: tuple[ipaddress.IPv4Network, ...] = PROXIES
) -> Caller:  # type: ignore[assignment]
    return caller_of(peer, CIMultiDict(headers), proxies)


@pytest.mark.parametrize("peer", ["192.0.2.9", "2001:db8::1", "127.0.0.2", ""])
def test_who_is_no_trusted_proxy_is_not_believed(peer: str) -> None:
    lies = [
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "other.example"),
        ("Forwarded", "for=198.51.100.1;proto=https;host=other.example"),
    ]
    assert caller(peer, *lies) == Caller(address=peer)


def test_nobody_is_believed_where_no_proxy_is_named() -> None:
    assert caller(PROXY, ("X-Forwarded-For", "198.51.100.1"), proxies=()) == Caller(address=PROXY)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        (" 198.51.100.1 ", "198.51.100.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("203.0.113.66, 198.51.100.1", "198.51.100.1"),
        ("203.0.113.66, 198.51.100.1, 10.1.2.3", "198.51.100.1"),
        ("198.51.100.1, 10.1.2.3, fd00::1", "198.51.100.1"),
        ("10.1.0.1, 10.1.2.3", "10.1.0.1"),
        ("203.0.113.66, nonsense, 10.1.2.3", "10.1.2.3"),
        ("198.51.100.1, unknown", PROXY),
        ("198.51.100.1, 10.1.2.3:99999999", PROXY),
        ("198.51.100.1, [10.1.2.3", PROXY),
        ("nonsense", PROXY),
        ("", PROXY),
        (",,198.51.100.1,,", "198.51.100.1"),
    ],
)
def test_the_last_address_that_is_no_trusted_proxys_is_the_caller(written: str, address: str) -> None:
    assert caller(PROXY, ("X-Forwarded-For", written)).address == address


def test_lines_of_a_header_are_one_list() -> None:
    lines = [("X-Forwarded-For", "203.0.113.66"), ("x-forwarded-for", "198.51.100.1"), ("X-Forwarded-For", "10.1.1.1")]
    assert caller(PROXY, *lines).address == "198.51.100.1"


def test_a_proxy_on_a_socket_of_both_versions_is_known() -> None:
    assert caller("::ffff:127.0.0.1", ("X-Forwarded-For", "198.51.100.1")).address == "198.51.100.1"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("for=198.51.100.1", Caller(address="198.51.100.1")),
        ('For="[2001:db8::1]:4711"', Caller(address="2001:db8::1")),
        (
            "for=203.0.113.66;host=evil.example, for=198.51.100.1; proto=https; host=gw.example",
            Caller(address="198.51.100.1", is_https=True, host="gw.example"),
        ),
        (
            'for=198.51.100.1;host="gw.example:8443";by="a,b\\",c"',
            Caller(address="198.51.100.1", host="gw.example:8443"),
        ),
        ("for=198.51.100.1;proto=https, for=10.1.0.1;proto=http", Caller(address="198.51.100.1", is_https=True)),
        ("for=198.51.100.1, for=_hidden", Caller(address=PROXY)),
        ("for=198.51.100.1, for=unknown", Caller(address=PROXY)),
        ("for=198.51.100.1;for=203.0.113.66", Caller(address=PROXY)),
        ("198.51.100.1", Caller(address=PROXY)),
        ('for="198.51.100.1', Caller(address=PROXY)),
        ("for=198.51.100.1 x", Caller(address=PROXY)),
    ],
)
def test_the_standard_header_says_the_same(written: str, expected: Caller) -> None:
    assert caller(PROXY, ("Forwarded", written)) == expected


def test_what_a_caller_writes_in_the_form_that_his_proxy_does_not_know_names_nobody() -> None:
    both = [("X-Forwarded-For", "198.51.100.1"), ("Forwarded", "for=203.0.113.66;proto=https")]
    assert caller(PROXY, *both) == Caller(address=PROXY)
    agreeing = [("X-Forwarded-For", "198.51.100.1"), ("Forwarded", "for=198.51.100.1;proto=https")]
    assert caller(PROXY, *agreeing) == Caller(address="198.51.100.1", is_https=True)


@pytest.mark.parametrize(
    ("written", "is_https"), [("https", True), ("HTTPS", True), ("http", False), ("http, https", True), ("wss", False)]
)
def test_the_nearest_proxy_says_how_it_was_called(written: str, is_https: bool) -> None:
    found = caller(PROXY, ("X-Forwarded-Proto", written), ("X-Forwarded-Host", "gw.example"))
    assert found == Caller(address=PROXY, is_https=is_https, host="gw.example")


def test_a_list_without_end_is_read_to_its_bound() -> None:
    assert caller(PROXY, ("X-Forwarded-For", "198.51.100.1," + "10.1.0.9," * MAX_HOPS)).address == "10.1.0.9"


@given(
    name=st.sampled_from(["X-Forwarded-For", "Forwarded"]),
    written=st.text(alphabet='for=12.:;,"\\[] \tproto', max_size=60),
    last=st.ip_addresses(v=4).filter(lambda ip: not any(ip in network for network in PROXIES)),
)
def test_nothing_that_a_caller_writes_hides_what_the_proxy_adds(
    name: str, written: str, last: ipaddress.IPv4Address
) -> None:
    own = str(last) if name == "X-Forwarded-For" else f"for={last}"
    if name == "X-Forwarded-For":
        assert caller_of(PROXY, CIMultiDict([(name, f"{written}, {own}")]), PROXIES).address == own
    # Two lines: a proxy that knows the header appends to it, and what was written before may hold an open quote.
    found = caller_of(PROXY, CIMultiDict([(name, written), (name, own)]), PROXIES)
    assert found.address == str(last)
