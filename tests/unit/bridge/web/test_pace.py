"""Bodies share a fifth of the loop, whoever asks for them."""

from __future__ import annotations

import asyncio

from bridge.web.pace import MOST_S, Pace
from tests.support.virtual_time import VirtualClock, run_virtual


def test_after_a_body_the_next_one_waits_four_times_as_long() -> None:
    async def main(clock: VirtualClock) -> None:
        pace = Pace(gap=4.0, now_s=clock.monotonic_s)
        begun: list[float] = []

        async def body(took_s: float) -> None:
            async with pace.body():
                begun.append(round(clock.monotonic_s() - 1000.0, 6))
                await asyncio.sleep(took_s)

        await body(0.02)
        await body(0.0)
        await body(0.0)
        assert begun == [0.0, 0.1, 0.1]

    run_virtual(main)


def test_who_comes_first_goes_first_and_a_wait_for_the_disk_counts_only_so_much() -> None:
    async def main(clock: VirtualClock) -> None:
        pace = Pace(gap=4.0, now_s=clock.monotonic_s)
        order: list[int] = []

        async def body(number: int) -> None:
            async with pace.body():
                order.append(number)

        async with pace.body():
            await asyncio.sleep(30.0)
        ended_s = clock.monotonic_s()
        await asyncio.gather(*(body(number) for number in range(20)))
        assert order == list(range(20))
        assert round(clock.monotonic_s() - ended_s, 6) == round(4 * MOST_S, 6)

    run_virtual(main)


def test_a_body_that_breaks_or_that_nobody_waits_for_any_more_leaves_the_turn_to_others() -> None:
    async def main(clock: VirtualClock) -> None:
        pace = Pace(now_s=clock.monotonic_s)

        async def body() -> None:
            async with pace.body():
                await asyncio.sleep(1.0)
                raise RuntimeError

        first, second = asyncio.create_task(body()), asyncio.create_task(body())
        await asyncio.sleep(0.5)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        third = asyncio.create_task(body())
        fourth = asyncio.create_task(body())
        await asyncio.sleep(0.1)
        third.cancel()  # while it waits for its turn
        results = await asyncio.gather(third, fourth, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, RuntimeError]

    run_virtual(main)
