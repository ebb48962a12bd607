"""The small decisions of the flow: back-off, batches, window, turns, sizes, reason codes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.flow.backoff import Backoff
from bridge.flow.batcher import Batcher
from bridge.flow.reasons import Verdict, describe, verdict
from bridge.flow.scheduler import Scheduler
from bridge.flow.size_limit import SizeLimit
from bridge.flow.window import Window
from config.settings import Batch, Retry


def test_the_limit_of_the_delay_doubles_up_to_the_maximum() -> None:
    backoff = Backoff(Retry(first_s=0.5, max_s=3.0), lambda: 1.0)
    assert [backoff.next_delay_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 5000))
def test_a_delay_is_anywhere_between_nothing_and_the_limit(random: float, failures: int) -> None:
    backoff = Backoff(Retry(first_s=0.5, max_s=60.0), lambda: random)
    backoff.failures = failures
    assert backoff.next_delay_s() == random * min(60.0, 0.5 * 2.0 ** min(failures, 50))


def test_success_starts_the_back_off_anew() -> None:
    backoff = Backoff(Retry(first_s=0.5, max_s=60.0), lambda: 1.0)
    for _ in range(9):
        backoff.next_delay_s()
    backoff.reset()
    assert backoff.next_delay_s() == 0.5


BATCH = Batch(max_records=100, max_size_bytes=1000, linger_s=0.25)


@pytest.mark.parametrize(
    ("records", "stored", "waited", "due"),
    [
        (1, 10, 0.0, 0.25),
        (1, 10, 0.1, 0.15),
        (1, 10, 0.25, 0.0),
        (1, 10, 99.0, 0.0),
        (99, 999, 0.0, 0.25),
        (100, 10, 0.0, 0.0),
        (1, 1000, 0.0, 0.0),
        (100_000, 10_000_000, 0.0, 0.0),
    ],
)
def test_a_frame_is_due_when_it_is_whole_or_has_lingered(records: int, stored: int, waited: float, due: float) -> None:
    assert Batcher(BATCH).due_in_s(records=records, stored_bytes=stored, waited_s=waited) == pytest.approx(due)


def test_the_ratio_between_wire_and_disk_is_learned() -> None:
    batcher = Batcher(BATCH)
    assert batcher.max_stored_bytes() == 1000
    for _ in range(50):
        batcher.observe(stored_bytes=5000, wire_bytes=500)
    assert batcher.max_stored_bytes() == pytest.approx(10_000, rel=0.01)
    assert batcher.max_stored_bytes(limit_bytes=100) == pytest.approx(1000, rel=0.01)
    assert batcher.due_in_s(records=1, stored_bytes=9000, waited_s=0) > 0
    assert batcher.due_in_s(records=1, stored_bytes=10_100, waited_s=0) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))), st.integers(1, 10**6))
def test_a_frame_always_has_room_for_something(seen: list[tuple[int, int]], limit: int) -> None:
    batcher = Batcher(BATCH)
    for stored, wire in seen:
        batcher.observe(stored_bytes=stored, wire_bytes=wire)
    assert batcher.max_stored_bytes(limit) >= 1


def test_the_window_is_the_smaller_of_setting_and_receive_maximum() -> None:
    for setting, receive_maximum in ((3, 10), (10, 3)):
        window = Window(setting=setting, receive_maximum=receive_maximum, max_bytes=1000)
        for _ in range(3):
            assert window.has_room(1)
            window.take(1)
        assert not window.has_room(1)
        window.give_back(1)
        assert window.has_room(1)


def test_the_window_has_a_bound_in_bytes_that_never_stops_a_single_frame() -> None:
    window = Window(setting=10, receive_maximum=10, max_bytes=100)
    assert window.has_room(500)
    window.take(60)
    assert window.has_room(40)
    assert not window.has_room(41)


def test_streams_take_turns_and_an_idle_one_loses_nothing() -> None:
    scheduler = Scheduler(("a", "b", "c"))
    assert list(scheduler.order()) == ["a", "b", "c"]
    scheduler.served("b")
    scheduler.served("b")
    assert list(scheduler.order()) == ["a", "c", "b"]


def test_the_size_limit_halves_with_refusals_and_grows_again() -> None:
    limit = SizeLimit()
    assert limit.target_bytes is None
    limit.passed()
    limit.refused(1000)
    limit.refused(400)
    limit.refused(900)
    assert limit.target_bytes == 200
    for _ in range(199):
        limit.passed()
    assert limit.target_bytes == 200
    limit.passed()
    assert limit.target_bytes == 400
    limit.refused(1)
    assert limit.target_bytes == 1


def test_a_size_limit_that_is_above_every_packet_is_none_again() -> None:
    limit = SizeLimit()
    limit.refused(4)
    targets = []
    for _ in range(200 * 40):
        limit.passed()
        targets.append(limit.target_bytes)
    assert targets[-1] is None
    assert max(target for target in targets if target is not None) == 2**27
    limit.refused(1000)
    assert limit.target_bytes == 500


@pytest.mark.parametrize(
    ("code", "judged"),
    [
        (0x00, Verdict.DELIVERED),
        (0x10, Verdict.RETRY),
        (0x80, Verdict.RETRY),
        (0x83, Verdict.RETRY),
        (0x87, Verdict.RETRY),
        (0x90, Verdict.RETRY),
        (0x91, Verdict.RETRY),
        (0x92, Verdict.RETRY),
        (0x95, Verdict.SPLIT),
        (0x97, Verdict.RETRY),
        (0x99, Verdict.REFUSED),
        (0x11, Verdict.DELIVERED),
        (0xFF, Verdict.RETRY),
    ],
)
def test_a_reason_code_says_what_becomes_of_the_frame(code: int, judged: Verdict) -> None:
    assert verdict(code) is judged


@settings(deadline=None)
@given(st.integers(0, 255))
def test_every_code_has_words_with_its_number(code: int) -> None:
    assert f"0x{code:02X}" in describe(code)
