"""Who was wrong has to wait."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access import guesses
from gateway.access.guesses import Guesses, interval_s


def fail(table: Guesses, times: int, *, address: str = "a", username: str | None = "u", now_s: float = 0.0) -> float:
    """So many wrong tries, each as soon as it may; the time after them."""
    for _ in range(times):
        wait_s = table.admit(address=address, username=username, now_s=now_s)
        while wait_s is None:
            now_s += 1.0
            wait_s = table.admit(address=address, username=username, now_s=now_s)
        now_s += wait_s
        table.settle(address=address, username=username, was_wrong=True, now_s=now_s)
    return now_s


def test_the_first_tries_are_free() -> None:
    assert fail(Guesses(), guesses.FREE_WITH_BOTH) == 0.0


def test_then_each_takes_twice_as_long_up_to_the_most() -> None:
    table = Guesses()
    now_s = fail(table, guesses.FREE_WITH_BOTH)
    times = []
    for _ in range(10):
        now_s = fail(table, 1, now_s=now_s)
        times.append(now_s)
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[:4] == [0.25, 0.5, 1.0, 2.0]
    assert max(gaps) <= guesses.MAX_INTERVAL_S + 1.0
    assert [interval_s(number) for number in (0, 1, 5, 6, 10**9)] == [0.25, 0.5, 8.0, 8.0, 8.0]


def test_a_thousand_at_once_after_a_wrong_one_are_spaced_and_most_refused() -> None:
    table = Guesses()
    fail(table, 1)
    waits = [table.admit(address="a", username="u", now_s=0.0) for _ in range(1000)]
    admitted = [wait for wait in waits if wait is not None]
    assert len(admitted) < 10
    assert max(admitted) <= guesses.MAX_WAIT_S


def test_a_crowd_of_which_nobody_was_wrong_is_not_spaced() -> None:
    table = Guesses()
    assert {table.admit(address="a", username=f"u{number % 20}", now_s=0.0) for number in range(1000)} == {0.0}


def test_a_crowd_that_tries_one_name_is_spaced_before_the_first_is_wrong() -> None:
    """A thousand passwords at once are a list that is tried, wherever they come from."""
    for addresses in (1, 1000):
        table = Guesses()
        waits = [table.admit(address=f"a{number % addresses}", username="u", now_s=0.0) for number in range(1000)]
        admitted = [wait for wait in waits if wait is not None]
        assert guesses.CROWD_OF_USER < len(admitted) < guesses.CROWD_OF_USER + guesses.FREE_OF_USER + 10
        assert max(admitted) <= guesses.MAX_WAIT_S


def test_who_was_right_from_an_address_is_not_locked_out_there_by_others() -> None:
    """Neither by tries at his name from elsewhere nor by tries at other names from his own address."""
    table = Guesses(max_keys=500)
    for username in ("owner", "other"):
        table.admit(address="home", username=username, now_s=0.0)
        table.settle(address="home", username=username, was_wrong=username != "owner", now_s=0.0)
    now_s = 0.0
    for number in range(guesses.FREE_OF_ADDRESS + 10):
        now_s = fail(table, 1, address=f"a{number}", username="owner", now_s=now_s)
        now_s = fail(table, 1, address="home", username=f"u{number}", now_s=now_s)
    assert table.admit(address="home", username="other", now_s=now_s) != 0.0
    assert table.admit(address="elsewhere", username="owner", now_s=now_s) != 0.0
    assert table.admit(address="home", username="owner", now_s=now_s) == 0.0
    table.settle(address="home", username="owner", was_wrong=None, now_s=now_s)
    now_s = fail(table, guesses.FREE_WITH_BOTH, address="home", username="owner", now_s=now_s)
    assert table.admit(address="home", username="owner", now_s=now_s) == 0.0
    assert table.admit(address="home", username="owner", now_s=now_s) != 0.0


def test_the_addresses_of_one_ipv6_network_are_one() -> None:
    table = Guesses()
    now_s = 0.0
    for number in range(guesses.FREE_OF_ADDRESS + 1):
        now_s = fail(table, 1, address=f"2001:db8:0:7::{number:x}", username=f"u{number}", now_s=now_s)
    assert table.admit(address="2001:db8:0:7:ffff::1%eth0", username="x", now_s=now_s) != 0.0
    assert table.admit(address="2001:db8:0:8::1", username="y", now_s=now_s) == 0.0
    assert table.admit(address="not:an:address", username="z", now_s=now_s) == 0.0


def test_a_long_name_takes_no_more_memory_than_a_short_one() -> None:
    """A name may have 65 535 bytes, and the table twenty thousand entries."""
    table = Guesses()
    tracemalloc.start()
    try:
        for number in range(200):
            fail(table, 1, address=str(number), username=f"{number:08}" + "a" * 50_000)
        size_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size_bytes < 1_000_000
    now_s = fail(table, 2, address="7", username="00000007" + "a" * 50_000)
    assert table.admit(address="7", username="00000007" + "a" * 50_000, now_s=now_s) == 0.0
    assert table.admit(address="7", username="00000007" + "a" * 50_000, now_s=now_s) != 0.0


def test_another_user_of_the_same_address_is_not_slowed_by_one_device() -> None:
    table = Guesses()
    now_s = fail(table, 10)
    assert table.admit(address="a", username="other", now_s=now_s) == 0.0


def test_the_same_user_from_elsewhere_is_not_slowed_by_one_device() -> None:
    table = Guesses()
    now_s = fail(table, 10)
    assert table.admit(address="b", username="u", now_s=now_s) == 0.0


def test_many_names_from_one_address_slow_that_address() -> None:
    table = Guesses()
    for number in range(guesses.FREE_OF_ADDRESS + 1):
        fail(table, 1, username=f"u{number}")
    assert table.admit(address="a", username="another", now_s=0.0) != 0.0
    assert table.admit(address="b", username="another", now_s=0.0) == 0.0


def test_one_name_from_many_addresses_slows_that_name() -> None:
    table = Guesses()
    for number in range(guesses.FREE_OF_USER + 1):
        fail(table, 1, address=f"a{number}")
    assert table.admit(address="another", username="u", now_s=0.0) != 0.0
    assert table.admit(address="another", username="v", now_s=0.0) == 0.0


def test_who_was_right_is_forgiven_but_not_his_address() -> None:
    table = Guesses()
    now_s = fail(table, guesses.FREE_OF_ADDRESS + 1)
    wait_s = None
    while wait_s is None:
        now_s += 1.0
        wait_s = table.admit(address="a", username="u", now_s=now_s)
    table.settle(address="a", username="u", was_wrong=False, now_s=now_s)
    assert table.admit(address="b", username="u", now_s=now_s) == 0.0
    assert table.admit(address="a", username="v", now_s=now_s) != 0.0


def test_a_try_that_found_nothing_out_counts_for_nothing() -> None:
    table = Guesses()
    for _ in range(100):
        assert table.admit(address="a", username="u", now_s=0.0) == 0.0
        table.settle(address="a", username="u", was_wrong=None, now_s=0.0)
    assert len(table) == 0


def test_time_forgives() -> None:
    table = Guesses()
    now_s = fail(table, 10) + guesses.FORGET_AFTER_S + 1
    assert table.admit(address="a", username="u", now_s=now_s) == 0.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["u", "v", None]),
            st.sampled_from([True, False, None]),
            st.floats(0, 9),
        ),
        max_size=60,
    ),
    st.integers(3, 9),
)
def test_the_table_is_bounded_and_no_wait_is_too_long(
    steps: list[tuple[str, str | None, bool | None, float]], max_keys: int
) -> None:
    table = Guesses(max_keys=max_keys)
    now_s = 0.0
    for address, username, was_wrong, step_s in steps:
        now_s += step_s
        wait_s = table.admit(address=address, username=username, now_s=now_s)
        assert len(table) <= max_keys
        if wait_s is not None:
            assert 0.0 <= wait_s <= guesses.MAX_WAIT_S
            table.settle(address=address, username=username, was_wrong=was_wrong, now_s=now_s + wait_s)


def test_a_try_that_turns_out_wrong_later_counts() -> None:
    table = Guesses()
    for _ in range(guesses.FREE_WITH_BOTH + 1):
        table.admit(address="a", username="u", now_s=0.0)
        table.settle(address="a", username="u", was_wrong=None, now_s=0.0)
        table.note_wrong(address="a", username="u", now_s=0.0)
    table.admit(address="a", username="u", now_s=0.0)
    assert table.admit(address="a", username="u", now_s=0.0) != 0.0


@pytest.mark.parametrize("username", ["u", None])
def test_settling_what_was_forgotten_is_harmless(username: str | None) -> None:
    Guesses().settle(address="a", username=username, was_wrong=True, now_s=0.0)
