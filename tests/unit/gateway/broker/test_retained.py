from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.settings import Retained
from gateway.broker.message import Message
from gateway.broker.retained import BRANCH_BYTES, RetainedMessages
from gateway.mqtt.topics import matches


def message(topic: str, payload: bytes = b"x", expires_at_s: float | None = None) -> Message:
    return Message(topic=topic, payload=payload, qos=1, retain=True, origin="d", expires_at_s=expires_at_s)


def test_the_last_message_of_a_topic_is_kept_and_an_empty_one_removes_it() -> None:
    retained = RetainedMessages()
    retained.keep(message("a", b"1"))
    retained.keep(message("a", b"2"))
    assert [each.payload for each in retained.match("a", 0)] == [b"2"]
    retained.keep(message("a", b""))
    assert list(retained.match("#", 0)) == []
    assert retained.size_bytes == 0


def test_an_expired_message_is_not_given_out_and_is_forgotten() -> None:
    retained = RetainedMessages()
    retained.keep(message("a", expires_at_s=10))
    assert len(list(retained.match("a", 9.9))) == 1
    assert list(retained.match("a", 10)) == []
    assert retained.forget_expired(9.9) == []
    assert retained.forget_expired(10) == ["a"]
    assert len(retained) == 0


def test_a_message_that_took_the_place_of_one_that_expires_stays() -> None:
    retained = RetainedMessages()
    retained.keep(message("a", expires_at_s=10))
    retained.keep(message("a", b"for ever"))
    assert retained.forget_expired(11) == []
    assert [each.payload for each in retained.match("a", 11)] == [b"for ever"]


def test_a_topic_that_is_published_again_and_again_with_an_expiry_leaves_no_heap_behind() -> None:
    retained = RetainedMessages()
    for second in range(1000):
        retained.keep(message("a", expires_at_s=second))
    assert len(retained._expiries) < 100
    assert retained.forget_expired(999) == ["a"]


def test_what_has_no_room_is_refused_and_counted() -> None:
    retained = RetainedMessages(Retained(max_messages=1))
    assert retained.keep(message("a"))
    assert not retained.keep(message("b"))
    assert retained.keep(message("a", b"new"))
    assert retained.may_keep(message("a", b"newer"))
    assert not retained.may_keep(message("b"))
    assert retained.refused == 2


def test_a_larger_message_is_refused_where_the_bytes_do_not_reach_and_the_old_one_stays() -> None:
    retained = RetainedMessages(Retained(max_bytes=200))
    assert retained.keep(message("a", b"x" * 100))
    assert not retained.keep(message("a", b"x" * 200))
    assert len(retained.get("a").payload) == 100  # type: ignore[union-attr]
    assert retained.size_bytes == message("a", b"x" * 100).size_bytes


def test_what_was_on_disk_comes_back_whatever_the_limits_are_now() -> None:
    retained = RetainedMessages(Retained(max_messages=1))
    retained.restore([message("a"), message("b")])
    assert [each.topic for each in retained] == ["a", "b"]
    assert not retained.may_keep(message("c"))


def test_every_message_is_listed_also_below_a_dollar() -> None:
    retained = RetainedMessages()
    retained.restore([message("$SYS/x"), message("a")])
    assert [each.topic for each in retained] == ["$SYS/x", "a"]


def test_a_walk_goes_on_rightly_whatever_comes_and_goes_meanwhile() -> None:
    retained = RetainedMessages()
    retained.restore(message(f"a/{i:02}/x") for i in range(10))
    matches_ = retained.match("a/+/x", 0)
    assert [each.topic for each in matches_.take(3, 0)] == ["a/00/x", "a/01/x", "a/02/x"]
    retained.remove("a/02/x")  # where it stands
    retained.remove("a/03/x")  # what is next
    retained.keep(message("a/01/y"))  # behind it
    retained.keep(message("a/035/x"))  # ahead of it
    assert [each.topic for each in matches_.take(3, 0)] == ["a/035/x", "a/04/x", "a/05/x"]
    for i in range(10):
        retained.remove(f"a/{i:02}/x")
    assert matches_.take(3, 0) == []
    assert matches_.is_done


def test_one_step_of_a_walk_that_finds_nothing_is_bounded() -> None:
    retained = RetainedMessages()
    retained.restore(message(f"{i}/x") for i in range(5000))
    matches_ = retained.match("+/y", 0)
    steps = 0
    while not matches_.is_done:
        assert matches_.take(100, 0) == []
        steps += 1
    assert 5 <= steps <= 12


def test_an_expired_message_is_passed_over_in_a_walk() -> None:
    retained = RetainedMessages()
    retained.restore([message("a", expires_at_s=5), message("b")])
    assert [each.topic for each in retained.match("#", 0).take(10, 6)] == ["b"]


LEVEL = st.sampled_from(["a", "b", "", "$x", "a.b"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = (
    st.tuples(st.lists(st.one_of(LEVEL, st.just("+")), max_size=4), st.booleans())
    .map(lambda parts: "/".join([*parts[0], "#"] if parts[1] else parts[0]))
    .filter(bool)
)


@given(FILTER, st.lists(TOPIC, max_size=8))
def test_a_filter_finds_the_retained_messages_that_it_matches(topic_filter: str, topics: list[str]) -> None:
    retained = RetainedMessages()
    for topic in topics:
        retained.keep(message(topic))
    found = [each.topic for each in retained.match(topic_filter, 0)]
    assert len(found) == len(set(found))
    assert set(found) == {topic for topic in topics if matches(topic_filter, topic)}


@given(st.lists(st.tuples(st.booleans(), TOPIC), max_size=30))
def test_the_tree_holds_what_a_dict_would(steps: list[tuple[bool, str]]) -> None:
    retained = RetainedMessages()
    model = set()
    for keeps, topic in steps:
        if keeps:
            retained.keep(message(topic))
            model.add(topic)
        else:
            assert retained.remove(topic) == (topic in model)
            model.discard(topic)
    assert {each.topic for each in retained} == model
    assert len(retained) == len(model)
    branches = {topic[:at] for topic in model for at, each in enumerate(topic) if each == "/"}
    assert retained.size_bytes == sum(message(topic).size_bytes for topic in model) + BRANCH_BYTES * len(branches)
    if not model:
        assert not retained._root.below
        assert not retained._root.names


def test_levels_take_room_too_but_not_those_that_others_made() -> None:
    """A client that makes up topics of 128 levels would take fifty times the memory that it may."""
    retained = RetainedMessages(Retained(max_bytes=4 * BRANCH_BYTES))
    assert retained.keep(message("a/b/c"))
    assert retained.keep(message("a/b/d"))
    assert not retained.keep(message("e/f/g/h"))
    assert retained.keep(message("a/b/c/d"))
    assert not retained.keep(message("e/f"))
    assert retained.remove("a/b/c/d")
    assert retained.keep(message("e/f"))


def test_what_the_server_says_takes_no_place_from_what_clients_publish() -> None:
    retained = RetainedMessages(Retained(max_messages=1))
    for topic in ("$SYS/a", "$SYS/b", "$SYS/a"):
        retained.keep_own(message(topic))
    assert len(retained) == 2
    assert retained.keep(message("mine"))
    assert not retained.keep(message("more"))
    retained.keep_own(message("$SYS/c"))
    assert retained.get("$SYS/c") is not None
