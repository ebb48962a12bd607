from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.subscriptions import SubscriptionTree
from gateway.mqtt.topics import matches

MATCHES = [
    ("a/b", "a/b", True),
    ("a/b", "a/c", False),
    ("a/b", "a/b/c", False),
    ("a/+", "a/b", True),
    ("a/+", "a", False),
    ("a/+", "a/", True),
    ("+/+", "/x", True),
    ("+", "/x", False),
    ("a/#", "a", True),
    ("a/#", "a/b/c", True),
    ("a/#", "ab", False),
    ("#", "a/b", True),
    ("#", "$SYS/x", False),
    ("+/x", "$SYS/x", False),
    ("$SYS/#", "$SYS/x", True),
    ("a/+/c", "a/$b/c", True),
    ("+/a/#", "b/a", True),
]


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHES)
def test_a_filter_takes_the_topics_that_the_specification_says(topic_filter: str, topic: str, expected: bool) -> None:
    tree: SubscriptionTree[str, int] = SubscriptionTree()
    tree.add(topic_filter, "client", 1)
    assert bool(tree.match(topic)) is expected


def test_overlapping_filters_of_one_key_are_found_together() -> None:
    tree: SubscriptionTree[str, int] = SubscriptionTree()
    for value, topic_filter in enumerate(("a/#", "a/+", "a/b", "#", "c")):
        tree.add(topic_filter, "x", value)
    tree.add("a/b", "y", 9)
    found = tree.match("a/b")
    assert sorted(found["x"]) == [0, 1, 2, 3]
    assert found["y"] == [9]


LEVEL = st.sampled_from(["a", "b", "", "$x"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = (
    st.tuples(st.lists(st.one_of(LEVEL, st.just("+")), max_size=4), st.booleans())
    .map(lambda parts: "/".join([*parts[0], "#"] if parts[1] else parts[0]))
    .filter(bool)
)


@given(st.dictionaries(FILTER, st.booleans(), max_size=12), TOPIC)
def test_the_tree_agrees_with_matching_each_filter_alone_and_is_empty_after_all_are_removed(
    filters: dict[str, bool], topic: str
) -> None:
    tree: SubscriptionTree[str, None] = SubscriptionTree()
    for topic_filter in filters:
        assert tree.add(topic_filter, topic_filter, None)
        assert not tree.add(topic_filter, topic_filter, None)
    for topic_filter, is_removed in filters.items():
        if is_removed:
            assert tree.remove(topic_filter, topic_filter)
            assert not tree.remove(topic_filter, topic_filter)
    kept = {topic_filter for topic_filter, is_removed in filters.items() if not is_removed}
    assert set(tree.match(topic)) == {topic_filter for topic_filter in kept if matches(topic_filter, topic)}
    assert len(tree) == len(kept)
    for topic_filter in kept:
        tree.remove(topic_filter, topic_filter)
    assert len(tree) == 0
    assert tree._root.children == {}
