"""Which route a path belongs to."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.web.router import Found, Router

ROUTER: Router[str] = Router(
    [
        ("GET", "/", "home"),
        ("GET", "/topics/{rest...}", "topics"),
        ("GET", "/api/v1/devices", "devices"),
        ("GET", "/api/v1/devices/{client}", "device"),
        ("POST", "/api/v1/devices/{client}/disconnect", "disconnect"),
        ("GET", "/api/v1/letters/{id}", "letter"),
        ("GET", "/api/v1/letters/export", "export"),
        ("POST", "/api/v1/letters/discard", "discard"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "value", "places"),
    [
        ("GET", "/", "home", {}),
        ("HEAD", "/", "home", {}),
        ("GET", "/api/v1/devices", "devices", {}),
        ("GET", "/api/v1/devices/pump-1", "device", {"client": "pump-1"}),
        ("GET", "/api/v1/devices/a%2Fb%25", "device", {"client": "a/b%"}),
        ("GET", "/api/v1/devices/%E2%82%AC%20+", "device", {"client": "€ +"}),
        ("POST", "/api/v1/devices/x/disconnect", "disconnect", {"client": "x"}),
        ("GET", "/api/v1/letters/7", "letter", {"id": "7"}),
        ("GET", "/api/v1/letters/export", "export", {}),
        ("GET", "/topics/", "topics", {"rest": ""}),
        ("GET", "/topics/plant/a%2Fb/%23", "topics", {"rest": "plant/a/b/#"}),
    ],
)
def test_a_path_leads_to_its_route(method: str, path: str, value: str, places: dict[str, str]) -> None:
    assert ROUTER.find(method, path) == Found(value=value, path=places)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "*",
        "//",
        "/api/v1/devices/",
        "/api/v1/devices/a/b",
        "/api/v1/devices/%FF",
        "/api/v1/devices/..",
        "/api/v1/devices/%2e%2E",
        "/topics/../api/v1/devices",
        "/topics/./x",
        "/topics",
        "/API/v1/devices",
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    assert ROUTER.find("GET", path) is None


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/v1/devices", ("GET", "HEAD")),
        ("GET", "/api/v1/devices/x/disconnect", ("POST",)),
        ("OPTIONS", "/", ("GET", "HEAD")),
        ("DELETE", "/api/v1/letters/discard", ("GET", "HEAD", "POST")),
    ],
)
def test_a_method_that_is_not_there_is_told_which_are(method: str, path: str, allowed: tuple[str, ...]) -> None:
    assert ROUTER.find(method, path) == Found(allowed=allowed)


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_any_name_comes_out_as_it_was_quoted_into_a_path(name: str) -> None:
    if any(0xD800 <= ord(char) < 0xE000 for char in name):
        return
    found = ROUTER.find("GET", f"/api/v1/devices/{quote(name, safe='')}")
    assert found == Found(value="device", path={"client": name})


@given(st.text())
def test_no_path_breaks_it(path: str) -> None:
    ROUTER.find("GET", "/" + path)


@pytest.mark.parametrize("paths", [("/a/{x}", "/a/{y}"), ("/a", "/a"), ("a",), ("/{x...}/b",)], ids=" ".join)
def test_templates_that_say_the_same_or_nothing_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"twice|begins with|end of a path"):
        Router([("GET", path, path) for path in paths])
