from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Retained
from gateway.broker.message import Message
from gateway.broker.retained import RetainedMessages
from gateway.broker.retained_page import RetainedPage, retained_page
from gateway.mqtt.topics import matches

LEVEL = st.sampled_from(["a", "b", "c", "", "$x"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = st.one_of(
    st.lists(st.sampled_from(["a", "b", "+", "$x"]), min_size=1, max_size=4).map("/".join),
    st.lists(st.sampled_from(["a", "b", "+"]), max_size=3).map(lambda levels: "/".join([*levels, "#"])),
)


def message(topic: str) -> Message:
    return Message(topic=topic, payload=b"x", qos=1, retain=True, origin="d")


def keeping(*topics: str) -> RetainedMessages:
    retained = RetainedMessages(Retained(max_messages=1_000_000, max_bytes=1 << 30))
    for topic in topics:
        retained.keep(message(topic))
    return retained


async def page(retained: RetainedMessages, topic_filter: str, after: str | None, limit: int) -> RetainedPage:
    return await retained_page(retained, topic_filter, now_s=lambda: 0.0, after=after, limit=limit)


def test_pages_follow_each_other_until_there_is_nothing_more() -> None:
    retained = keeping(*[f"a/{i}" for i in range(5)], "b")

    async def look() -> list[tuple[list[str], str | None]]:
        found = []
        after = None
        while True:
            each = await page(retained, "a/#", after, 2)
            found.append(([message.topic for message in each.messages], each.next_after))
            after = each.next_after
            if after is None:
                return found

    assert asyncio.run(look()) == [(["a/0", "a/1"], "a/1"), (["a/2", "a/3"], "a/3"), (["a/4"], None)]


def test_a_topic_that_the_filter_does_not_match_is_no_place_to_go_on_from() -> None:
    with pytest.raises(ValueError, match="does not match"):
        asyncio.run(page(keeping("a"), "a/#", "b", 2))


def test_others_get_their_turn_while_much_is_looked_at() -> None:
    retained = keeping(*[f"a/{i}/x" for i in range(5000)])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def look() -> RetainedPage:
        counting = asyncio.create_task(count())
        try:
            return await page(retained, "+/+/none", None, 10)
        finally:
            counting.cancel()

    assert asyncio.run(look()).messages == []
    assert turns >= 5


@given(st.lists(TOPIC, max_size=12), FILTER, st.integers(1, 4), st.lists(TOPIC, max_size=4))
def test_pages_have_what_matches_once_and_in_order_also_when_topics_go_meanwhile(
    topics: list[str], topic_filter: str, limit: int, gone: list[str]
) -> None:
    retained = keeping(*topics)
    whole = [each.topic for each in retained.match(topic_filter, 0.0)]
    assert set(whole) == {topic for topic in topics if matches(topic_filter, topic)}

    async def look() -> list[str]:
        found: list[str] = []
        after = None
        first = True
        while first or after is not None:
            each = await page(retained, topic_filter, after, limit)
            found += [message.topic for message in each.messages]
            after = each.next_after
            if first:
                for topic in gone:
                    retained.remove(topic)
            first = False
        return found

    expected = whole[:limit] + [topic for topic in whole[limit:] if topic not in gone]
    assert asyncio.run(look()) == expected
