from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.record import Properties
from gateway.traffic.recent import MAX_PAYLOAD_BYTES, Recent


def add(recent: Recent, client: str, *topics: str, payload: bytes = b"x", now_us: int = 1) -> None:
    recent.add(client, now_us, [each.encode() for each in topics], [payload] * len(topics), b"\2" * len(topics))


def test_the_newest_of_a_client_and_of_a_topic_come_first() -> None:
    recent = Recent()
    add(recent, "one", "a", "b", now_us=1)
    add(recent, "two", "a", now_us=2)
    add(recent, "one", "a", now_us=3)
    assert [(each.topic, each.at_us) for each in recent.newest(client="one", limit=9)] == [("a", 3), ("b", 1), ("a", 1)]
    assert [(each.client, each.at_us) for each in recent.newest(topic="a", limit=2)] == [("one", 3), ("two", 2)]
    assert [each.at_us for each in recent.newest(client="one", topic="a", limit=9)] == [3, 1]
    assert recent.newest(client="nobody", limit=9) == []


def test_of_a_long_payload_the_beginning_is_kept_alone_and_among_others() -> None:
    recent = Recent()
    long = b"y" * (MAX_PAYLOAD_BYTES + 1)
    add(recent, "d", "a", payload=long)
    recent.add("d", 2, [b"a", b"a"], [long, b"short"], b"\0\0")
    assert [(len(each.payload), each.size_bytes, each.is_truncated) for each in recent.newest(topic="a", limit=9)] == [
        (5, 5, False),
        (MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1, True),
        (MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1, True),
    ]


def test_properties_stay_with_their_message_and_take_room() -> None:
    recent = Recent(max_bytes=100_000)
    properties = Properties(user_property=(("k", "v" * 60_000),))
    recent.add("d", 1, [b"a", b"b"], [b"1", b"2"], b"\0\0", [properties, None])
    assert [each.properties for each in recent.newest(client="d", limit=9)] == [None, properties]
    recent.add("d", 2, [b"c"], [b"3"], b"\0", [properties])
    assert [each.topic for each in recent.newest(client="d", limit=9)] == ["c"]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3000)), max_size=40))
def test_it_never_holds_more_than_it_may_and_always_the_newest(runs: list[tuple[int, int]]) -> None:
    recent = Recent(max_bytes=10_000)
    for number, (count, size) in enumerate(runs):
        add(recent, "d", *["a"] * count, payload=bytes(size), now_us=number)
        assert 0 <= recent.size_bytes <= 10_000
    found = [each.at_us for each in recent.newest(client="d", limit=1000)]
    expected = [number for number, (count, _) in reversed(list(enumerate(runs))) for _ in range(count)]
    assert found == expected[: len(found)]
    assert found or not runs
