"""Counting acknowledgements: the fast way and the slow way count the same."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.load.acknowledgements import AckCounter, ExactlyOnceReader, PubAckReader
from simulators.load.packets import PUBACK, PUBCOMP, PUBREC, ProtocolViolation


def acks(kind: int, ids: list[int], suffix: bytes = b"") -> bytes:
    return b"".join(struct.pack("!BBH", kind, 2 + len(suffix), i) + suffix for i in ids)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [piece for piece in [*pieces, data[at:]] if piece]


@given(
    total=st.integers(0, 70),
    suffix=st.sampled_from([b"", b"\x00", b"\x10", b"\x10\x00"]),
    sizes=st.lists(st.integers(1, 30), max_size=40),
)
def test_pubacks_are_counted_however_they_are_cut_and_whatever_shape_success_has(
    total: int, suffix: bytes, sizes: list[int]
) -> None:
    counter = AckCounter(PUBACK, 16)
    reader = PubAckReader(counter)
    for piece in cut(acks(PUBACK, [1 + i % 16 for i in range(total)], suffix), sizes):
        reader.feed(piece)
    assert (counter.received, counter.refused, counter.disordered) == (total, 0, 0)


def test_a_broker_that_changes_the_shape_of_its_success_is_counted_right() -> None:
    counter = AckCounter(PUBACK, 8)
    reader = PubAckReader(counter)
    reader.feed(acks(PUBACK, [1, 2]) + acks(PUBACK, [3], b"\x10") + acks(PUBACK, [4, 5]))
    reader.feed(acks(PUBACK, [6], b"\x10") + acks(PUBACK, [7], b"\x10\x00"))
    reader.feed(acks(PUBACK, [8, 1]))
    assert (counter.received, counter.refused, counter.disordered) == (9, 0, 0)


def test_a_refusal_is_counted_as_one_and_not_expected_again() -> None:
    counter = AckCounter(PUBACK, 8)
    reader = PubAckReader(counter)
    reader.feed(acks(PUBACK, [1]) + acks(PUBACK, [2], b"\x97") + acks(PUBACK, [3, 4]))
    reader.feed(acks(PUBACK, [5]))
    assert (counter.received, counter.refused) == (5, 1)


def test_an_acknowledgement_out_of_order_is_noticed() -> None:
    counter = AckCounter(PUBACK, 8)
    PubAckReader(counter).feed(acks(PUBACK, [1, 3, 2, 4]))
    assert (counter.received, counter.disordered) == (4, 2)


@pytest.mark.parametrize("data", [b"\x40\x02\x00\x09", b"\x40\x02\x00\x00", b"\xd0\x00\xd0\x00", b"\x50\x02\x00\x01"])
def test_what_no_publisher_of_qos_1_expects_is_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        PubAckReader(AckCounter(PUBACK, 8)).feed(data)


def run_exactly_once(count: int, pieces: list[bytes]) -> tuple[AckCounter, AckCounter, list[int]]:
    recs, comps = AckCounter(PUBREC, count), AckCounter(PUBCOMP, count)
    reader = ExactlyOnceReader(recs, comps)
    released = []
    for piece in pieces:
        at = recs.position
        expected, parsed = reader.feed(piece)
        released += [1 + (at + i) % count for i in range(expected)] + parsed
    return recs, comps, released


@given(
    lead=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    suffix=st.sampled_from([b"", b"\x10"]),
    sizes=st.lists(st.integers(1, 24), max_size=40),
)
def test_pubrecs_and_pubcomps_are_told_apart_in_any_mixture(lead: list[int], suffix: bytes, sizes: list[int]) -> None:
    count, data, recs_sent, comps_sent = 16, b"", 0, 0
    for run in lead:
        data += acks(PUBREC, [1 + (recs_sent + i) % count for i in range(run)], suffix)
        recs_sent += run
        done = max(0, min(run, recs_sent - comps_sent - 2))
        data += acks(PUBCOMP, [1 + (comps_sent + i) % count for i in range(done)])
        comps_sent += done
    recs, comps, released = run_exactly_once(count, cut(data, sizes))
    assert (recs.received, comps.received) == (recs_sent, comps_sent)
    assert (recs.disordered, comps.disordered) == (0, 0)
    assert released == [1 + i % count for i in range(recs_sent)]


def test_a_refused_pubrec_is_not_released() -> None:
    data = acks(PUBREC, [1]) + acks(PUBREC, [2], b"\x97") + acks(PUBREC, [3])
    recs, _comps, released = run_exactly_once(8, [data])
    assert (recs.received, recs.refused, released) == (3, 1, [1, 3])
