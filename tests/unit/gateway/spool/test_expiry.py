"""How old records are when the wall clock is set: in a run by the steady clock, over a restart by the wall clock."""

from __future__ import annotations

from pathlib import Path

from config.settings import GatewaySettings, Stream
from gateway.spool.spool import Spool
from tests.support.spool import SECOND_US, StepClock, running, settings, store

YEAR_US = 365 * 86_400 * SECOND_US


def brief(folder: Path) -> GatewaySettings:
    return settings(folder, streams=(Stream(name="telemetry", topics=("#",), time_to_live_s=60.0),))


async def kept(spool: Spool) -> list[bytes]:
    """What is there after everything that is past its time-to-live has gone."""
    spool._committer.expire()
    await spool.written()
    return [record.payload async for record in spool.queue.export("telemetry")]


async def test_a_clock_that_is_set_forward_makes_no_record_older_than_it_is(tmp_path: Path) -> None:
    clock = StepClock(now_us=0)
    async with running(brief(tmp_path), clock) as spool:
        await store(spool, [b"a"])
        clock.us += 10 * SECOND_US
        clock.set(50 * YEAR_US)
        await store(spool, [b"b"])
        assert await kept(spool) == [b"a", b"b"]
        clock.us += 51 * SECOND_US
        assert await kept(spool) == [b"b"]
        clock.us += 10 * SECOND_US
        assert await kept(spool) == []
        assert spool.lanes["telemetry"].dropped["expired"] == 2


async def test_a_clock_that_is_set_back_keeps_no_record_for_longer(tmp_path: Path) -> None:
    clock = StepClock()
    async with running(brief(tmp_path), clock) as spool:
        await store(spool, [b"a"])
        clock.set(-YEAR_US)
        await store(spool, [b"b"])
        clock.us += 61 * SECOND_US
        assert await kept(spool) == []


async def test_what_was_there_before_the_start_is_as_old_as_the_wall_clock_says(tmp_path: Path) -> None:
    clock = StepClock()
    async with running(brief(tmp_path), clock) as spool:
        await store(spool, [b"a"])
        clock.us += 30 * SECOND_US
        await store(spool, [b"b"])
    clock.us += 31 * SECOND_US
    async with running(brief(tmp_path), clock) as spool:
        await store(spool, [b"c"])
        assert await kept(spool) == [b"b", b"c"]


async def test_what_came_out_of_the_future_before_the_start_goes_when_it_has_been_here_for_its_time(
    tmp_path: Path,
) -> None:
    clock = StepClock()
    async with running(brief(tmp_path), clock) as spool:
        await store(spool, [b"a"])
    clock.set(-YEAR_US)
    async with running(brief(tmp_path), clock) as spool:
        assert await kept(spool) == [b"a"]
        clock.us += 30 * SECOND_US
        await store(spool, [b"b"])
        clock.us += 31 * SECOND_US
        assert await kept(spool) == [b"b"]


async def test_a_time_to_live_that_is_new_counts_from_then_on_for_what_this_run_has_taken(tmp_path: Path) -> None:
    clock = StepClock()
    async with running(settings(tmp_path), clock) as spool:
        await store(spool, [b"a"])
        spool.order_streams(brief(tmp_path))
        clock.us += 50 * SECOND_US
        assert await kept(spool) == [b"a"]
        clock.us += 61 * SECOND_US
        assert await kept(spool) == []
