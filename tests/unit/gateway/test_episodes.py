"""When something begins and ends, of counts that go up."""

from __future__ import annotations

from gateway.episodes import EVERY_S, QUIET_S, Admission, Bursts, Episode, Episodes, Floods


def test_an_episode_is_told_when_it_begins_and_when_it_is_over() -> None:
    episodes, key = Episodes(), ("telemetry", "full")
    episodes.begin(key, 100)
    assert episodes.feed(0, key, 100) is None
    assert episodes.feed(1, key, 107) == Episode(number=7, is_over=False)
    assert episodes.feed(2, key, 200) is None
    assert episodes.feed(2 + QUIET_S - 1, key, 200) is None
    assert episodes.feed(2 + QUIET_S, key, 200) == Episode(number=100, is_over=True)
    assert episodes.feed(900, key, 200) is None
    assert episodes.feed(901, key, 201) == Episode(number=1, is_over=False)


def test_a_reason_that_is_new_began_at_nothing() -> None:
    assert Episodes().feed(5, ("telemetry", "corrupt"), 3) == Episode(number=3, is_over=False)


def test_a_burst_is_told_at_once_and_then_together() -> None:
    bursts = Bursts()
    told = [bursts.feed(float(second), "bad_password", second + 1) for second in range(int(2 * EVERY_S) + 1)]
    assert [number for number in told if number] == [1, EVERY_S, EVERY_S]
    assert sum(told) == 2 * EVERY_S + 1


def test_a_flood_is_told_of_for_a_while_and_then_once_more() -> None:
    floods = Floods(most=3, window_s=60)
    told = [floods.admit(second, "cloud") for second in range(60)]
    assert told[:5] == [Admission.TELL] * 3 + [Admission.LAST, Admission.SKIP]
    assert set(told[4:]) == {Admission.SKIP}
    assert floods.admit(60, "cloud") is Admission.TELL
    assert floods.admit(30, "other") is Admission.TELL
