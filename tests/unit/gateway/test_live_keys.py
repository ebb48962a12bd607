"""Every key of gateway.yaml is in the table of what can change in a running gateway."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.gateway_keys import GATEWAY
from config.reading import join
from config.settings import Access, Address, Api, ApiTls, GatewaySettings, Listener, Stream, Uplink
from config.shapes import Section, SectionList
from gateway.live_keys import TABLE, Applies, Waiting, applies, entry_for, pattern_of


def patterns(section: Section = GATEWAY, key: str = "") -> Iterator[str]:
    """Everything that can be different, as the table writes it."""
    for member in section.keys:
        dotted = join(key, member.name)
        if isinstance(member.shape, Section):
            yield from patterns(member.shape, dotted)
        elif isinstance(member.shape, SectionList):
            yield from (f"{dotted}[{what}]" for what in ("+", "-", ""))
            for variant in member.shape.variants.values():
                yield from patterns(variant, f"{dotted}[]")
        else:
            yield dotted


@pytest.mark.parametrize("pattern", list(patterns()))
def test_every_key_is_in_the_table_with_a_word_about_it(pattern: str) -> None:
    assert entry_for(pattern).note


def test_every_line_of_the_table_is_about_a_key() -> None:
    used = {entry_for(pattern) for pattern in patterns()}
    assert [entry.pattern for entry in TABLE if entry not in used] == []


def test_a_key_that_does_not_exist_is_in_no_line() -> None:
    with pytest.raises(KeyError):
        entry_for("nonsense.key")


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("uplinks[cloud].batch.linger", "uplinks[].batch.linger"),
        ("access[default].rules[a.b].topics", "access[].rules[].topics"),
        ("streams", "streams"),
        ("log.level", "log.level"),
    ],
)
def test_names_are_left_out_of_a_pattern(key: str, pattern: str) -> None:
    assert pattern_of(key) == pattern


def test_an_item_is_added_or_taken_out() -> None:
    assert pattern_of("uplinks[a]", is_added=True) == "uplinks[+]"
    assert pattern_of("uplinks[a]", is_removed=True) == "uplinks[-]"


def test_what_a_page_shows_of_a_key() -> None:
    assert applies("listeners[local].bind") is Applies.RESTART
    assert applies("listeners[local].max_connections") is Applies.LIVE
    assert applies("gateway.id") is Applies.RESTART


BASE = GatewaySettings(
    listeners=(Listener(name="a", access="one"), Listener(name="b", bind=Address(host="127.0.0.1", port=1900))),
    access=(Access(), Access(name="one")),
    streams=(Stream(name="s"), Stream(name="t")),
    uplinks=(Uplink(streams=("s", "t")), Uplink(name="second")),
)


def waits(key: str, *used: str, **values: object) -> str:
    wanted = dataclasses.replace(BASE, **values)  # type: ignore[arg-type]
    return Waiting(BASE, wanted, is_in_use=lambda name: name in used)(key)


def test_a_listener_that_is_in_use_stays_and_so_does_its_access() -> None:
    values: dict[str, object] = {"listeners": BASE.listeners[1:], "access": BASE.access[:1]}
    assert waits("listeners[a]", "a", **values) == "clients are connected to it"
    assert waits("access[one]", "a", **values) == "a listener still needs it"
    assert waits("listeners[a]", **values) == ""
    assert waits("access[one]", **values) == ""


def test_a_new_listener_waits_for_an_address_that_is_taken() -> None:
    renamed = Listener(name="c", bind=Address(host="0.0.0.0", port=1900))
    assert waits("listeners[c]", listeners=(*BASE.listeners[:1], renamed)) == (
        "its address is still that of the listener 'b'"
    )
    at_api = Listener(name="c", bind=BASE.api.bind)
    assert waits("listeners[c]", listeners=(*BASE.listeners, at_api)) == (
        "its address is still that of the HTTP interface"
    )
    free = Listener(name="c", bind=Address(host="127.0.0.1", port=0))
    assert waits("listeners[c]", listeners=(*BASE.listeners, free)) == ""


def test_a_listener_stays_until_another_one_can_have_its_address() -> None:
    renamed = Listener(name="c", access="one")
    values: dict[str, object] = {"listeners": (renamed, BASE.listeners[1])}
    assert waits("listeners[a]", **values) == "the listener 'c' takes its address at the next start"
    assert waits("listeners[c]", **values) == "its address is still that of the listener 'a'"
    moved = dataclasses.replace(BASE.listeners[1], bind=BASE.listeners[0].bind)
    values = {"listeners": (moved,), "access": BASE.access[:1]}
    assert waits("listeners[a]", **values) == "the listener 'b' takes its address at the next start"
    assert waits("access[one]", **values) == "a listener still needs it"
    values = {"listeners": BASE.listeners[1:], "api": Api(bind=Address(host="0.0.0.0", port=1883))}
    assert waits("listeners[a]", **values) == "the HTTP interface takes its address at the next start"
    assert waits("api.bind", **values) == "its address is still that of the listener 'a'"


def test_the_http_interface_moves_where_its_old_address_is_not_in_the_way() -> None:
    assert waits("api.bind", api=Api(bind=Address(host="127.0.0.1", port=8081))) == ""
    beside = Api(bind=Address(host="0.0.0.0", port=8080), password_file=Path("p"), tls=ApiTls(cert_file=Path("c")))
    assert waits("api.bind", api=beside) == "the old address is in its way"
    for key in ("api.password_file", "api.token_file", "api.trusted_proxies", "api.tls.cert_file", "api.tls.key_file"):
        # Else what the new address needs no login for would be open at the old one.
        assert waits(key, api=beside) == "it belongs to the address that waits (api.bind)"
        assert waits(key, api=dataclasses.replace(beside, bind=Api().bind)) == ""
    for key in ("api.operators", "api.hosts"):
        assert waits(key, api=beside) == ""


def test_while_a_stream_is_to_be_emptied_nothing_is_taken_from_those_that_empty_it() -> None:
    values: dict[str, object] = {
        "streams": (Stream(name="s"), Stream(name="u")),
        "uplinks": (Uplink(streams=("s", "u")),),
    }
    for key in ("streams[t]", "streams[u]", "uplinks[cloud].streams", "uplinks[second]"):
        assert "delivered first" in waits(key, **values)
    assert waits("uplinks[cloud].window", **values) == ""
