"""The event loop's lag is measured, not assumed."""

from __future__ import annotations

import asyncio
import time

from gateway.api.heartbeat import Heartbeat, LagWindow


def test_beats_that_come_on_time_show_no_lag() -> None:
    window = LagWindow(0.0, beat_s=1.0, window_s=10.0)
    for now in (1.0, 2.0, 3.0):
        window.beat(now)
    assert window.worst_s(3.5) == 0.0


def test_a_late_beat_shows_until_the_window_has_passed() -> None:
    window = LagWindow(0.0, beat_s=1.0, window_s=10.0)
    due = window.beat(4.0)
    assert window.worst_s(4.1) == 3.0
    for _ in range(11):
        due = window.beat(due)
    assert window.worst_s(due - 0.5) == 0.0


def test_a_beat_that_is_overdue_right_now_counts() -> None:
    window = LagWindow(0.0, beat_s=1.0, window_s=10.0)
    assert window.worst_s(8.0) == 7.0


async def test_a_loop_that_stood_still_shows_afterwards() -> None:
    heartbeat = Heartbeat(beat_s=0.01)
    assert heartbeat.worst_lag_s == 0.0
    heartbeat.start()
    beaten = asyncio.Event()
    asyncio.get_running_loop().call_later(0.03, beaten.set)
    time.sleep(0.2)  # noqa: ASYNC251 - the loop standing still is what is tested
    await asyncio.wait_for(beaten.wait(), 5)
    assert heartbeat.worst_lag_s >= 0.1
    heartbeat.close()
    heartbeat.close()
