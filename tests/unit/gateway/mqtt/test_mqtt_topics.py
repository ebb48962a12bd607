"""Topic names and filters, by the examples of MQTT 5 §4.7 and by a second, slower definition of matching."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.errors import TopicFilterInvalid, TopicNameInvalid
from gateway.mqtt.topics import (
    MAX_TOPIC_LEVELS,
    SharedSubscription,
    check_topic_filter,
    check_topic_name,
    matches,
    parse_shared,
    validate_topic_filter,
)


@pytest.mark.parametrize(
    "topic", ["a", "/", "/finance", "a//b", "$SYS/x", "Accounts payable", "ä/日本", "A𪛔", "\ufeffa"]
)
def test_a_topic_name_is_taken_as_it_came(topic: str) -> None:
    assert check_topic_name(topic.encode()) == topic


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a/+",
        b"#",
        b"a#b",
        b"a\x00b",
        b"to\x01p",
        b"to\x1fp",
        b"to\x7fp",
        "to\x9fp".encode(),
        "to\uffffp".encode(),
        "\ufdd0".encode(),
        b"to\xed\xa0\x80",
        b"\xc0\x80",
        b"\xff",
        b"/" * MAX_TOPIC_LEVELS,
    ],
)
def test_a_topic_name_that_breaks_the_rules_is_refused(raw: bytes) -> None:
    with pytest.raises(TopicNameInvalid, match=r"\.$"):
        check_topic_name(raw)


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "+",
        "/",
        "a/#",
        "+/a/#",
        "a/+/b",
        "/+",
        "+/+",
        "$SYS/#",
        "$share/g/#",
        "$share/g//a",
        "$shared",
        "$shared/x",
    ],
)
def test_a_topic_filter_is_taken_as_it_came(topic_filter: str) -> None:
    assert check_topic_filter(topic_filter.encode()) == topic_filter


@pytest.mark.parametrize(
    "topic_filter",
    ["", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "$share", "$share/", "$share/g", "$share/g/", "$share//a",
     "$share/+/a", "$share/g#/a", "$share/g/a#", "a\0", "a\x07", "/" * MAX_TOPIC_LEVELS, "x" * 65_536],
)  # fmt: skip
def test_a_topic_filter_that_breaks_the_rules_is_refused(topic_filter: str) -> None:
    with pytest.raises(TopicFilterInvalid, match=r"\.$"):
        check_topic_filter(topic_filter.encode())


def test_a_shared_subscription_is_a_share_name_and_a_filter() -> None:
    assert parse_shared("$share/workers/a/+/#") == SharedSubscription(share_name="workers", topic_filter="a/+/#")
    assert parse_shared("$share/workers//a") == SharedSubscription(share_name="workers", topic_filter="/a")
    assert parse_shared("a/b") is None
    assert parse_shared("$shared") is None


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/#", "sports", False),
        ("#", "a/b/c", True),
        ("#", "/", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/uptime", False),
        ("+/uptime", "$SYS/uptime", False),
        ("$SYS/#", "$SYS/uptime", True),
        ("$SYS/+", "$SYS/uptime", True),
        ("a/#", "a/$b", True),
        ("+/$b", "a/$b", True),
        ("ACCOUNTS", "Accounts", False),
        ("a", "a", True),
        ("a/b", "a", False),
        ("a//b", "a//b", True),
        ("a/+/b", "a//b", True),
        ("a/b/#", "a", False),
        ("a/+/#", "a", False),
    ],
)
def test_matching_follows_the_examples_of_the_specification(topic_filter: str, topic: str, expected: bool) -> None:
    validate_topic_filter(topic_filter)
    assert matches(topic_filter, topic) is expected


levels = st.sampled_from(["", "a", "b", "$a", "+"])
filters = st.builds(
    lambda parts, tail: "/".join([*parts, *tail]) or "a",
    st.lists(levels, min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
)
topics = st.lists(st.sampled_from(["", "a", "b", "$a"]), min_size=1, max_size=4).map(
    lambda parts: "/".join(parts) or "a"
)


def as_expression(topic_filter: str) -> str:
    """The filter as a regular expression: a definition that shares nothing with the code."""
    pattern = "/".join("[^/]*" if level == "+" else re.escape(level) for level in topic_filter.split("/"))
    if topic_filter == "#":
        pattern = ".*"
    elif topic_filter.endswith("/#"):
        pattern = pattern.removesuffix("/" + re.escape("#")) + "(/.*)?"
    return ("(?![$])" if topic_filter[0:1] in {"+", "#"} else "") + pattern


@settings(deadline=None)
@given(filters, topics)
def test_matching_agrees_with_a_regular_expression(topic_filter: str, topic: str) -> None:
    assert matches(topic_filter, topic) is bool(re.fullmatch(as_expression(topic_filter), topic))
