"""SIGKILL while dead letters are replayed: each is in the dead letters or in its stream, never in both, never gone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from bridge.crashpoints import VARIABLE
from tests.support.letter_replayer import RECORDS, payloads_of_letter
from tests.support.spool import running, settings

LETTERS = 12


async def killed(folder: Path, *, crash_at: str | None = None, after: int = 0) -> int:
    """Have a process replay until it dies at a point, or is killed once it told of so many; returns how many it told
    of."""
    environment = {**os.environ, **({VARIABLE: crash_at} if crash_at else {})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.letter_replayer", str(folder), str(LETTERS),
        stdout=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    told = 0
    async with asyncio.timeout(120):
        while line := await process.stdout.readline():
            told += line != b"ready\n"
            if not crash_at and told == after:
                process.kill()
        assert await process.wait() == -signal.SIGKILL
    return told


async def replayed(folder: Path) -> int:
    """How many letters have gone back, once it is proved that each is in one place and whole."""
    async with running(settings(folder)) as spool:
        assert spool.salvage is None
        back = [r.payload async for r in spool.queue.export("telemetry", LETTERS * RECORDS + 1) if r.payload != b"live"]
        left = [letter.id for letter in await spool.dead_letters.list(limit=1000)][::-1]
        for letter in left:
            assert [r.payload for r in await spool.dead_letters.read(letter)] == payloads_of_letter(letter)
        gone = [letter for letter in range(1, LETTERS + 1) if letter not in left]
        assert back == [payload for letter in gone for payload in payloads_of_letter(letter)]
        assert (spool.dead_letters.letters, spool.dead_letters.records) == (len(left), len(left) * RECORDS)
        return len(gone)


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("point", ["gateway.before_replay", "gateway.after_replay"])
async def test_killed_at_a_named_point_a_letter_is_in_one_place(tmp_path: Path, point: str, times: int) -> None:
    told = await killed(tmp_path, crash_at=f"{point}:{times}")
    assert told == times - 1
    assert await replayed(tmp_path) == told + (point == "gateway.after_replay")


async def test_killed_at_any_moment_every_letter_is_in_one_place(tmp_path: Path) -> None:
    dice = random.Random(7)
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        told = await killed(folder, after=dice.randrange(1, LETTERS))
        assert await replayed(folder) >= told, "what was said to have gone back has not"
