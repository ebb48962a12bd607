from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.broker.flight import Flight, Kept, Step
from gateway.broker.in_flight import Answer
from gateway.broker.message import Message
from gateway.broker.outgoing import Outgoing
from gateway.broker.queue_limits import QueueLimits, Total


def flight(qos: int, payload: bytes = b"x", expires_at_s: float | None = None) -> Flight:
    message = Message(topic="t", payload=payload, qos=qos, retain=False, origin="d", expires_at_s=expires_at_s)
    return Flight(message=message, qos=qos, retain=False, identifiers=())


def offered(*qos: int, limits: QueueLimits | None = None) -> Outgoing:
    outgoing = Outgoing(limits)
    for each in qos:
        assert outgoing.offer(flight(each))
    return outgoing


def test_no_more_are_in_flight_than_the_window_allows() -> None:
    outgoing = offered(1, 1, 2, 1)
    assert [each.packet_id for each in outgoing.take(2, 0)] == [1, 2]
    assert outgoing.take(2, 0) == []
    assert outgoing.on_puback(1) is Answer.DONE
    assert [each.packet_id for each in outgoing.take(2, 0)] == [3]
    assert outgoing.queued == 1


def test_qos_0_takes_no_place_in_the_window() -> None:
    outgoing = offered(0, 1, 0, 0, 1)
    assert [each.qos for each in outgoing.take(1, 0)] == [0, 1, 0, 0]


def test_a_qos_2_exchange_ends_with_pubcomp() -> None:
    outgoing = offered(2)
    outgoing.take(1, 0)
    assert outgoing.on_pubrec(1, 0) is Answer.CONTINUE
    assert outgoing.on_pubcomp(1) is Answer.WRONG
    outgoing.received(1)
    assert outgoing.on_pubrec(1, 0) is Answer.CONTINUE
    assert outgoing.on_pubcomp(1) is Answer.DONE
    assert outgoing.on_pubcomp(1) is Answer.UNKNOWN
    assert not outgoing.in_flight


def test_a_pubrec_with_an_error_ends_the_exchange() -> None:
    outgoing = offered(2)
    outgoing.take(1, 0)
    assert outgoing.on_pubrec(1, 0x97) is Answer.DONE
    assert not outgoing.in_flight


@pytest.mark.parametrize(("qos", "call"), [(1, "on_pubcomp"), (2, "on_puback"), (2, "on_pubcomp")], ids=str)
def test_the_wrong_kind_of_acknowledgement_is_told(qos: int, call: str) -> None:
    outgoing = offered(qos)
    outgoing.take(1, 0)
    assert getattr(outgoing, call)(1) is Answer.WRONG
    assert len(outgoing.in_flight) == 1


def test_pubrec_for_a_qos_1_message_is_the_wrong_kind() -> None:
    outgoing = offered(1)
    outgoing.take(1, 0)
    assert outgoing.on_pubrec(1, 0) is Answer.WRONG


def test_what_was_in_flight_is_sent_again_in_order_on_the_next_connection_within_its_window() -> None:
    outgoing = offered(1, 2, 2, 1)
    outgoing.take(10, 0)
    outgoing.on_pubrec(2, 0)
    outgoing.received(2)
    outgoing.resume()
    first = outgoing.take(2, 0)
    assert [(each.packet_id, each.step, each.is_resent) for each in first] == [
        (1, Step.PUBACK, True),
        (2, Step.PUBCOMP, True),
    ]
    outgoing.on_puback(1)
    assert [each.packet_id for each in outgoing.take(2, 0)] == [3]
    outgoing.on_pubcomp(2)
    assert [each.packet_id for each in outgoing.take(2, 0)] == [4]


def test_the_queue_holds_no_more_than_its_messages_and_bytes() -> None:
    outgoing = Outgoing(QueueLimits(max_messages=2))
    assert [outgoing.offer(flight(1)) for _ in range(3)] == [True, True, False]
    outgoing = Outgoing(QueueLimits(max_bytes=1000))
    assert [outgoing.offer(flight(1, b"x" * 600)) for _ in range(2)] == [True, False]
    outgoing.take(1, 0)
    assert outgoing.offer(flight(1, b"x" * 600))


def test_an_expired_message_is_not_sent() -> None:
    outgoing = Outgoing()
    outgoing.offer(flight(1, b"old", expires_at_s=5))
    outgoing.offer(flight(1, b"new"))
    assert [each.message.payload for each in outgoing.take(5, 5)] == [b"new"]


def test_packet_ids_go_round_and_pass_over_those_in_use() -> None:
    outgoing = offered(1, 1)
    outgoing.take(1, 0)
    outgoing._ids.last = 65535
    assert [each.packet_id for each in outgoing.take(2, 0)] == [2]


def test_qos_0_messages_that_wait_are_dropped_with_the_connection() -> None:
    outgoing = offered(0, 1, 0)
    outgoing.keep_only_promised()
    assert outgoing.queued == 1


def test_an_answer_before_the_packet_was_sent_again_ends_the_exchange_and_the_window_stays_right() -> None:
    outgoing = offered(1, 1, 1, 1)
    outgoing.take(3, 0)
    outgoing.resume()
    assert [each.packet_id for each in outgoing.take(1, 0)] == [1]
    assert outgoing.on_puback(3) is Answer.DONE
    assert outgoing.take(1, 0) == []
    outgoing.on_puback(1)
    assert [each.packet_id for each in outgoing.take(1, 0)] == [2]
    outgoing.on_puback(2)
    assert [(each.packet_id, each.is_resent) for each in outgoing.take(1, 0)] == [(4, False)]


def test_what_is_in_flight_is_bounded_in_bytes_and_goes_on_when_it_is_acknowledged() -> None:
    outgoing = Outgoing(QueueLimits(max_bytes=1000))
    sent = []
    for _ in range(4):
        assert outgoing.offer(flight(1, b"x" * 400))
        sent += [each.packet_id for each in outgoing.take(100, 0)]
    assert sent == [1, 2]
    outgoing.on_puback(1)
    assert [each.packet_id for each in outgoing.take(100, 0)] == [3]


def test_one_message_over_the_bound_is_sent_alone() -> None:
    outgoing = Outgoing(QueueLimits(max_bytes=1000))
    outgoing.offer(flight(1, b"x" * 4000))
    assert len(outgoing.take(100, 0)) == 1
    outgoing.offer(flight(1))
    assert outgoing.take(100, 0) == []
    assert len(outgoing.in_flight) == 1


def test_what_waits_for_those_who_are_away_leaves_room_for_those_who_are_here() -> None:
    limits = QueueLimits(total=Total(100_000))
    away, here = Outgoing(limits), Outgoing(limits)
    here.resume()
    while away.offer(flight(1, b"x" * 1000)):
        pass
    assert away.queued
    assert here.offer(flight(1, b"x" * 1000))
    here.keep_only_promised()
    assert not here.offer(flight(1, b"x" * 1000))


def test_ids_that_a_restart_found_are_in_use() -> None:
    kept = Kept(flight(1).message, 1)
    restored = [replace(flight(1), packet_id=number, kept=kept) for number in (65534, 1, 2, 65535)]
    outgoing = Outgoing()
    outgoing.restore(restored, 4)
    new = [flight(1) for _ in range(3)]
    assert all(map(outgoing.reserve, new))
    assert [each.packet_id for each in new] == [3, 4, 5]
    assert [each.place for each in new] == [4, 5, 6]
    for each in new:
        each.is_admitted = True
    outgoing.admit()
    assert outgoing.offer(flight(1))
    assert [each.packet_id for each in outgoing.take(100, 0)] == [65534, 1, 2, 65535, 3, 4, 5, 6]


def test_what_may_have_been_sent_before_a_restart_is_finished_though_it_expires_meanwhile() -> None:
    """Its id may be known to the subscriber: under it nothing else may come before the exchange is over."""
    limits = QueueLimits(max_in_flight=1)
    expiring = [
        replace(flight(2, expires_at_s=5.0), packet_id=number, step=Step.PUBREC, is_told=True) for number in (1, 2)
    ]
    outgoing = Outgoing(limits)
    outgoing.restore(expiring, 2)
    outgoing.resume()
    assert [each.packet_id for each in outgoing.take(1, 10.0)] == [1]
    outgoing.on_pubrec(1, 0)
    outgoing.received(1)
    outgoing.on_pubcomp(1)
    assert [(each.packet_id, each.is_resent) for each in outgoing.take(1, 10.0)] == [(2, True)]  # type: ignore[union-attr]
    assert outgoing.ended == []
