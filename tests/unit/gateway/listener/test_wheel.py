"""One timer for many connections."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.listener.wheel import NOWHERE, STEP_S, Wheel
from tests.support.doors import WITHIN_S


class Item:
    def __init__(self, done: asyncio.Event | None = None) -> None:
        self.wheel_slot = NOWHERE
        self.times: list[float] = []
        self.done = done or asyncio.Event()

    def on_due(self, now_s: float) -> None:
        self.times.append(now_s)
        self.done.set()


async def wait(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), WITHIN_S)


async def test_each_is_looked_after_at_its_time_and_not_before() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    now_s = loop.time()
    items = [(Item(), now_s + delay_s) for delay_s in (0.3, 0.05, 0.17, 0.0)]
    for item, due_s in items:
        wheel.put(item, due_s)
    for item, due_s in items:
        await wait(item.done)
        assert len(item.times) == 1
        assert due_s - 0.002 <= item.times[0]
        assert item.wheel_slot == NOWHERE
    wheel.stop()


async def test_what_is_put_again_counts_from_then_and_what_is_removed_does_not_count() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    moved, removed, last = Item(), Item(), Item()
    now_s = loop.time()
    for item in (moved, removed):
        wheel.put(item, now_s)
    wheel.put(moved, now_s + 0.2)
    wheel.remove(removed)
    wheel.remove(removed)
    wheel.put(last, now_s + 0.3)
    await wait(last.done)
    assert removed.times == []
    assert len(moved.times) == 1
    assert moved.times[0] >= now_s + 0.19
    wheel.stop()


async def test_an_error_of_one_does_not_keep_the_others_from_their_time(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)

    class Broken(Item):
        def on_due(self, now_s: float) -> None:
            raise RuntimeError("broken")

    good, later = Item(), Item()
    now_s = loop.time()
    for item in (Broken(), good, Broken()):
        wheel.put(item, now_s)
    wheel.put(later, now_s + 0.2)
    await wait(good.done)
    await wait(later.done)
    assert "could not be looked after" in caplog.text
    wheel.stop()


async def test_clients_that_come_and_go_leave_nothing() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    rng = random.Random(1)
    stays = Item()
    wheel.put(stays, loop.time() + 100_000)
    for _ in range(5000):
        item = Item(stays.done)
        wheel.put(item, loop.time() + 10 + rng.random() * 90_000)
        wheel.remove(item)
    assert len(wheel._slots) == 1
    assert len(wheel._waiting) < 100
    wheel.stop()
    assert stays.wheel_slot == NOWHERE
    assert wheel._timer is None


async def test_an_item_may_put_itself_back() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    done = asyncio.Event()

    class Again(Item):
        def on_due(self, now_s: float) -> None:
            self.times.append(now_s)
            if len(self.times) == 3:
                done.set()
            else:
                wheel.put(self, now_s + STEP_S / 2)

    item = Again()
    wheel.put(item, loop.time())
    await wait(done)
    assert item.times == sorted(item.times)
    wheel.stop()
