"""Limits on wrong passwords."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.web.tries import (
    ATTACK_ON_USER,
    FORGET_AFTER_S,
    FREE_OF_ADDRESS,
    FREE_OF_BOTH,
    MAX_WAIT_S,
    Tries,
    interval_s,
)


def wrong(tries: Tries, address: str, user: str, now_s: float) -> float:
    """A wrong try, where it is let pass. Returns how long to wait."""
    wait_s = tries.admit(address=address, user=user, now_s=now_s)
    if not wait_s:
        tries.settle(address=address, user=user, was_right=False, now_s=now_s)
    return wait_s


def right(tries: Tries, address: str, user: str, now_s: float) -> float:
    wait_s = tries.admit(address=address, user=user, now_s=now_s)
    if not wait_s:
        tries.settle(address=address, user=user, was_right=True, now_s=now_s)
    return wait_s


def test_after_a_few_wrong_tries_one_waits_longer_and_longer() -> None:
    tries = Tries()
    for _ in range(FREE_OF_BOTH):
        assert wrong(tries, "10.0.0.1", "anna", 0.0) == 0.0
    now_s, waits = 0.0, []
    for _ in range(12):
        waits.append(wrong(tries, "10.0.0.1", "anna", now_s))
        now_s += waits[-1]
        assert wrong(tries, "10.0.0.1", "anna", now_s) == 0.0
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == MAX_WAIT_S


def test_who_was_right_begins_anew() -> None:
    tries = Tries()
    for _ in range(FREE_OF_BOTH - 1):
        wrong(tries, "10.0.0.1", "anna", 0.0)
    assert right(tries, "10.0.0.1", "anna", 1.0) == 0.0
    for _ in range(FREE_OF_BOTH):
        assert wrong(tries, "10.0.0.1", "anna", 2.0) == 0.0


def test_a_thousand_tries_at_once_are_no_way_around() -> None:
    tries = Tries()
    passed = sum(not tries.admit(address="10.0.0.1", user="anna", now_s=0.0) for _ in range(1000))
    assert passed == FREE_OF_BOTH


def test_an_address_that_tries_many_users_waits() -> None:
    tries = Tries()
    for number in range(FREE_OF_ADDRESS):
        assert wrong(tries, "10.0.0.1", f"user-{number}", 0.0) == 0.0
    assert wrong(tries, "10.0.0.1", "one more", 0.0) > 0
    assert wrong(tries, "10.0.0.2", "one more", 0.0) == 0.0


def test_a_stranger_cannot_lock_a_user_out_from_another_address() -> None:
    tries = Tries()
    for number in range(10 * ATTACK_ON_USER):
        for _ in range(10):
            wrong(tries, f"10.1.{number % 250}.{number // 250}", "anna", 0.0)
    assert right(tries, "10.0.0.1", "anna", 0.0) == 0.0
    for _ in range(FREE_OF_BOTH):  # one who was right before may even be wrong as often as ever
        assert wrong(tries, "10.0.0.1", "anna", 1.0) == 0.0


def test_while_a_user_is_attacked_a_new_address_has_one_try_before_it_waits() -> None:
    tries = Tries()
    for number in range(ATTACK_ON_USER):
        wrong(tries, f"10.1.0.{number}", "anna", 0.0)
    assert wrong(tries, "10.0.0.1", "anna", 0.0) == 0.0
    assert wrong(tries, "10.0.0.1", "anna", 0.0) > 0
    assert wrong(tries, "10.0.0.1", "otto", 0.0) == 0.0


def test_who_was_right_before_does_not_wait_for_what_others_do_behind_the_same_address() -> None:
    tries = Tries()
    right(tries, "10.0.0.1", "anna", 0.0)
    for number in range(5 * FREE_OF_ADDRESS):
        wrong(tries, "10.0.0.1", f"user-{number}", 1.0)
    assert right(tries, "10.0.0.1", "anna", 1.0) == 0.0


def test_a_try_of_which_nothing_was_found_out_does_not_count() -> None:
    tries = Tries()
    for _ in range(50):
        assert tries.admit(address="10.0.0.1", user="anna", now_s=0.0) == 0.0
        tries.settle(address="10.0.0.1", user="anna", was_right=None, now_s=0.0)


def test_the_addresses_of_one_customer_are_one() -> None:
    tries = Tries()
    for number in range(FREE_OF_BOTH):
        assert wrong(tries, f"2001:db8:0:1::{number:x}", "anna", 0.0) == 0.0
    assert wrong(tries, "2001:db8:0:1:ffff::1", "anna", 0.0) > 0
    assert wrong(tries, "2001:db8:0:2::1", "anna", 0.0) == 0.0
    for _ in range(FREE_OF_BOTH):
        wrong(tries, "::ffff:10.0.0.9", "otto", 0.0)
    assert wrong(tries, "10.0.0.9", "otto", 0.0) > 0


def test_all_is_forgotten_after_an_hour_of_peace() -> None:
    tries = Tries()
    for _ in range(FREE_OF_BOTH):
        wrong(tries, "10.0.0.1", "anna", 0.0)
    later_s = FORGET_AFTER_S + 1
    for _ in range(FREE_OF_BOTH):
        assert wrong(tries, "10.0.0.1", "anna", later_s) == 0.0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 6),
            st.integers(0, 3),
            st.sampled_from([True, False, None]),
            st.floats(0, 500),
        ),
        max_size=120,
    )
)
def test_memory_and_waits_are_bounded_whatever_is_tried(steps: list[tuple[int, int, bool | None, float]]) -> None:
    tries = Tries(max_keys=8)
    now_s = 0.0
    for address, user, was_right, wait_s in steps:
        now_s += wait_s
        found_s = tries.admit(address=f"10.0.0.{address}", user=f"user-{user}", now_s=now_s)
        assert 0.0 <= found_s <= MAX_WAIT_S
        if not found_s:
            tries.settle(address=f"10.0.0.{address}", user=f"user-{user}", was_right=was_right, now_s=now_s)
        assert len(tries) <= 8


def test_intervals_grow_to_their_bound() -> None:
    found = [interval_s(number) for number in range(100)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (2.0, MAX_WAIT_S)
