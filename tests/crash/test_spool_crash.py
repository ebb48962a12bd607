"""SIGKILL while rows are kept and discarded: what a commit held is there as a whole, or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from bridge.crashpoints import VARIABLE
from gateway.spool.ports import Table
from gateway.spool.spool import Spool
from tests.support.spool import StepClock, settings
from tests.support.spool_writer import LAG, SESSION, body_of


async def killed(folder: Path, first: int, *, crash_at: str | None = None, after: int = 0) -> int:
    """Have a process write from row `first` until it dies at a point, or is killed after so many commits; returns the
    last row whose commit it told of."""
    environment = {**os.environ, **({VARIABLE: crash_at} if crash_at else {})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.spool_writer", str(folder), str(first),
        stdout=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    last = first - 1
    async with asyncio.timeout(120):
        while line := await process.stdout.readline():
            last = int(line)
            if not crash_at and last - first + 1 == after:
                process.kill()
        assert await process.wait() == -signal.SIGKILL
    return last


async def rows_of(folder: Path) -> tuple[dict[int | str, bytes], dict[int | str, bytes]]:
    spool = await Spool.open(settings(folder), clock=StepClock())
    try:
        assert spool.damaged_rows == 0
        assert spool.salvage is None
        return dict(spool.load(Table.MESSAGE)), dict(spool.load(Table.DELIVERY))
    finally:
        await spool.close()


async def prove(folder: Path, last: int) -> int:
    """The rows are those of a commit that was told of, or of the one after it; returns its number."""
    messages, deliveries = await rows_of(folder)
    newest = int(max(messages))
    assert newest >= last, "what was said to be on disk is not"
    assert list(messages) == list(range(max(1, newest - LAG + 1), newest + 1))
    assert messages == {number: body_of(int(number)) for number in messages}
    assert deliveries == {SESSION << 32 | int(number): body for number, body in messages.items()}
    return newest


@pytest.mark.parametrize("point", ["gateway.before_commit", "gateway.after_commit"])
async def test_killed_at_a_named_point_rows_and_removals_are_those_of_one_commit(tmp_path: Path, point: str) -> None:
    newest = 0
    for times in (8, 1, 3):
        last = await killed(tmp_path, newest + 1, crash_at=f"{point}:{times}")
        before, newest = newest, await prove(tmp_path, last) if newest or last else newest
        assert last == before + times - 1
        assert newest == last + (point == "gateway.after_commit")


async def test_killed_at_any_moment_rows_and_removals_are_those_of_one_commit(tmp_path: Path) -> None:
    dice = random.Random(3)
    newest = 0
    for _ in range(4):
        newest = await prove(tmp_path, await killed(tmp_path, newest + 1, after=dice.randrange(1, 30)))
