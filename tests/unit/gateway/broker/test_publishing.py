"""The promises about publishes from devices: what is stored, what is acknowledged, when, and in which order."""

from __future__ import annotations

import pytest

from bridge.record import Properties
from config.settings import Stream
from gateway.broker.connack import Terms
from gateway.mqtt.errors import ReceiveMaximumExceeded, TopicNameInvalid
from gateway.mqtt.packets import PubRel, Version
from gateway.spool.ports import Outcome
from tests.support.broker import House, pid, pubacks, pubcomps, pubrecs, run, subscribe

VERSIONS = [Version.V31, Version.V311, Version.V5]
DURABLE_311 = {"clean_start": False}
DURABLE_5 = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}


@pytest.mark.parametrize("version", VERSIONS)
def test_pubacks_leave_only_after_the_commit_and_in_one_write(version: Version) -> None:
    house = House()
    client, channel = house.connect(version=version)
    client.handle(run(1, "a", "b"))
    client.handle(run(1, "c", first_id=9))
    assert channel.writes == []
    house.store.commit()
    assert channel.writes == [pubacks(1, 2, 9)]
    assert [each.topic for each in house.store.stored] == [b"a", b"b", b"c"]
    assert house.broker.counters.accepted == 3


@pytest.mark.parametrize("version", VERSIONS)
def test_pubrecs_leave_only_after_the_commit(version: Version) -> None:
    house = House()
    client, channel = house.connect(version=version)
    client.handle(run(2, "a", "b"))
    assert channel.writes == []
    house.store.commit()
    assert channel.writes == [pubrecs(1, 2)]


def test_qos_0_is_stored_without_an_answer() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(0, "a", "b"))
    house.store.commit()
    assert channel.writes == []
    assert len(house.store.stored) == 2
    assert house.broker.counters.accepted == 2


def test_a_publish_that_came_while_a_commit_was_written_waits_for_the_next_one() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(1, "a"))
    closed = house.store.close_commit()
    client.handle(run(1, "b", first_id=2))
    house.store.end_commit(closed)
    assert channel.take() == pubacks(1)
    house.store.commit()
    assert channel.take() == pubacks(2)


def test_acknowledgements_go_out_in_the_order_of_the_publishes_whatever_their_kind() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(1, "a", first_id=1))
    client.handle(run(2, "a", first_id=2))
    client.handle(run(1, "a", retain=True, first_id=3))
    client.handle(run(1, "a", first_id=4))
    house.store.commit()
    assert channel.writes == [pubacks(1) + pubrecs(2) + pubacks(3, 4)]


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.FULL, 0x97), (Outcome.FAILED, 0x80)])
def test_a_failed_commit_is_a_reason_for_mqtt_5_and_silence_for_3_1_1(outcome: Outcome, code: int) -> None:
    house = House()
    new, to_new = house.connect("new", Version.V5)
    old, to_old = house.connect("old", Version.V311)
    for client in (new, old):
        client.handle(run(1, "a", first_id=1))
        client.handle(run(2, "a", first_id=2))
    house.store.commit(outcome)
    assert to_new.take() == b"\x40\x03" + pid(1) + bytes([code]) + b"\x50\x03" + pid(2) + bytes([code])
    assert to_old.take() == b""
    assert house.store.stored == []
    assert house.broker.counters.refused == {outcome.value: 4}
    assert house.broker.counters.accepted == 0


def test_without_room_publishes_are_refused_before_they_are_appended() -> None:
    house = House()
    new, to_new = house.connect("new", Version.V5)
    old, to_old = house.connect("old")
    house.store.has_room = False
    for client in (new, old):
        client.handle(run(1, "a", first_id=1))
        client.handle(run(2, "a", first_id=2))
        client.handle(run(0, "a"))
    house.store.commit()
    assert house.store.appends == 0
    assert to_new.take() == b"\x40\x03" + pid(1) + b"\x97" + b"\x50\x03" + pid(2) + b"\x97"
    assert to_old.take() == b""
    assert house.broker.counters.refused == {"full": 6}
    assert not new.session.awaiting_release


@pytest.mark.parametrize("more", [DURABLE_311, DURABLE_5])
def test_qos_2_ids_are_on_disk_with_the_same_commit_as_the_records(more: dict[str, object]) -> None:
    house = House()
    client, _ = house.connect(**more)
    client.handle(run(2, "a", "b"))
    house.store.commit()
    restored = house.restarted().broker.sessions["device"]
    assert set(restored.awaiting_release) == {pid(1), pid(2)}
    assert len(house.store.stored) == 2


def test_a_qos_2_publish_whose_id_is_pending_is_not_stored_again_but_answered_again() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(2, "a"))
    house.store.commit()
    channel.take()
    client.handle(run(2, "a", dup=True))
    assert channel.writes == []
    house.store.commit()
    assert channel.take() == pubrecs(1)
    assert len(house.store.stored) == 1
    assert house.broker.counters.duplicates == 1


def test_a_duplicate_is_known_after_a_crash() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_311)
    client.handle(run(2, "a"))
    house.store.commit()
    house = house.restarted()
    client, channel = house.connect(**DURABLE_311)
    client.handle(run(2, "a", dup=True))
    house.store.commit()
    assert channel.take() == pubrecs(1)
    assert house.store.stored == []


def test_a_duplicate_of_a_publish_whose_commit_is_open_is_answered_after_that_commit_and_as_it_ended() -> None:
    house = House()
    client, _ = house.connect(version=Version.V5, clean_start=False, session_expiry_interval_s=9)
    client.handle(run(2, "a"))
    first = house.store.close_commit()
    client.lost()
    client, channel = house.connect(version=Version.V5, clean_start=False, session_expiry_interval_s=9)
    client.handle(run(2, "a", dup=True))
    second = house.store.close_commit()
    assert channel.writes == []
    house.store.end_commit(first, Outcome.FULL)
    house.store.end_commit(second)
    assert channel.take() == b"\x50\x03" + pid(1) + b"\x97"
    assert house.store.stored == []
    assert not client.session.awaiting_release


def test_a_run_with_duplicates_among_new_publishes_stores_the_new_and_keeps_the_order_of_answers() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(2, "a", ids=[5]))
    house.store.commit()
    channel.take()
    client.handle(run(2, *"abcde", ids=[1, 5, 2, 2, 3]))
    house.store.commit()
    assert channel.take() == pubrecs(1, 5, 2, 2, 3)
    assert [each.payload for each in house.store.stored] == [b"0", b"0", b"2", b"4"]


def test_the_ids_of_a_failed_commit_do_not_stay_pending() -> None:
    house = House()
    client, channel = house.connect(**DURABLE_311)
    client.handle(run(2, "a"))
    house.store.commit(Outcome.FULL)
    assert not client.session.awaiting_release
    client.handle(run(2, "a", dup=True))
    house.store.commit()
    assert channel.take() == pubrecs(1)
    assert len(house.store.stored) == 1


def test_pubcomp_leaves_only_when_the_removal_of_the_id_is_on_disk() -> None:
    house = House()
    client, channel = house.connect(**DURABLE_311)
    client.handle(run(2, "a", "b"))
    house.store.commit()
    channel.take()
    client.handle(PubRel(packet_ids=[pid(1), pid(2)]))
    assert channel.writes == []
    assert house.restarted().broker.sessions["device"].awaiting_release
    house.store.commit()
    assert channel.writes == [pubcomps(1, 2)]
    assert not house.restarted().broker.sessions["device"].awaiting_release


def test_a_session_that_ends_with_its_connection_gets_pubcomp_at_once() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(2, "a"))
    house.store.commit()
    channel.take()
    client.handle(PubRel(packet_ids=[pid(1)]))
    assert channel.take() == pubcomps(1)
    assert house.store.open.is_empty


def test_an_id_is_new_again_after_its_release() -> None:
    house = House()
    client, _ = house.connect(**DURABLE_311)
    client.handle(run(2, "a"))
    house.store.commit()
    client.handle(PubRel(packet_ids=[pid(1)]))
    client.handle(run(2, "a"))
    house.store.commit()
    assert len(house.store.stored) == 2


def test_a_release_that_the_disk_did_not_take_is_tried_again() -> None:
    house = House()
    client, channel = house.connect(**DURABLE_311)
    client.handle(run(2, "a"))
    house.store.commit()
    channel.take()
    client.handle(PubRel(packet_ids=[pid(1)]))
    house.store.commit(Outcome.FAILED)
    assert channel.writes == []
    house.pass_time(1.1)
    house.store.commit()
    assert channel.take() == pubcomps(1)
    assert not house.restarted().broker.sessions["device"].awaiting_release


@pytest.mark.parametrize("version", VERSIONS)
def test_the_release_of_an_unknown_id_is_completed(version: Version) -> None:
    client, channel = House().connect(version=version)
    client.handle(PubRel(packet_ids=[pid(7)]))
    assert channel.take() == pubcomps(7)


def test_a_run_for_one_stream_is_appended_in_one_call_and_a_mixed_one_once_for_each_stream_in_order() -> None:
    house = House(Stream(name="a", topics=("a/#",)), Stream(name="b", topics=("b/#",)))
    client, channel = house.connect()
    client.handle(run(1, "a/1", "a/2", "a/1"))
    assert house.store.appends == 1
    client.handle(run(1, "a/1", "b/1", "c", "a/2", "b/2", first_id=4))
    assert house.store.appends == 3
    house.store.commit()
    assert channel.writes == [pubacks(*range(1, 9))]
    assert [(each.stream, each.topic, each.payload) for each in house.store.stored[3:]] == [
        (0, b"a/1", b"0"),
        (0, b"a/2", b"3"),
        (1, b"b/1", b"1"),
        (1, b"b/2", b"4"),
    ]


def test_a_publish_that_no_stream_takes_is_acknowledged_in_its_place_even_when_the_commit_fails() -> None:
    house = House(Stream(name="a", topics=("a",)))
    client, channel = house.connect()
    client.handle(run(1, "local"))
    house.store.commit(Outcome.FULL)
    assert channel.take() == pubacks(1)


def test_records_carry_qos_retain_and_properties_but_not_dup() -> None:
    house = House()
    client, _ = house.connect(version=Version.V5)
    properties = Properties(content_type="text/plain")
    client.handle(run(1, "a", dup=True, retain=True, properties=[properties]))
    client.handle(run(2, "a", dup=True, first_id=5))
    house.store.commit()
    assert [each.flags for each in house.store.stored] == [0b011, 0b100]
    assert house.store.stored[0].properties is properties


@pytest.mark.parametrize("topic", ["$SYS/broker/uptime", "$share/group/topic"])
def test_the_servers_own_topics_are_refused_and_the_rest_of_the_run_is_taken(topic: str) -> None:
    house = House()
    new, to_new = house.connect("new", Version.V5)
    old, to_old = house.connect("old")
    for client in (new, old):
        client.handle(run(1, "a", topic, "b"))
    house.store.commit()
    assert to_new.take() == pubacks(1) + b"\x40\x03" + pid(2) + b"\x87" + pubacks(3)
    assert to_old.take() == pubacks(1, 2, 3)
    assert [each.topic for each in house.store.stored] == [b"a", b"b"] * 2
    assert house.broker.counters.refused == {"not_authorized": 2}


def test_a_dollar_topic_is_not_taken_by_a_stream_of_everything() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(1, "$mine/x"))
    house.store.commit()
    assert house.store.stored == []
    assert channel.take() == pubacks(1)


def test_what_came_before_an_invalid_topic_is_taken() -> None:
    house = House()
    client, _ = house.connect()
    with pytest.raises(TopicNameInvalid):
        client.handle(run(1, "a", "b", "c/#", "d"))
    house.store.commit()
    assert [each.topic for each in house.store.stored] == [b"a", b"b"]


def test_more_publishes_than_the_receive_maximum_are_an_error_after_those_that_fit() -> None:
    house = House()
    client, _ = house.connect(version=Version.V5, terms=Terms(receive_maximum=3))
    client.handle(run(1, "a"))
    client.handle(run(2, "a", first_id=2))
    with pytest.raises(ReceiveMaximumExceeded):
        client.handle(run(1, "c", "d", first_id=3))
    house.store.commit()
    assert [each.topic for each in house.store.stored] == [b"a", b"a", b"c"]


def test_places_are_free_again_after_the_acknowledgement() -> None:
    house = House()
    client, _ = house.connect(version=Version.V5, terms=Terms(receive_maximum=2))
    for retain in (False, True):
        client.handle(run(1, "a", "b", retain=retain))
        house.store.commit()
    client.handle(run(2, "a", "b"))
    house.store.commit()
    client.handle(run(2, "a", "b", dup=True))
    client.handle(PubRel(packet_ids=[pid(1), pid(2)]))
    client.handle(run(2, "a", "b"))


def test_a_3_1_1_client_has_no_receive_maximum() -> None:
    client, _ = House().connect(terms=Terms(receive_maximum=1))
    client.handle(run(1, "a", "b", "c"))


def test_local_subscribers_get_a_message_only_after_its_commit_and_never_a_refused_one() -> None:
    house = House()
    reader, to_reader = house.connect("reader")
    reader.handle(subscribe("#"))
    to_reader.take()
    client, _ = house.connect("device")
    client.handle(run(1, "a"))
    assert to_reader.writes == []
    house.store.commit(Outcome.FULL)
    assert to_reader.writes == []
    client.handle(run(1, "a"))
    house.store.commit()
    assert to_reader.take() == b"\x30\x04\x00\x01a0"


def test_a_client_that_left_keeps_what_was_stored_and_gets_no_answer() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(1, "a"))
    client.lost()
    house.store.commit()
    assert len(house.store.stored) == 1
    assert channel.writes == []
    client.handle(run(1, "b"))
    assert house.store.open.is_empty


def test_a_fault_with_one_client_does_not_keep_the_others_from_their_acknowledgements(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House()
    bad, to_bad = house.connect("bad")
    good, to_good = house.connect("good")
    bad.handle(run(1, "a"))
    good.handle(run(1, "a"))

    def broken(_data: bytes) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(to_bad, "write", broken)
    house.store.commit()
    assert to_good.take() == pubacks(1)
    assert to_bad.is_closed
    assert "'bad'" in caplog.text


def test_ids_that_an_earlier_connection_left_take_no_place_in_the_window() -> None:
    house = House()
    more = {"version": Version.V5, "clean_start": False, "session_expiry_interval_s": 100}
    terms = Terms(receive_maximum=2)
    client, _ = house.connect(terms=terms, **more)
    client.handle(run(2, "t", "t"))
    house.store.commit()
    client.lost()
    client, channel = house.connect(terms=terms, **more)
    client.handle(run(2, "t", "t", first_id=11))
    house.store.commit()
    assert channel.take() == pubrecs(11, 12)
    with pytest.raises(ReceiveMaximumExceeded):
        client.handle(run(1, "t", first_id=13))
    client.handle(PubRel(packet_ids=[pid(1), pid(2)]))
    with pytest.raises(ReceiveMaximumExceeded):
        client.handle(run(1, "t", first_id=13))


def test_a_qos_2_publish_is_not_kept_in_memory_until_its_release() -> None:
    house = House()
    client, _ = house.connect()
    client.handle(run(2, "t", retain=True))
    house.store.commit()
    (receipt,) = client.session.awaiting_release.values()
    assert receipt is not None
    assert receipt.booking is None


def test_pubcomp_does_not_overtake_the_commit_of_its_publish() -> None:
    house = House()
    client, channel = house.connect()
    client.handle(run(2, "t"))
    client.handle(PubRel(packet_ids=[pid(1)]))
    assert channel.writes == []
    house.store.commit()
    assert channel.take() == pubrecs(1) + pubcomps(1)


def test_a_fault_with_a_subscriber_does_not_cost_the_publisher_its_acknowledgement(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House()
    subscriber, broken = house.connect("subscriber")
    subscriber.handle(subscribe("t"))
    client, channel = house.connect()

    def fail(_data: bytes) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(broken, "write_soon", fail)
    client.handle(run(1, "t"))
    house.store.commit()
    assert channel.take() == pubacks(1)
    assert client.is_open
    assert not subscriber.is_open
    assert "closed after an error" in caplog.text


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_no_stream_takes_is_told_to_the_store_while_it_waits(qos: int) -> None:
    house = House(Stream(topics=("kept",)))
    client, _ = house.connect()
    client.handle(run(qos, "local", payloads=[b"x" * 5000], retain=True))
    assert house.store.open.held_bytes > 5000
    house.store.commit()
    client.handle(run(qos, "kept", payloads=[b"x" * 5000], retain=True, first_id=2))
    assert house.store.open.held_bytes == 0
