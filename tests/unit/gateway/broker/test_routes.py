from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Stream
from gateway.access.ports import Unlimited
from gateway.broker import routes as module
from gateway.broker.held import Held
from gateway.broker.routes import SLOW, Routes
from gateway.broker.session import Session
from gateway.broker.subscriptions import SubscriptionTree
from gateway.mqtt.errors import TopicNameInvalid
from gateway.mqtt.packets import Subscription
from gateway.mqtt.topics import matches

STREAMS = (
    Stream(name="alarms", topics=("+/alarm", "alarm/#")),
    Stream(name="telemetry", topics=("plant/#",)),
    Stream(name="own", topics=("$own/#",)),
)


def routes(*held: tuple[Session, Held]) -> Routes:
    tree: SubscriptionTree[Session, Held] = SubscriptionTree()
    for session, each in held:
        tree.add(each.subscription.topic_filter, session, each)
    return Routes(STREAMS, tree)


def holding(topic_filter: str, qos: int = 0, identifier: int | None = None, *, no_local: bool = False) -> Held:
    return Held(subscription=Subscription(topic_filter=topic_filter, qos=qos, no_local=no_local), identifier=identifier)


@pytest.mark.parametrize(
    ("topic", "stream"),
    [
        ("plant/alarm", 0),
        ("plant/x", 1),
        ("plant", 1),
        ("alarm", 0),
        ("else", None),
        ("$x/alarm", None),
        ("$own/x", 2),
    ],
)
def test_the_first_stream_that_matches_takes_the_topic(topic: str, stream: int | None) -> None:
    route = routes()[topic.encode()]
    assert route.stream == stream
    assert route.fast == (SLOW if stream is None else stream)


@pytest.mark.parametrize("topic", [b"", b"a/+", b"#", b"\xff", b"a\x00b"])
def test_a_topic_that_is_not_allowed_has_no_route(topic: bytes) -> None:
    with pytest.raises(TopicNameInvalid):
        routes()[topic]


@pytest.mark.parametrize(
    ("topic", "is_refused"),
    [("$SYS/broker/uptime", True), ("$share/a/b", True), ("$SYS/broker/connection/x/state", False), ("$other", False)],
)
def test_the_servers_own_topics_are_refused(topic: str, is_refused: bool) -> None:
    assert routes()[topic.encode()].is_refused is is_refused


def test_overlapping_subscriptions_are_one_target_with_the_highest_qos_and_all_identifiers() -> None:
    session = Session("a", 0)
    found = routes((session, holding("plant/#", 0, 5)), (session, holding("plant/x", 2, 7)))[b"plant/x"]
    (target,) = found.targets.values()
    assert target.qos == 2
    assert sorted(target.identifiers) == [5, 7]
    assert found.fast == SLOW


def test_with_no_local_only_the_other_subscriptions_count_for_ones_own_messages() -> None:
    session = Session("a", 0)
    (target,) = routes((session, holding("plant/#", 0)), (session, holding("plant/x", 2, no_local=True)))[
        b"plant/x"
    ].targets.values()
    assert target.qos == 2
    assert target.own is not None
    assert target.own.qos == 0
    (target,) = routes((session, holding("plant/x", 2, no_local=True)))[b"plant/x"].targets.values()
    assert target.own is None


def test_a_topic_is_looked_up_once_and_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED_TOPICS", 10)
    found = routes()
    assert found[b"plant/x"] is found[b"plant/x"]
    for i in range(100):
        found[b"plant/%d" % i]
        assert len(found) <= 10


def test_long_topics_are_not_kept() -> None:
    found = routes()
    assert found[b"plant/" + b"x" * module.MAX_CACHED_TOPIC_BYTES].stream == 1
    assert not found


LEVELS = st.lists(st.sampled_from(["a", "b", "", "$x", "é", "a.b", "\n"]), min_size=1, max_size=4)


@settings(deadline=None)
@given(LEVELS, st.lists(st.sampled_from(["a", "b", "", "$x", "é", "a.b", "\n", "+"]), max_size=4), st.booleans())
def test_a_changed_subscription_forgets_the_topics_it_takes_and_no_others(
    topic_levels: list[str], levels: list[str], has_rest: bool
) -> None:
    topic = "/".join(topic_levels)
    topic_filter = "/".join([*levels, "#"] if has_rest else levels)
    if not (topic and topic_filter) or "\n" in topic:
        return
    cached = routes()
    assert cached[topic.encode()]
    cached.forget([topic_filter])
    assert (topic.encode() not in cached) is matches(topic_filter, topic)


def test_many_changes_empty_the_cache_so_that_a_burst_costs_no_more() -> None:
    cached = routes()
    assert cached[b"plant/x"]
    cached.forget(f"other/+/{i}" for i in range(module.MAX_LOOKS))
    assert b"plant/x" in cached
    cached.forget(["other/+"])
    assert not cached


def test_topics_are_looked_up_for_those_who_may_read_them() -> None:
    class Blind(Unlimited):
        is_unlimited = False

        def may_read(self, topic: str) -> bool:
            return topic != "plant/secret"

    session = Session("s", 0)
    session.rights = Blind()
    found = routes((session, holding("plant/+")))
    assert found[b"plant/open"].targets
    assert not found[b"plant/secret"].targets
    assert found[b"plant/secret"].fast == 1


def test_many_subscribers_of_many_topics_take_no_more_memory_than_the_cache_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every topic with a subscriber of its own has an audience of its own, in which are all who subscribed to more."""
    monkeypatch.setattr(module, "MAX_CACHED_TARGETS", 50)
    one = Session("one", 0)
    held = [(Session(f"all-{i}", 0), holding("#")) for i in range(9)]
    held += [(one, holding(f"t/{i}")) for i in range(100)]
    found = routes(*held)
    for i in range(100):
        assert len(found[f"t/{i}".encode()].targets) == 10
        assert len(found) <= 6
    for i in range(100):
        assert len(found[f"other/{i}".encode()].targets) == 9
    assert len(found) > 90


def test_the_target_of_one_subscription_is_made_once_whoever_comes_and_goes_beside_it() -> None:
    tree: SubscriptionTree[Session, Held] = SubscriptionTree()
    found = Routes(STREAMS, tree)
    first, second = Session("a", 0), Session("b", 0)
    tree.add("#", first, holding("#"))
    (target,) = found[b"x"].targets.values()
    tree.add("+", second, holding("+"))
    found.forget(["+"])
    assert found[b"x"].targets[first] is target
    tree.add("x", first, holding("x", qos=2))
    found.forget(["x"])
    assert {session: target.qos for session, target in found[b"x"].targets.items()} == {first: 2, second: 0}
    tree.remove("x", first)
    found.forget(["x"])
    assert found[b"x"].targets[first] is target
