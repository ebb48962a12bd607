from hypothesis import given
from hypothesis import strategies as st

from bridge.ports import Gap
from gateway.spool.gaps import EVERYONE, Gaps


def gap(first: int, count: int, reason: str = "full") -> Gap:
    return Gap(first_seq=first, count=count, reason=reason)


def test_neighbours_with_one_reason_become_one_gap() -> None:
    gaps = Gaps()
    gaps.add(gap(1, 5))
    assert gaps.add(gap(6, 5)) == gap(1, 10)
    assert list(gaps) == [(EVERYONE, gap(1, 10))]


def test_neighbours_with_different_reasons_stay_apart() -> None:
    gaps = Gaps()
    gaps.add(gap(1, 5))
    gaps.add(gap(6, 5, "expired"))
    assert gaps.between(1, 100, "cloud") == [gap(1, 5), gap(6, 5, "expired")]


def test_an_uplinks_own_gap_is_not_shown_to_another() -> None:
    gaps = Gaps()
    gaps.add(gap(3, 2, "dead_letter"), "cloud")
    assert gaps.between(1, 10, "cloud") == [gap(3, 2, "dead_letter")]
    assert gaps.between(1, 10, "other") == []


def test_gaps_are_forgotten_only_when_they_end_below() -> None:
    gaps = Gaps()
    gaps.add(gap(1, 5))
    gaps.add(gap(10, 5))
    assert gaps.forget_below(EVERYONE, 12) == [gap(1, 5)]
    assert gaps.between(1, 100, "cloud") == [gap(10, 5)]


@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["full", "expired"]))),
    st.integers(1, 60),
    st.integers(0, 60),
)
def test_between_tells_exactly_the_numbers_that_were_added(
    singles: list[tuple[int, str]], start: int, length: int
) -> None:
    gaps = Gaps()
    added: dict[int, str] = {}
    for seq, reason in singles:
        if seq not in added:
            added[seq] = reason
            gaps.add(gap(seq, 1, reason))
    told = {
        seq: part.reason
        for part in gaps.between(start, start + length, "cloud")
        for seq in range(part.first_seq, part.first_seq + part.count)
    }
    assert told == {seq: reason for seq, reason in added.items() if start <= seq < start + length}
