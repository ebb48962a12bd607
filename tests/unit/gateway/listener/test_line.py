"""Work of many connections, a little at a time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.listener.line import AT_ONCE, Line


async def test_a_turn_of_the_loop_does_a_little_of_the_work_in_the_order_in_which_it_came() -> None:
    line, done = Line(), list[int]()
    for number in range(2 * AT_ONCE + 1):
        line.enter(lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == []
    counts = []
    while len(done) < 2 * AT_ONCE + 1:
        await asyncio.sleep(0)
        counts.append(len(done))
    assert counts == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1]
    assert done == sorted(done)


async def test_work_may_enter_again_and_work_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    line, done = Line(), list[str]()

    def fails() -> None:
        line.enter(lambda: done.append("again"))
        raise RuntimeError("broken")

    line.enter(fails)
    line.enter(lambda: done.append("other"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert done == ["other", "again"]
    assert "could not be done" in caplog.text
    line.enter(lambda: done.append("later"))
    await asyncio.sleep(0)
    assert done[-1] == "later"
