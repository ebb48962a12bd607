from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.aliases import MAX_ALIASES, MAX_TOPIC_CHARACTERS, TopicAliases


def test_a_topic_is_written_once_and_is_its_alias_from_then_on() -> None:
    aliases = TopicAliases(2)
    assert aliases.encode("a") == ("a", 1)
    assert aliases.encode("a") == ("", 1)
    assert aliases.encode("b") == ("b", 2)
    assert aliases.encode("a") == ("", 1)


def test_the_alias_of_the_topic_that_was_used_longest_ago_is_given_anew() -> None:
    aliases = TopicAliases(2)
    for topic in ("a", "b", "a"):
        aliases.encode(topic)
    assert aliases.encode("c") == ("c", 2)
    assert aliases.encode("b") == ("b", 1)
    assert aliases.encode("c") == ("", 2)


def test_a_client_that_takes_none_gets_none() -> None:
    assert TopicAliases(0).encode("a") == ("a", None)


def test_a_very_long_topic_gets_none() -> None:
    topic = "t" * (MAX_TOPIC_CHARACTERS + 1)
    assert TopicAliases(5).encode(topic) == (topic, None)


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["sent", "sent", "sent", "lost"])), max_size=60),
)
def test_a_client_always_finds_the_topic_that_was_meant(maximum: int, steps: list[tuple[str, str]]) -> None:
    aliases = TopicAliases(maximum)
    known: dict[int, str] = {}
    for topic, fate in steps:
        written, alias = aliases.encode(topic)
        assert alias is None or 1 <= alias <= maximum
        if fate == "lost":
            aliases.forget(topic)
        elif written:
            assert written == topic
            if alias is not None:
                known[alias] = written
        else:
            assert alias is not None
            assert known[alias] == topic


def test_the_number_of_aliases_is_bounded_whatever_a_client_offers() -> None:
    aliases = TopicAliases(65535)
    assert max(aliases.encode(f"t{i}")[1] or 0 for i in range(1000)) == MAX_ALIASES
