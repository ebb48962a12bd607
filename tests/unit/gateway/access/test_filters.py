"""Sets of filters against the plain meaning of one filter and one topic."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.access.filters import FilterSet, Names, is_unsafe
from gateway.mqtt.topics import matches

NAMES = Names(client_id="b", username="c")
NOBODY = Names(client_id="b", username=None)
LEVELS = ("", "a", "b", "c", "$x")
TOPICS = [
    topic for depth in (1, 2, 3) for topic in map("/".join, itertools.product(LEVELS, repeat=depth)) if topic != ""
]

levels = st.sampled_from([*LEVELS, "+", "+"])
filters = st.builds(
    lambda body, is_open: "/".join([*body, "#"] if is_open else body),
    st.lists(levels, min_size=1, max_size=3),
    st.booleans(),
).filter(bool) | st.just("#")


def taken(topic_filters: list[str]) -> set[str]:
    return {topic for topic in TOPICS if any(matches(topic_filter, topic) for topic_filter in topic_filters)}


def made(*topic_filters: str) -> FilterSet:
    made = FilterSet(fills_in=True)
    for topic_filter in topic_filters:
        made.add(topic_filter)
    return made


@given(st.lists(filters, max_size=6))
def test_a_set_takes_the_topics_that_one_of_its_filters_takes(topic_filters: list[str]) -> None:
    ready = made(*topic_filters)
    assert {topic for topic in TOPICS if ready.covers(topic, NAMES)} == taken(topic_filters)
    assert bool(ready) is bool(topic_filters)


@given(st.lists(filters, max_size=6), filters)
def test_a_filter_that_is_covered_takes_nothing_beyond_the_set(topic_filters: list[str], asked: str) -> None:
    if made(*topic_filters).covers(asked, NAMES):
        assert taken([asked]) <= taken(topic_filters)


@given(filters)
def test_a_filter_covers_itself(topic_filter: str) -> None:
    assert made(topic_filter).covers(topic_filter, NAMES)


@given(st.lists(filters, max_size=6), filters)
@example(["/#"], "+")
def test_a_set_overlaps_a_filter_when_they_share_a_topic(topic_filters: list[str], asked: str) -> None:
    """The empty topic is one, too: no packet holds it, so that a filter which takes no other brings nothing."""
    shares = any(
        matches(asked, topic) and any(matches(each, topic) for each in topic_filters) for topic in ("", *TOPICS)
    )
    assert made(*topic_filters).overlaps(asked, NAMES) is shares


@pytest.mark.parametrize(
    ("topic_filter", "topic", "names", "is_covered"),
    [
        ("%c/x", "b/x", NAMES, True),
        ("%c/x", "%c/x", NAMES, False),
        ("x/%u.%c", "x/c.b", NAMES, True),
        ("x/%u.%c/#", "x/c.b", NAMES, True),
        ("%u", "c", NOBODY, False),
        ("%u", "", NOBODY, False),
        ("%c", "b", NOBODY, True),
        ("%c", "%u", Names(client_id="%u", username="c"), True),
        ("%c", "c", Names(client_id="%u", username="c"), False),
        ("%c", "$b", Names(client_id="$b", username=None), True),
        ("%c", "+", NAMES, False),
        ("%c", "#", NAMES, False),
        ("+/%c", "+/+", NAMES, False),
        ("+/%c", "+/b", NAMES, True),
    ],
)
def test_names_are_filled_in_once_and_each_as_one_level(
    topic_filter: str, topic: str, names: Names, is_covered: bool
) -> None:
    assert made(topic_filter).covers(topic, names) is is_covered


def test_without_filling_in_the_places_are_plain_text() -> None:
    plain = FilterSet()
    plain.add("%c/a")
    assert plain.covers("%c/a", NAMES)
    assert not plain.covers("b/a", NAMES)


@pytest.mark.parametrize(("name", "unsafe"), [("a/b", True), ("+", True), ("a#", True), ("a.b", False), (None, False)])
def test_a_name_that_reaches_beyond_its_level_is_unsafe(name: str | None, unsafe: bool) -> None:
    assert is_unsafe(name) is unsafe


def test_a_topic_of_many_levels_costs_no_more_than_the_rules() -> None:
    deep = made(*("/".join(["+"] * depth) for depth in range(1, 100)), *("/".join(["a"] * d) for d in range(1, 100)))
    assert not deep.covers("/".join(["a"] * 30_000), NAMES)
    assert deep.overlaps("/".join(["+"] * 99), NAMES)


TEMPLATES = ("%c/a", "a/%u", "%u/%c/#", "%c", "a/+/%u", "x%c/b")


@given(st.lists(filters | st.sampled_from(TEMPLATES), max_size=6), st.lists(st.sampled_from("abc"), max_size=4))
def test_who_asks_after_somebody_else_is_told_what_holds_for_himself(topic_filters: list[str], who: list[str]) -> None:
    ready = made(*topic_filters)
    for topic in TOPICS[:60]:
        for client_id in who:
            names = Names(client_id=client_id, username=None if client_id == "b" else client_id)
            filled = map(names.fill_in, topic_filters)
            assert ready.covers(topic, names) is any(each is not None and matches(each, topic) for each in filled)


class CountedTopic(str):  # noqa: SLOT000 - it has to count
    """A topic that counts how often it is taken apart."""

    splits = 0

    def split(self, *args: object) -> list[str]:  # type: ignore[override]
        self.splits += 1
        return super().split(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize("template", ["a/+", "a/%u", "%c/a"])
def test_a_topic_that_ten_thousand_ask_about_is_looked_for_once(template: str) -> None:
    ready = made(template, *(f"a/{i}/+/b" for i in range(100)))
    topic = CountedTopic("a/b")
    answers = [ready.covers(topic, Names(client_id=str(i), username=str(i))) for i in range(10_000)]
    assert set(answers) == {template == "a/+"}
    assert topic.splits == 1
