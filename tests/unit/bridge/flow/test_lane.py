"""Where a stream stands: claims, rewinds and split blocks."""

from __future__ import annotations

from bridge.flow.backoff import Backoff
from bridge.flow.lane import REFUSALS_OF_POISON, Lane
from config.settings import Retry


def lane() -> Lane:
    backoff = Backoff(Retry(first_s=1.0, max_s=8.0), lambda: 1.0)
    return Lane(name="s", epoch="0" * 16, next_seq=1, backoff=backoff)


def test_a_refused_frame_is_sent_again_after_the_others_have_settled_and_a_pause() -> None:
    it = lane()
    for stop in (10, 20, 30):
        it.claim(stop, 5)
    it.given_back(5)
    it.rewind(now_s=0.0, wait=True)
    assert not it.is_open(99.0)
    it.delivered(10, 20, 5)
    it.delivered(20, 30, 5)
    assert it.release_seq == 1
    assert not it.is_open(0.9)
    assert it.is_open(1.0)
    assert it.next_span() == (1, 10)
    assert it.is_urgent
    it.claim(10, 5)
    assert it.next_span() == (30, None)
    it.delivered(1, 10, 5)
    assert it.release_seq == 30
    assert it.claimed_bytes == 0


def test_a_window_of_refusals_is_one_pause() -> None:
    it = lane()
    for stop in (10, 20, 30):
        it.claim(stop, 0)
    for _ in range(3):
        it.given_back(0)
        it.rewind(now_s=0.0, wait=True)
    assert it.paused_until_s == 1.0
    assert it.is_open(1.0)
    it.claim(10, 0)
    it.given_back(0)
    it.rewind(now_s=1.0, wait=True)
    assert it.paused_until_s == 3.0


def test_a_block_in_parts_is_released_whole() -> None:
    it = lane()
    it.claim(21, 0)
    it.claim_became(3)
    it.note_split(11, 21)
    it.delivered(1, 11, 0)
    it.delivered(11, 16, 0)
    assert it.release_seq == 11
    it.link_lost()
    assert it.next_span() == (11, None)
    it.claim(21, 0)
    it.delivered(16, 21, 0)
    assert it.release_seq == 21


def test_a_dead_letter_inside_a_split_block_makes_two_blocks_of_it() -> None:
    it = lane()
    it.claim(11, 0)
    it.claim_became(3)
    it.note_split(1, 11)
    it.delivered(1, 5, 0)
    it.dead_lettered(5, 1)
    it.given_back(0)
    assert it.release_seq == 5
    it.delivered(5, 6, 0)
    assert it.release_seq == 6
    assert it.floor(8) == 6


def test_only_a_frame_that_alone_is_refused_again_and_again_is_poison() -> None:
    it = lane()
    for _ in range(50):
        assert not it.refused_alone(1)
    it.acks.acknowledge(10, 20)
    assert [it.refused_alone(1) for _ in range(REFUSALS_OF_POISON)] == [False] * (REFUSALS_OF_POISON - 1) + [True]
    assert not it.refused_alone(5)
