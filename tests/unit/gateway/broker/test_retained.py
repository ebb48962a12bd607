from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.message import Message
from gateway.broker.retained import RetainedLimits, RetainedMessages
from gateway.mqtt.topics import matches


def message(topic: str, payload: bytes = b"x", expires_at_s: float | None = None) -> Message:
    return Message(topic=topic, payload=payload, qos=1, retain=True, origin="d", expires_at_s=expires_at_s)


def test_the_last_message_of_a_topic_is_kept_and_an_empty_one_removes_it() -> None:
    retained = RetainedMessages()
    retained.keep(message("a", b"1"))
    retained.keep(message("a", b"2"))
    assert [each.payload for each in retained.match("a", 0)] == [b"2"]
    retained.keep(message("a", b""))
    assert retained.match("#", 0) == []
    assert retained.size_bytes == 0


def test_an_expired_message_is_not_given_out_and_is_forgotten() -> None:
    retained = RetainedMessages()
    retained.keep(message("a", expires_at_s=10))
    assert len(retained.match("a", 9.9)) == 1
    assert retained.match("a", 10) == []
    assert len(retained) == 0


def test_what_has_no_room_is_refused_and_counted() -> None:
    retained = RetainedMessages(RetainedLimits(max_messages=1))
    assert retained.keep(message("a"))
    assert not retained.keep(message("b"))
    assert retained.keep(message("a", b"new"))
    assert retained.refused == 1


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
    found = {each.topic for each in retained.match(topic_filter, 0)}
    assert found == {topic for topic in topics if matches(topic_filter, topic)}
