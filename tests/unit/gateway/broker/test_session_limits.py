"""How many sessions and subscriptions there may be, how long a session may live, and what a client is told of it."""

from __future__ import annotations

import pytest

from config import settings
from gateway.access.ports import Granted
from gateway.broker.session import NEVER_EXPIRES
from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import Disconnect, Subscribe, Subscription, Unsubscribe, Version, Will
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome
from tests.support.broker import House, subscribe

DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
ALICE = Granted(username="alice")


def test_a_session_expiry_above_the_limit_is_cut_and_connack_says_so() -> None:
    """§3.2.2.3.2"""
    house = House(limits=settings.Sessions(max_expiry_s=10))
    _, channel = house.knock(**DURABLE_5)
    house.store.commit()
    assert b"\x11\x00\x00\x00\x0a" in channel.take()
    assert house.broker.sessions["device"].expiry_interval_s == 10
    _, channel = house.knock("short", **DURABLE_5 | {"session_expiry_interval_s": 9})
    house.store.commit()
    assert b"\x11\x00\x00" not in channel.take()


def test_a_session_of_3_1_1_that_lasts_has_the_longest_expiry_that_there_is() -> None:
    house = House(limits=settings.Sessions(max_expiry_s=10))
    client, _ = house.connect(clean_start=False)
    client.lost()
    house.pass_time(11)
    assert house.broker.sessions == {}
    house = House()
    client, _ = house.connect(clean_start=False)
    assert client.session.expiry_interval_s == NEVER_EXPIRES
    client.lost()
    house.pass_time(10**9)
    assert len(house.broker.sessions) == 1


def test_disconnect_may_not_make_a_session_last_longer_than_the_limit() -> None:
    house = House(limits=settings.Sessions(max_expiry_s=200))
    client, _ = house.connect(**DURABLE_5)
    client.handle(Disconnect(session_expiry_interval_s=NEVER_EXPIRES))
    assert house.broker.sessions["device"].expiry_interval_s == 200


def test_disconnect_may_not_set_an_expiry_where_connect_had_none() -> None:
    """§3.14.2.2.2: a Protocol Error."""
    client, _ = House().connect(version=Version.V5)
    with pytest.raises(ProtocolError):
        client.handle(Disconnect(session_expiry_interval_s=5))


def test_disconnect_may_say_again_what_connect_asked_for_where_the_server_keeps_no_sessions() -> None:
    """It is a Protocol Error where CONNECT had none, whatever was granted; nothing lasts that CONNACK refused."""
    house = House(limits=settings.Sessions(max_expiry_s=0))
    will = Will(topic="gone", payload=b"x", qos=0, retain=False)
    client, channel = house.connect(**DURABLE_5, will=will)
    house.broker.limit(sessions=settings.Sessions(), retained=settings.Retained(), limits=settings.Limits())
    client.handle(Disconnect(session_expiry_interval_s=100))
    assert channel.take() == b""
    house.store.commit()
    assert (house.store.stored, house.broker.sessions, house.store.disk) == ([], {}, {})


def test_a_user_may_have_so_many_sessions_and_others_are_not_counted() -> None:
    house = House(limits=settings.Sessions(max_sessions_per_user=2))
    house.connect("one", Version.V5, granted=ALICE)
    two, _ = house.connect("two", **DURABLE_5, granted=ALICE)
    refused, channel = house.knock("three", Version.V5, granted=ALICE)
    assert refused is None
    assert channel.take()[3] == ReasonCode.QUOTA_EXCEEDED
    house.connect("other", Version.V5, granted=Granted(username="bob"))
    for i in range(5):
        house.connect(f"anonymous{i}", Version.V5)
    house.connect("two", **DURABLE_5, granted=ALICE)
    two.lost()
    client = house.broker.sessions["one"].client
    assert client is not None
    client.lost()
    house.connect("three", Version.V5, granted=ALICE)


def test_sessions_of_a_user_are_counted_after_a_restart() -> None:
    limits = settings.Sessions(max_sessions_per_user=1)
    house = House(limits=limits)
    house.connect(**DURABLE_5, granted=ALICE)
    again = House(limits=limits, sessions=house.store.disk)
    refused, _ = again.knock("other", Version.V5, granted=ALICE)
    assert refused is None
    again.connect(**DURABLE_5, granted=ALICE)


def test_a_session_that_is_taken_by_another_user_counts_for_him() -> None:
    house = House(limits=settings.Sessions(max_sessions=2, max_sessions_per_user=1))
    house.connect("one", Version.V5, granted=ALICE)
    house.connect("two", Version.V5, granted=Granted(username="bob"))
    refused, _ = house.knock("two", Version.V5, granted=ALICE)
    assert refused is None
    house.connect("two", Version.V5, granted=Granted(username="carol"))


def test_a_lower_limit_holds_for_the_sessions_that_are_there_from_the_next_start() -> None:
    house = House()
    house.connect(**DURABLE_5)
    again = House(limits=settings.Sessions(max_expiry_s=10), sessions=house.store.disk)
    again.pass_time(11)
    assert again.broker.sessions == {}


@pytest.mark.parametrize(
    ("topic_filter", "code"),
    [("a/b/c", 0), ("a/b/c/d", 0x8F), ("$share/g/a/b/c", 0), ("$share/g/a/b/c/d", 0x8F), ("a/b/#", 0), ("///#", 0x8F)],
)
def test_a_filter_of_too_many_levels_is_refused(topic_filter: str, code: int) -> None:
    house = House(limits=None)  # type: ignore[arg-type]
    house.broker.subscribing._max_topic_levels = 3
    client, channel = house.connect(version=Version.V5)
    client.handle(subscribe(topic_filter))
    assert channel.take() == bytes([0x90, 4, 0, 77, 0, code])


def test_subscriptions_of_a_session_are_bounded_and_one_that_is_there_may_be_changed() -> None:
    house = House(limits=settings.Sessions(max_subscriptions=2))
    client, channel = house.connect(version=Version.V5)
    client.handle(subscribe("a", "$share/g/b", "c", "a"))
    assert channel.take() == b"\x90\x07\x00\x4d\x00\x00\x00\x97\x00"
    client.handle(Unsubscribe(packet_id=1, topic_filters=("a",)))
    client.handle(subscribe("c"))
    assert channel.take()[-1] == 0


def test_answers_longer_than_the_client_takes_are_not_sent_and_the_connection_ends() -> None:
    """[MQTT-3.1.2-24]"""
    for packet in (
        Subscribe(packet_id=1, subscriptions=tuple(Subscription(topic_filter=str(i), qos=0) for i in range(60))),
        Unsubscribe(packet_id=1, topic_filters=tuple(str(i) for i in range(60))),
    ):
        house = House()
        client, channel = house.connect(version=Version.V5, maximum_packet_size_bytes=50)
        client.handle(packet)
        assert channel.take() == b"\xe0\x01\x95"
        assert channel.is_closed


def test_an_answer_that_waited_for_the_disk_is_not_sent_when_it_is_too_long_either() -> None:
    """[MQTT-3.1.2-24]"""
    house = House()
    client, channel = house.connect(**DURABLE_5, maximum_packet_size_bytes=50)
    filters = tuple(str(i) for i in range(60))
    client.handle(Subscribe(packet_id=1, subscriptions=tuple(Subscription(topic_filter=f, qos=0) for f in filters)))
    house.store.commit()
    assert channel.take() == b"\xe0\x01\x95"


def test_reason_strings_are_left_out_where_they_are_not_wanted_or_do_not_fit() -> None:
    """[MQTT-3.1.2-29], [MQTT-3.14.2-3]"""
    for more in ({"request_problem_information": False}, {"maximum_packet_size_bytes": 40}):
        client, channel = House().connect(version=Version.V5, **more)
        client.fail(ProtocolError("A sentence that is longer than what fits into forty bytes."))
        assert channel.take()[-1:] in {b"\x82", b"\x00"}
    client, channel = House().connect(version=Version.V5)
    client.fail(ProtocolError("é" * 1000))
    data = channel.take()
    assert len(data) < 128
    assert data[7:].decode() == "é" * 50


def test_a_disconnect_that_does_not_fit_is_not_sent() -> None:
    """[MQTT-3.1.2-24]"""
    house = House()
    client, channel = house.connect(version=Version.V5)
    client.max_packet_size_bytes = 2
    client.close(ReasonCode.SERVER_SHUTTING_DOWN)
    assert channel.take() == b""
    assert channel.is_closed


@pytest.mark.parametrize(("version", "answer"), [(Version.V5, b"\x20\x03\x00\x82\x00"), (Version.V311, b"")])
def test_an_error_before_connack_is_told_by_connack(version: Version, answer: bytes) -> None:
    """[MQTT-3.14.0-1]: no DISCONNECT before CONNACK."""
    house = House()
    more = {"session_expiry_interval_s": 100} if version is Version.V5 else {}
    client, channel = house.knock(version=version, clean_start=False, **more)
    assert client is not None
    client.fail(ProtocolError("Wrong."))
    house.store.commit()
    assert channel.take() == answer
    assert channel.is_closed


def test_connack_never_has_a_code_that_is_not_its_own() -> None:
    """[MQTT-3.2.2-8]"""
    own = {0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}
    reasons = {0x81, 0x82, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0xA0, 0x80, 0x87}
    for reason in sorted(reasons):
        client, channel = House().knock(**DURABLE_5)
        assert client is not None
        client.close(ReasonCode(reason))
        assert channel.take()[3] in own


def test_a_subscribe_that_a_take_over_overtakes_is_neither_answered_nor_lost() -> None:
    """The session goes on: what it was asked for holds; nothing is written to the connection that is gone."""
    house = House()
    first, to_first = house.connect(**DURABLE_5)
    first.handle(subscribe("a", qos=1))
    second, to_second = house.knock(**DURABLE_5)
    assert second is not None
    assert to_first.take() == b"\xe0\x01\x8e"
    house.store.commit()
    assert to_first.take() == b""
    assert to_second.take()[:3] == b"\x20\x14\x01"[:1] + to_second_length(house) + b"\x01"
    assert list(house.restarted().broker.sessions["device"].subscriptions) == ["a"]


def to_second_length(house: House) -> bytes:
    """CONNACK's length byte, which depends on what the server announces."""
    _, channel = house.knock("probe", Version.V5)
    return channel.take()[1:2]


@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.FAILED])
def test_a_subscribe_of_a_session_that_was_started_anew_meanwhile_does_not_touch_the_new_one(outcome: Outcome) -> None:
    house = House()
    first, _ = house.connect(**DURABLE_5)
    first.handle(subscribe("a", qos=1))
    closed = house.store.close_commit()
    second, _ = house.knock(**DURABLE_5 | {"clean_start": True})
    assert second is not None
    second.handle(subscribe("a", qos=2))
    house.store.end_commit(closed, outcome)
    house.store.commit()
    assert {key: held.subscription.qos for key, held in second.session.subscriptions.items()} == {"a": 2}
    assert len(house.broker.routes[b"a"].targets) == 1


def test_every_durable_session_has_a_number_of_its_own_that_stays_after_a_restart() -> None:
    house = House()
    for i in range(3):
        house.connect(f"d{i}", **DURABLE_5)
    fleeting, _ = house.connect("fleeting", Version.V5)
    assert fleeting.session.number == 0
    numbers = {name: session.number for name, session in house.broker.sessions.items() if session.is_durable}
    assert len(set(numbers.values())) == 3
    again = house.restarted()
    assert {name: session.number for name, session in again.broker.sessions.items()} == numbers
    again.connect("d0", **DURABLE_5 | {"clean_start": True})
    assert again.broker.sessions["d0"].number not in numbers.values()


def test_a_session_of_the_first_version_gets_a_number_that_is_on_disk_with_the_next_commit() -> None:
    import msgpack

    old = msgpack.packb([1, 100, [["a", 1, 0, None]], b""])
    house = House(sessions={"device": old})
    number = house.broker.sessions["device"].number
    assert number
    house.store.commit()
    assert house.restarted().broker.sessions["device"].number == number


def test_numbers_begin_again_when_they_are_used_up_and_leave_out_those_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.broker.sessions.MAX_NUMBER", 3)
    house = House()
    for name in ("a", "b", "c", "b", "c"):
        house.connect(name, **DURABLE_5 | {"clean_start": True})
    numbers = [house.broker.sessions[name].number for name in ("a", "b", "c")]
    assert sorted(numbers) == [1, 2, 3]


def test_names_and_wills_have_a_bound_over_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.broker.sessions.MAX_SESSIONS_BYTES", 70_000)
    monkeypatch.setattr("gateway.broker.will_watch.MAX_WILLS_BYTES", 50_000)
    house = House()
    long, _ = house.connect("x" * 65_000, Version.V5)
    house.connect("second", Version.V5)
    house.connect("third", Version.V5)
    refused, channel = house.knock("fourth", Version.V5)
    assert refused is None
    assert channel.take()[3] == ReasonCode.QUOTA_EXCEEDED
    long.lost()
    will = Will(topic="gone", payload=bytes(30_000), qos=0, retain=False)
    dying, _ = house.connect("fourth", **DURABLE_5, will=will)
    refused, channel = house.knock("fifth", Version.V5, will=will)
    assert refused is None
    assert channel.take()[3] == ReasonCode.QUOTA_EXCEEDED
    again = house.restarted()
    assert again.broker.wills.size_bytes == house.broker.wills.size_bytes > 30_000
    dying.lost()
    assert house.broker.wills.size_bytes == 0
    for session in list(house.broker.sessions.values()):
        house.broker.sessions.end(session)
    assert house.broker.sessions.size_bytes == 0
