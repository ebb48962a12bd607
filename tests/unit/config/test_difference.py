"""What is different between two settings, and what comes of it when only some of it may hold now."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.describe import describe, effective_values
from config.difference import CHANGED_SECRET, Difference, differences
from config.merging import merged
from config.settings import (
    Access,
    BrokerUrl,
    GatewaySettings,
    JsonLinesSink,
    Listener,
    Log,
    MqttSink,
    ReceiverSettings,
    Rule,
    Spool,
    Stream,
    Telemetry,
    Uplink,
)

BASE = GatewaySettings()


def changed(**values: Any) -> GatewaySettings:
    return dataclasses.replace(BASE, **values)


def keys(before: GatewaySettings, after: GatewaySettings) -> list[str]:
    return [one.key for one in differences(before, after)]


def test_the_same_settings_differ_in_nothing() -> None:
    assert differences(BASE, changed()) == []


def test_a_value_is_told_as_yaml_writes_it() -> None:
    after = changed(log=Log(level="debug"), spool=Spool(max_size_bytes=2 << 30, durability_s=1.5))
    assert differences(BASE, after) == [
        Difference(key="spool.max_size", before="1GiB", after="2GiB"),
        Difference(key="spool.durability", before="commit", after="1500ms"),
        Difference(key="log.level", before="info", after="debug"),
    ]


def test_items_are_matched_by_name_and_what_was_added_or_taken_out_is_one_difference() -> None:
    before = changed(uplinks=(Uplink(name="one"), Uplink(name="two", window=5)))
    after = changed(uplinks=(Uplink(name="two", window=6), Uplink(name="three", url=BrokerUrl(host="far", port=1883))))
    assert differences(before, after) == [
        Difference(key="uplinks[one]", before="{name: one}", after=None),
        Difference(key="uplinks[two].window", before="5", after="6"),
        Difference(key="uplinks[three]", before=None, after="{name: three, url: mqtt://far:1883}"),
    ]


def test_another_order_is_a_difference_of_the_list() -> None:
    a, b, c = (Stream(name=name, topics=(f"{name}/#",)) for name in "abc")
    (difference,) = differences(changed(streams=(a, b)), changed(streams=(b, a)))
    assert difference == Difference(key="streams", before="[a, b]", after="[b, a]")
    assert keys(changed(streams=(a, b)), changed(streams=(a, c, b))) == ["streams[c]"]


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("first", "second", ('"********"', CHANGED_SECRET)),
        (None, "second", ("null", '"********"')),
        ("first", None, ('"********"', "null")),
    ],
)
def test_a_secret_is_never_shown_only_that_it_is_another_one(
    before: str | None, after: str | None, shown: tuple[str, str]
) -> None:
    settings = [changed(uplinks=(Uplink(username="u", password=password),)) for password in (before, after)]
    (difference,) = differences(*settings)
    assert (difference.key, difference.before, difference.after) == ("uplinks[cloud].password", *shown)
    (added,) = differences(BASE, changed(uplinks=(*BASE.uplinks, Uplink(name="new", username="u", password="hunter"))))
    assert added.after == '{name: new, username: u, password: "********"}'


def test_a_key_behind_the_address_of_a_service_is_never_shown_only_that_it_is_another_one() -> None:
    before, after = (changed(telemetry=Telemetry(url=f"https://h/v1?key={key}")) for key in ("first", "second"))
    masked = '"https://h/v1?********"'
    assert differences(before, after) == [
        Difference(key="telemetry.url", before=masked, after=f"{masked} (changed)"),
    ]
    assert masked in [value.text for value in effective_values(after)]
    assert "second" not in describe(after)


def test_no_rules_and_an_empty_list_of_them_are_not_the_same() -> None:
    before, after = changed(access=(Access(),)), changed(access=(Access(rules=()),))
    assert differences(before, after) == [Difference(key="access[default].rules", before="null", after="[]")]
    rules = changed(access=(Access(rules=(Rule(name="all"),)),))
    assert keys(after, rules) == ["access[default].rules[all]"]


def test_sinks_of_a_receiver_are_told_by_their_type() -> None:
    before = ReceiverSettings(sinks=(JsonLinesSink(),))
    after = ReceiverSettings(sinks=(MqttSink(window=7),))
    assert [one.key for one in differences(before, after)] == ["sinks[jsonl]", "sinks[mqtt]"]
    with pytest.raises(TypeError):
        differences(before, BASE)


names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)


@settings(deadline=None)
@given(names, names, st.sets(st.sampled_from("abcdef")), st.booleans())
def test_what_holds_after_a_merge_and_what_waits_are_all_of_it(
    old: list[str], new: list[str], waiting: set[str], order_waits: bool
) -> None:
    before = changed(listeners=tuple(Listener(name=name, max_connections=1) for name in old), log=Log(level="error"))
    after = changed(listeners=tuple(Listener(name=name, max_connections=2) for name in new))
    waits = {f"listeners[{name}]" for name in waiting} | ({"listeners"} if order_waits else set())

    def why(key: str) -> str:
        return "it has to" if key in waits else ""

    reached = merged(before, after, why)
    assert reached.log == after.log
    have = {listener.name: listener for listener in reached.listeners}
    assert len(have) == len(reached.listeners)
    for name in {*old, *new}:
        is_item_waiting = name in waiting and (name in old) != (name in new)
        assert (name in have) == ((name in old) if is_item_waiting else (name in new))
        if name in have and name in new:
            assert have[name].max_connections == 2
    left = {one.key for one in differences(reached, after)}
    assert left <= waits | {"listeners"}
    if not waits:
        assert reached == after
    assert merged(before, after, lambda _key: "all of it") == before


def test_what_stays_keeps_its_place_among_the_others() -> None:
    streams = {name: Stream(name=name, topics=(f"{name}/#",)) for name in "abcz"}
    before = changed(streams=tuple(streams[name] for name in "abz"))
    after = changed(streams=tuple(streams[name] for name in "caz"))
    reached = merged(before, after, lambda key: "its records" if key == "streams[b]" else "")
    assert [stream.name for stream in reached.streams] == ["c", "a", "b", "z"]
