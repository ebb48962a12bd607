"""What waits for durable sessions is on disk with the publisher's commit, and comes again after a restart."""

from __future__ import annotations

import pytest

from bridge.record import Properties
from config.settings import Sessions, Stream, WhenQueueFull
from gateway.broker.client import Client
from gateway.broker.queue_limits import QueueLimits
from gateway.mqtt.packets import PubAck, PubComp, PubRec, Version, Will
from gateway.spool.ports import Outcome, Table
from tests.support.broker import FakeChannel, House, pubacks, pubrecs, run, subscribe


def durable(house: House, client_id: str = "reader", version: Version = Version.V311) -> tuple[Client, FakeChannel]:
    expiry = 1000 if version is Version.V5 else None
    return house.connect(client_id, version, clean_start=False, session_expiry_interval_s=expiry)


def subscribed(house: House, *filters: str, qos: int = 2, client_id: str = "reader") -> tuple[Client, FakeChannel]:
    client, channel = durable(house, client_id)
    client.handle(subscribe(*filters, qos=qos))
    house.store.commit()
    channel.take()
    return client, channel


def rows(house: House) -> tuple[int, int]:
    """How many messages wait on disk, and how many deliveries."""
    marks = [key for key in house.store.rows[Table.DELIVERY] if int(key) % 2**32 == 2**32 - 1]
    return len(house.store.rows[Table.MESSAGE]), len(house.store.rows[Table.DELIVERY]) - len(marks)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("is_present", [True, False])
def test_the_publisher_is_answered_with_the_commit_that_has_the_subscribers_copy(qos: int, is_present: bool) -> None:
    house = House(Stream(topics=("else",)))
    client, channel = subscribed(house, "a")
    if not is_present:
        client.lost()
    publisher, to_publisher = house.connect("publisher")
    publisher.handle(run(qos, "a"))
    assert channel.writes == []
    assert rows(house) == (0, 0)
    house.store.commit()
    assert to_publisher.take() == (pubacks(1) if qos == 1 else pubrecs(1))
    assert rows(house) == (1, 1)
    assert bool(channel.writes) is is_present


def test_a_message_is_on_disk_once_for_all_its_subscribers_and_goes_with_the_last() -> None:
    house = House()
    clients = [subscribed(house, "a", qos=1, client_id=f"reader{i}") for i in range(3)]
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a"))
    house.store.commit()
    assert rows(house) == (1, 3)
    for left, (client, _) in zip((2, 1, 0), clients, strict=True):
        client.handle(PubAck(packet_id=1))
        house.store.commit()
        assert rows(house) == (min(1, left), left)


@pytest.mark.parametrize("outcome", [Outcome.FULL, Outcome.FAILED])
def test_what_was_refused_to_its_publisher_does_not_come_and_takes_no_place(outcome: Outcome) -> None:
    house = House()
    client, channel = subscribed(house, "a", qos=1)
    publisher, to_publisher = house.connect("publisher")
    publisher.handle(run(1, "a", "a"))
    house.store.commit(outcome)
    assert channel.writes == []
    assert to_publisher.take() == b""
    assert client.session.outgoing.queued == 0
    publisher.handle(run(1, "a"))
    house.store.commit()
    assert channel.take().count(b"\x00\x01a") == 1
    assert rows(house) == (1, 1)


def test_a_refused_commit_does_not_hold_up_what_was_published_behind_it() -> None:
    house = House()
    _, channel = subscribed(house, "a", qos=1)
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a", payloads=[b"first"]))
    first = house.store.close_commit()
    publisher.handle(run(1, "a", payloads=[b"second"], first_id=2))
    house.store.end_commit(first, Outcome.FULL)
    assert channel.writes == []
    house.store.commit()
    assert b"second" in channel.take()


def test_after_a_restart_what_waited_comes_in_order_with_dup_under_the_ids_it_had() -> None:
    house = House()
    client, channel = subscribed(house, "a", qos=1)
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a", "a", "a"))
    house.store.commit()
    channel.take()
    client.handle(PubAck(packet_id=2))
    house.store.commit()
    house = house.restarted()
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x3a\x06\x00\x01a\x00\x010" + b"\x3a\x06\x00\x01a\x00\x032"


def test_new_messages_after_a_restart_get_ids_and_places_of_their_own() -> None:
    house = House()
    client, _ = subscribed(house, "a", qos=1)
    client.lost()
    for number in range(3):
        publisher, _ = house.connect("publisher")
        publisher.handle(run(1, "a", payloads=[b"%d" % number]))
        house.store.commit()
        house = house.restarted()
    assert rows(house) == (3, 3)
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"".join(b"\x32\x06\x00\x01a\x00" + bytes([i + 1]) + b"%d" % i for i in range(3))


def test_what_was_sent_to_a_subscriber_that_came_back_comes_with_dup_after_a_restart_and_the_rest_without() -> None:
    house = House()
    client, _ = subscribed(house, "a", qos=1)
    client.lost()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a"))
    house.store.commit()
    again, _ = house.knock("reader", clean_start=False)
    assert again is not None
    house.store.commit()
    again.lost()
    publisher.handle(run(1, "a", first_id=2, payloads=[b"1"]))
    house.store.commit()
    house = house.restarted()
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x3a\x06\x00\x01a\x00\x010" + b"\x32\x06\x00\x01a\x00\x021"


def test_pubrel_is_sent_when_the_disk_has_the_pubrec_and_comes_again_after_a_restart() -> None:
    house = House()
    client, channel = subscribed(house, "a")
    publisher, _ = house.connect("publisher")
    publisher.handle(run(2, "a", "a"))
    house.store.commit()
    channel.take()
    client.handle(PubRec(packet_id=1))
    assert channel.writes == []
    house.store.commit(Outcome.FULL)
    assert channel.writes == []
    house.pass_time(2)
    house.store.commit()
    assert channel.take() == b"\x62\x02\x00\x01"
    house = house.restarted()
    again, channel = house.knock("reader", clean_start=False)
    assert again is not None
    assert channel.take()[4:] == b"\x62\x02\x00\x01" + b"\x3c\x06\x00\x01a\x00\x021"
    again.handle(PubComp(packet_id=1))
    house.store.commit()
    assert rows(house) == (1, 1)


def test_a_pubrec_that_the_disk_did_not_get_is_asked_for_again_with_dup() -> None:
    house = House()
    client, channel = subscribed(house, "a")
    publisher, _ = house.connect("publisher")
    publisher.handle(run(2, "a"))
    house.store.commit()
    client.handle(PubRec(packet_id=1))
    house = house.restarted()
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x3c\x06\x00\x01a\x00\x010"


def test_a_pubrec_with_an_error_takes_the_row_away() -> None:
    house = House()
    client, _ = subscribed(house, "a")
    publisher, _ = house.connect("publisher")
    publisher.handle(run(2, "a"))
    house.store.commit()
    client.handle(PubRec(packet_id=1, reason_code=0x97))
    house.store.commit()
    assert rows(house) == (0, 0)


def test_a_session_that_ends_takes_its_rows_with_it() -> None:
    house = House()
    client, _ = subscribed(house, "a")
    other, _ = subscribed(house, "a", client_id="other")
    client.lost()
    other.lost()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a", "a"))
    house.store.commit()
    assert rows(house) == (2, 4)
    house.connect("reader", clean_start=True)
    house.store.commit()
    assert rows(house) == (2, 2)
    assert house.broker.counters.dropped == {"session_ended": 2}
    house.connect("other", clean_start=True)
    house.store.commit()
    assert rows(house) == (0, 0)


def test_a_session_that_ends_before_the_commit_of_what_is_for_it_leaves_nothing() -> None:
    house = House()
    client, _ = subscribed(house, "a")
    client.lost()
    publisher, to_publisher = house.connect("publisher")
    publisher.handle(run(1, "a"))
    house.knock("reader", clean_start=True)
    house.store.commit()
    house.store.commit()
    assert to_publisher.take() == pubacks(1)
    assert rows(house) == (0, 0)


def test_rows_of_nobody_are_swept_at_start() -> None:
    house = House()
    client, _ = subscribed(house, "a")
    client.lost()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a"))
    house.store.commit()
    house.store.disk.clear()
    house = house.restarted()
    house.store.commit()
    assert rows(house) == (0, 0)


def test_qos_0_and_sessions_that_end_with_their_connection_touch_no_disk() -> None:
    house = House()
    _, channel = subscribed(house, "a", qos=0)
    live, to_live = house.connect("live")
    live.handle(subscribe("a", qos=2))
    to_live.take()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(2, "a"))
    assert not house.store.open.kept
    house.store.commit()
    assert channel.take() == b"\x30\x04\x00\x01a0"
    assert to_live.take() == b"\x34\x06\x00\x01a\x00\x010"


@pytest.mark.parametrize(
    ("when_full", "expected"), [(WhenQueueFull.DROP_NEWEST, [b"0", b"1"]), (WhenQueueFull.DROP_OLDEST, [b"3", b"4"])]
)
def test_a_full_queue_drops_by_the_policy_counts_it_and_clears_the_rows(
    when_full: WhenQueueFull, expected: list[bytes]
) -> None:
    house = House(queue_limits=QueueLimits(max_messages=2, when_full=when_full))
    client, _ = subscribed(house, "a", qos=1)
    client.lost()
    publisher, _ = house.connect("publisher")
    for number in range(5):
        publisher.handle(run(1, "a", payloads=[b"%d" % number], first_id=number + 1))
        house.store.commit()
    house.store.commit()
    assert house.broker.counters.dropped == {"queue_full": 3}
    assert rows(house) == (2, 2)
    _, channel = house.knock("reader", clean_start=False)
    data = channel.take()
    assert [
        each for each in (b"0", b"1", b"2", b"3", b"4") if data.endswith(each) or each + b"\x32" in data
    ] == expected


def test_all_queues_together_hold_no_more_than_their_total_and_a_message_counts_once() -> None:
    house = House(queue_limits=QueueLimits.of(Sessions(max_total_queued_bytes=20_000)))
    for i in range(10):
        client, _ = subscribed(house, "a", qos=1, client_id=f"reader{i}")
        client.lost()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a", payloads=[b"x" * 10_000]))
    house.store.commit()
    assert house.broker.counters.dropped == {}
    publisher.handle(run(1, "a", payloads=[b"x" * 10_000], first_id=2))
    house.store.commit()
    assert house.broker.counters.dropped == {"total_queue_full": 10}
    assert rows(house) == (1, 10)


def test_an_expired_message_is_dropped_counted_and_taken_off_the_disk_also_after_a_restart() -> None:
    house = House()
    client, _ = subscribed(house, "#", qos=1)
    client.lost()
    publisher, _ = house.connect("publisher", Version.V5)
    lives = [Properties(message_expiry_interval=each) for each in (10, 100)]
    publisher.handle(run(1, "a", "b", properties=lives))
    house.store.commit()
    house = house.restarted()
    house.pass_time(30)
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x32\x06\x00\x01b\x00\x021"
    house.store.commit()
    assert house.broker.counters.dropped == {"expired": 1}
    assert rows(house) == (1, 1)


def test_retained_messages_to_a_durable_session_are_durable_too() -> None:
    house = House()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a", retain=True))
    house.store.commit()
    client, channel = durable(house)
    client.handle(subscribe("a", qos=1))
    house.store.commit()
    channel.take()
    house.store.commit()
    assert channel.take() == b"\x33\x06\x00\x01a\x00\x010"
    assert rows(house) == (1, 1)
    house = house.restarted()
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x3b\x06\x00\x01a\x00\x010"


def test_a_will_is_on_disk_for_a_durable_session() -> None:
    house = House()
    client, _ = subscribed(house, "w", qos=1)
    client.lost()
    dying, _ = house.connect("dying", will=Will(topic="w", payload=b"gone", qos=1, retain=False))
    dying.lost()
    house.store.commit()
    assert rows(house) == (1, 1)


def test_what_several_publishers_said_is_sent_again_in_the_order_in_which_it_was_sent() -> None:
    house = House()
    _, channel = subscribed(house, "#", qos=1)
    one, _ = house.connect("one")
    two, _ = house.connect("two")
    one.handle(run(1, "a", payloads=[b"1"]))
    two.handle(run(1, "b", payloads=[b"2"]))
    one.handle(run(1, "a", payloads=[b"3"], first_id=2))
    house.store.commit()
    first = channel.take()
    house = house.restarted()
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:] == first.replace(b"\x32\x06", b"\x3a\x06")


def test_what_was_said_to_be_sent_says_nothing_of_what_comes_after_a_restart() -> None:
    house = House()
    client, _ = subscribed(house, "a", qos=1)
    client.lost()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a", "a", "a"))
    house.store.commit()
    again, _ = house.knock("reader", clean_start=False)
    assert again is not None
    house.store.commit()
    for number in (1, 2, 3):
        again.handle(PubAck(packet_id=number))
    house.store.commit()
    house = house.restarted()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a"))
    house.store.commit()
    house = house.restarted()
    _, channel = house.knock("reader", clean_start=False)
    assert channel.take()[4:5] == b"\x32"  # without DUP


@pytest.mark.parametrize("body", [b"", b"\x92\x01\xa1x", b"\x92\x01\xc0", b"\xff", b"\x92\x01\xff"])
def test_a_damaged_note_of_what_was_sent_costs_nothing(body: bytes) -> None:
    house = House()
    client, _ = subscribed(house, "a", qos=1)
    client.lost()
    publisher, _ = house.connect("publisher")
    publisher.handle(run(1, "a"))
    house.store.commit()
    house.store.rows[Table.DELIVERY][client.session.number << 32 | 0xFFFFFFFF] = body
    _, channel = house.restarted().knock("reader", clean_start=False)
    assert channel.take()[4:] == b"\x32\x06\x00\x01a\x00\x010"


def test_a_pubrec_that_comes_again_and_again_waits_for_the_disk_no_more_than_it_has_to() -> None:
    house = House()
    client, channel = subscribed(house, "a")
    publisher, _ = house.connect("publisher")
    publisher.handle(run(2, "a"))
    house.store.commit()
    channel.take()
    for _ in range(10):
        client.handle(PubRec(packet_id=1))
    assert house.store.open.held_bytes >= 10 * 100
    house.store.commit()
    assert channel.take() == 10 * b"\x62\x02\x00\x01"
    client.handle(PubRec(packet_id=1))
    assert channel.take() == b"\x62\x02\x00\x01"
    assert house.store.open.is_empty
