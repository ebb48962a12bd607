"""Under which names the server answers, and for whose pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.web.hosts import is_foreign, is_own_host, is_own_origin, split_host

SAME_ORIGIN = {"fetch_site": "same-origin", "fetch_mode": "cors", "fetch_dest": "empty"}
NOTHING = {"fetch_site": None, "fetch_mode": None, "fetch_dest": None}
NAMES = ("edge-01", "Gateway.Plant.example")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8080",
        "192.168.1.5:80",
        "[::1]:8080",
        "[fe80::1]",
        "localhost",
        "LocalHost:8080",
        "localhost.",
        "edge-01:8080",
        "EDGE-01",
        "gateway.plant.example:443",
        "gateway.plant.example.",
    ],
)
def test_addresses_localhost_and_own_names_are_answered(host: str) -> None:
    assert is_own_host(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "edge-01.evil.example",
        "xedge-01",
        "localhost:99999999",
        "localhost:80:80",
        "localhost:a",
        "[::1",
        "[::1]x",
        "[evil.example]",
        "user@localhost",
        "localhost/evil",
        "localhost, evil.example",
        "0x7f.1",
    ],
)
def test_names_that_may_be_somebody_elses_are_not(host: str) -> None:
    assert not is_own_host(host, NAMES)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost", "localhost"),
        ("http://localhost:80", "localhost"),
        ("https://gateway.example", "gateway.example"),
        ("https://gateway.example", "gateway.example:443"),
        ("https://Gateway.example", "gateway.example"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_the_servers_own_pages_are_of_its_origin(origin: str, host: str) -> None:
    assert is_own_origin(origin, host)
    assert not is_foreign(method="POST", hosts=[host], origin=origin, **SAME_ORIGIN)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "localhost"),
        ("", "localhost"),
        ("http://", "localhost"),
        ("http://evil.example", "localhost"),
        ("http://localhost:8081", "localhost:8080"),
        ("http://localhost:443", "localhost"),
        ("https://localhost:80", "localhost"),
        ("http://localhost.evil.example", "localhost"),
        ("file://localhost", "localhost"),
        ("http://localhost", ""),
    ],
)
def test_other_pages_are_not(origin: str, host: str) -> None:
    assert not is_own_origin(origin, host)
    assert is_foreign(method="GET", hosts=[host], origin=origin, **NOTHING)


@pytest.mark.parametrize(
    ("method", "site", "mode", "dest", "foreign"),
    [
        ("GET", None, None, None, False),
        ("GET", "same-origin", "cors", "empty", False),
        ("GET", "none", "navigate", "document", False),
        ("GET", "cross-site", "navigate", "document", False),
        ("GET", "cross-site", "navigate", None, False),
        ("HEAD", "cross-site", "navigate", "document", False),
        ("GET", "same-origin", "navigate", "iframe", False),
        ("GET", "cross-site", "navigate", "iframe", True),
        ("GET", "same-site", "navigate", "frame", True),
        ("GET", "cross-site", "navigate", "embed", True),
        ("GET", "cross-site", "navigate", "object", True),
        ("POST", "cross-site", "navigate", "document", True),
        ("GET", "cross-site", "no-cors", "image", True),
        ("GET", "cross-site", "cors", "empty", True),
        ("GET", "same-site", "cors", "empty", True),
        ("POST", "same-site", "cors", "empty", True),
        ("GET", "something new", "cors", "empty", True),
    ],
)
def test_a_browser_says_whose_page_asks(
    method: str, site: str | None, mode: str | None, dest: str | None, foreign: bool
) -> None:
    fetch = {"fetch_site": site, "fetch_mode": mode, "fetch_dest": dest}
    assert is_foreign(method=method, hosts=["localhost"], origin=None, **fetch) is foreign


@given(st.text(max_size=40), st.text(max_size=40))
def test_nothing_that_is_written_there_breaks_it(one: str, other: str) -> None:
    split_host(one)
    is_own_host(one, (other,))
    is_own_origin(one, other)
    is_own_origin(f"http://{one}", other)
