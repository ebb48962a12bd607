from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.traffic.topics import MAX_TOPIC_BYTES, MAX_VALUE_BYTES, SPAN_US, Level, Sort, TopicTree

NOW_US = 1_700_000_000_000_000
TOPIC = st.lists(st.sampled_from(["a", "b", "ö", ""]), min_size=1, max_size=4).map("/".join).filter(bool)
RUN = st.lists(st.tuples(TOPIC, st.binary(max_size=3)), min_size=1, max_size=5)


def see(tree: TopicTree, *topics: str, client: str = "device", now_us: int = NOW_US, weight: int = 1) -> None:
    tree.add(
        client, now_us, [topic.encode() for topic in topics], [b"x"] * len(topics), b"\2" * len(topics), weight=weight
    )


def below(tree: TopicTree, prefix: str = "", now_us: int = NOW_US, **more: object) -> Level:
    return tree.children(prefix, now_us, **{"limit": 1000} | more)  # type: ignore[arg-type]


def test_a_level_adds_up_what_is_below_each_of_its_names() -> None:
    tree = TopicTree()
    see(tree, "plant/a/temp", "plant/a/temp", "plant/a/hum", "plant/b", "else")
    level = below(tree, "plant/", sort=Sort.NAME)
    assert [(each.name, each.topic, each.children, each.messages) for each in level.branches] == [
        ("a", "plant/a", 2, 3),
        ("b", "plant/b", 0, 1),
    ]
    assert level.total == 2
    assert level.branches[0].last is None
    last = level.branches[1].last
    assert last is not None
    assert (last.client, last.topic, last.payload, last.qos, last.retain) == ("device", "plant/b", b"x", 1, False)


def test_a_name_that_is_a_topic_and_has_others_below_it_counts_both() -> None:
    tree = TopicTree()
    see(tree, "a", "a/b", "a/b/c")
    (branch,) = below(tree).branches
    assert (branch.children, branch.messages) == (2, 3)
    assert branch.last is not None


def test_the_busiest_come_first_and_a_limit_leaves_the_others_out() -> None:
    tree = TopicTree()
    see(tree, "rare", "often", "often", "often", "some", "some")
    level = below(tree, limit=2)
    assert [each.name for each in level.branches] == ["often", "some"]
    assert level.total == 3
    assert [each.name for each in below(tree, sort=Sort.MESSAGES).branches] == ["often", "some", "rare"]


def test_a_search_counts_only_the_topics_that_have_it() -> None:
    tree = TopicTree()
    see(tree, "plant/a/Temp", "plant/a/hum", "plant/b/hum")
    level = below(tree, search="tEMP")
    assert [(each.name, each.children, each.messages) for each in level.branches] == [("plant", 1, 1)]


def test_what_was_seen_the_longest_ago_goes_when_there_are_too_many() -> None:
    tree = TopicTree(max_topics=2)
    see(tree, "a")
    see(tree, "b")
    see(tree, "a")
    assert tree.is_complete
    see(tree, "c")
    assert sorted(each.name for each in below(tree).branches) == ["a", "c"]
    assert not below(tree).is_complete


def test_a_very_long_topic_is_not_remembered_and_that_is_told() -> None:
    tree = TopicTree()
    see(tree, "x" * (MAX_TOPIC_BYTES + 1))
    assert len(tree) == 0
    assert not tree.is_complete


def test_of_a_value_the_beginning_is_kept() -> None:
    tree = TopicTree()
    tree.add("d", NOW_US, [b"a"], [b"y" * 1000], b"\5")
    found = tree.topic("a", NOW_US)
    assert found is not None
    last = found.last
    assert (len(last.payload), last.size_bytes, last.is_truncated) == (MAX_VALUE_BYTES, 1000, True)
    assert (last.qos, last.retain) == (2, True)


def test_a_topic_that_nobody_saw_is_not_there() -> None:
    assert TopicTree().topic("a", NOW_US) is None
    assert TopicTree().topic("\ud800", NOW_US) is None


def test_a_message_of_a_sample_stands_for_several() -> None:
    tree = TopicTree()
    see(tree, "a", "a", weight=10)
    found = tree.topic("a", NOW_US)
    assert found is not None
    assert found.messages == 20


@pytest.mark.parametrize("per_s", [1, 7])
def test_a_steady_rate_is_told_at_any_moment(per_s: int) -> None:
    tree = TopicTree()
    for i in range(40 * per_s):
        now_us = NOW_US + i * 1_000_000 // per_s
        see(tree, "a", now_us=now_us)
        if i > per_s:
            found = tree.topic("a", now_us)
            assert found is not None
            assert found.per_s == pytest.approx(per_s, rel=0.5 if i < 10 * per_s else 0.11)


def test_a_topic_that_fell_silent_has_no_rate_after_twenty_seconds() -> None:
    tree = TopicTree()
    for i in range(100):
        see(tree, "a", now_us=NOW_US + i * 100_000)
    rates = [below(tree, now_us=NOW_US + i * 1_000_000).branches[0].per_s for i in range(10, 31)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0.0


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    tree = TopicTree()
    see(tree, "a", now_us=NOW_US)
    see(tree, "a", now_us=NOW_US - 3600 * 1_000_000)
    found = tree.topic("a", NOW_US - 3600 * 1_000_000)
    assert found is not None
    assert found.messages == 2
    assert found.per_s >= 0


@given(st.lists(RUN, max_size=12), st.sampled_from(["", "a/", "a/b/", "/", "ö/"]), st.sampled_from(["", "b", "Ö"]))
def test_the_tree_says_what_a_plain_dict_would(runs: list[list[tuple[str, bytes]]], prefix: str, search: str) -> None:
    tree = TopicTree()
    counts: Counter[str] = Counter()
    last: dict[str, bytes] = {}
    for number, run in enumerate(runs):
        topics = [topic for topic, _ in run]
        tree.add("d", NOW_US + number, [topic.encode() for topic in topics], [b for _, b in run], bytes(len(run)))
        counts.update(topics)
        last.update(run)
    wanted = {topic for topic in counts if topic.startswith(prefix) and search.casefold() in topic.casefold()}
    names = {topic[len(prefix) :].split("/")[0] for topic in wanted}
    level = tree.children(prefix, NOW_US + SPAN_US // 2, search=search, sort=Sort.NAME, limit=1000)
    assert [each.name for each in level.branches] == sorted(names)
    for branch in level.branches:
        exact = prefix + branch.name
        under = {topic for topic in wanted if topic.startswith(exact + "/")}
        assert branch.children == len(under)
        assert branch.messages == sum(counts[topic] for topic in under) + (counts[exact] if exact in wanted else 0)
        assert (None if branch.last is None else branch.last.payload) == (last[exact] if exact in wanted else None)
