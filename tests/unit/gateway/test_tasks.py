"""The tasks of the composition root: who ends, and who is told."""

from __future__ import annotations

import asyncio

import pytest

from gateway.tasks import Tasks


async def forever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ValueError("a step")


async def test_a_step_of_the_stop_that_fails_is_in_the_log_and_keeps_no_other_from_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = Tasks()
    tasks.own("spool", forever())
    await tasks.while_running("spool", fails())
    assert "A step of the stop has failed" in caplog.text
    assert "ValueError: a step" in caplog.text
    await tasks.cancel()


async def test_a_step_of_the_stop_ends_with_the_task_that_it_needs(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tasks.own("spool", fails())
    async with asyncio.timeout(10):
        await tasks.while_running("spool", forever())
    assert not caplog.text
    with pytest.raises(ValueError, match="a step"):
        tasks.check(may_end=True)
