"""Sessions: who is in, for how long, and how many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.web.logins import IDLE_S, LIFE_S, MAX_OF_USER, Logins

MARKS = {"anna": "a1", "otto": "o1"}


def mark_of(user: str) -> str | None:
    return MARKS.get(user)


def test_a_session_is_its_users_until_it_is_ended() -> None:
    logins = Logins()
    logins.begin("one", "anna", "a1", 0.0)
    assert logins.user_of("one", mark_of, 1.0) == "anna"
    assert logins.user_of("another", mark_of, 1.0) is None
    assert (logins.end("one"), logins.end("one")) == (True, False)
    assert logins.user_of("one", mark_of, 2.0) is None


def test_a_session_that_is_not_used_ends() -> None:
    logins = Logins()
    logins.begin("one", "anna", "a1", 0.0)
    assert logins.user_of("one", mark_of, IDLE_S - 1) == "anna"
    assert logins.user_of("one", mark_of, 2 * IDLE_S - 2) == "anna"
    assert logins.user_of("one", mark_of, 3 * IDLE_S - 2) is None
    assert len(logins) == 0


def test_a_session_that_is_used_all_the_time_ends_after_its_life() -> None:
    logins = Logins()
    logins.begin("one", "anna", "a1", 0.0)
    now_s = 0.0
    while now_s < LIFE_S - 3600:
        now_s += 3600
        assert logins.user_of("one", mark_of, now_s) == "anna"
    assert logins.user_of("one", mark_of, LIFE_S) is None


def test_sessions_end_when_the_user_leaves_the_file_or_has_another_password() -> None:
    logins = Logins()
    logins.begin("one", "anna", "a1", 0.0)
    logins.begin("two", "otto", "o1", 0.0)
    logins.begin("three", "eve", "e1", 0.0)
    assert logins.user_of("three", mark_of, 1.0) is None
    assert logins.keep_known({"anna": "a2", "otto": "o1"}.get) == 1
    assert logins.user_of("one", lambda _: "a1", 1.0) is None
    assert logins.user_of("two", mark_of, 1.0) == "otto"


def test_one_user_cannot_throw_out_the_others() -> None:
    logins = Logins()
    logins.begin("otto's", "otto", "o1", 0.0)
    for number in range(MAX_OF_USER + 5):
        logins.begin(f"anna's {number}", "anna", "a1", 1.0 + number)
    assert len(logins) == MAX_OF_USER + 1
    assert logins.user_of("otto's", mark_of, 100.0) == "otto"
    assert logins.user_of("anna's 4", mark_of, 100.0) is None
    assert logins.user_of("anna's 5", mark_of, 100.0) == "anna"


def test_the_ids_are_not_kept() -> None:
    logins = Logins()
    logins.begin("the very id", "anna", "a1", 0.0)
    assert all(b"the very id" not in key and len(key) == 32 for key in logins._sessions)


@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "use", "end"]), st.integers(0, 9), st.floats(0, 10_000)),
        max_size=60,
    )
)
def test_it_holds_no_more_than_it_may_and_nobody_gets_anothers_session(steps: list[tuple[str, int, float]]) -> None:
    logins = Logins(max_sessions=5, max_of_user=3)
    owners: dict[str, str] = {}
    now_s = 0.0
    for step, number, wait_s in steps:
        now_s += wait_s
        session_id = f"id-{number}"
        if step == "begin":
            owners[session_id] = user = ("anna", "otto")[number % 2]
            logins.begin(session_id, user, MARKS[user], now_s)
        elif step == "end":
            logins.end(session_id)
        else:
            assert logins.user_of(session_id, mark_of, now_s) in {None, owners.get(session_id)}
        assert len(logins) <= 5
