"""The pool that checks hashes: bounded, shared, and rid of work that nobody waits for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import cast

import pytest
from argon2.exceptions import VerificationError

from gateway.access.hashing import MIN_WAITING, CannotCheck, HashingPool
from gateway.access.password_hash import PasswordHash, parse
from tests.support.passwords import quick_hash

TIMEOUT_S = 30.0
LOWEST = 19
"""The priority than which there is none lower."""


class SlowHash:
    """Takes until it is told to end; `began` is set when it is at work."""

    def __init__(self, error: Exception | None = None) -> None:
        self.began = threading.Event()
        self.end = threading.Event()
        self.error = error
        self.calls: list[bytes] = []

    def matches(self, password: bytes) -> bool:
        self.calls.append(password)
        self.began.set()
        assert self.end.wait(TIMEOUT_S)
        if self.error is not None:
            raise self.error
        return password == b"right"


def as_hash(slow: SlowHash) -> PasswordHash:
    return cast("PasswordHash", slow)


@pytest.fixture
def pool() -> Iterator[HashingPool]:
    pool = HashingPool(threads=1, max_waiting=3)
    yield pool
    pool.close()


async def started(slow: SlowHash) -> None:
    assert await asyncio.to_thread(slow.began.wait, TIMEOUT_S)


async def turn() -> None:
    """Let every task run until it waits: none of those here waits twice before it is at the pool."""
    await asyncio.sleep(0)


async def test_it_says_what_the_hash_says(pool: HashingPool) -> None:
    hashed = parse(quick_hash("right"))
    assert await pool.matches(hashed, b"right") is True
    assert await pool.matches(hashed, b"wrong") is False
    assert pool.waiting == 0


async def test_the_same_question_at_once_is_worked_out_once(pool: HashingPool) -> None:
    slow = SlowHash()
    tasks = [asyncio.create_task(pool.matches(as_hash(slow), b"right")) for _ in range(100)]
    await started(slow)
    assert pool.is_checking(as_hash(slow), b"right")
    assert not pool.is_checking(as_hash(slow), b"wrong")
    slow.end.set()
    assert await asyncio.gather(*tasks) == [True] * 100
    assert slow.calls == [b"right"]
    assert not pool.is_checking(as_hash(slow), b"right")


async def test_who_finds_too_many_waiting_is_told_so_at_once(pool: HashingPool) -> None:
    slow = SlowHash()
    tasks = [asyncio.create_task(pool.matches(as_hash(slow), b"%d" % number)) for number in range(3)]
    await turn()
    assert pool.waiting == 3
    with pytest.raises(CannotCheck):
        await pool.matches(as_hash(slow), b"one more")
    slow.end.set()
    assert await asyncio.gather(*tasks) == [False] * 3
    assert await pool.matches(as_hash(slow), b"right")


async def test_a_check_that_nobody_waits_for_any_more_is_taken_back(pool: HashingPool) -> None:
    slow = SlowHash()
    first = asyncio.create_task(pool.matches(as_hash(slow), b"first"))
    await started(slow)
    second = asyncio.create_task(pool.matches(as_hash(slow), b"second"))
    await turn()
    assert pool.waiting == 2
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert pool.waiting == 1
    slow.end.set()
    await first
    assert await pool.matches(as_hash(slow), b"third") is False
    assert slow.calls == [b"first", b"third"]


async def test_one_of_several_that_wait_may_leave(pool: HashingPool) -> None:
    slow = SlowHash()
    tasks = [asyncio.create_task(pool.matches(as_hash(slow), b"right")) for _ in range(3)]
    await started(slow)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    slow.end.set()
    assert await asyncio.gather(*tasks[1:]) == [True, True]
    assert slow.calls == [b"right"]


async def test_a_check_that_has_begun_goes_on_and_who_left_is_told(pool: HashingPool) -> None:
    slow, told = SlowHash(), asyncio.Queue[bool]()
    task = asyncio.create_task(pool.matches(as_hash(slow), b"right", late=told.put_nowait))
    await started(slow)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.is_checking(as_hash(slow), b"right")
    again = asyncio.create_task(pool.matches(as_hash(slow), b"right"))
    await turn()
    slow.end.set()
    assert await again is True
    assert await asyncio.wait_for(told.get(), TIMEOUT_S) is True
    assert slow.calls == [b"right"]
    assert pool.waiting == 0


async def test_fewer_may_wait_where_a_check_takes_longer(pool: HashingPool) -> None:
    pool = HashingPool(threads=1, max_waiting=1000)
    assert pool.max_waiting == 1000
    for check_s, most in ((0.001, 1000), (0.05, 100), (2.0, MIN_WAITING)):
        pool._check_s = check_s
        assert pool.max_waiting == most
    slow = SlowHash()
    slow.end.set()
    await pool.matches(as_hash(slow), b"x")
    assert 1.5 < pool._check_s < 2.0
    pool.close()


def test_a_check_that_outlives_the_loop_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pool, slow = HashingPool(threads=1), SlowHash()

    async def leave() -> None:
        task = asyncio.create_task(pool.matches(as_hash(slow), b"right"))
        await started(slow)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    slow.end.set()
    pool._executor.shutdown(wait=True)
    assert caplog.records == []


async def test_the_event_loop_turns_while_a_hash_is_checked(pool: HashingPool) -> None:
    slow = SlowHash()
    task = asyncio.create_task(pool.matches(as_hash(slow), b"right"))
    await started(slow)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    slow.end.set()
    assert await task


async def test_no_memory_for_a_hash_is_no_wrong_password(pool: HashingPool) -> None:
    slow = SlowHash(error=VerificationError("Memory allocation error"))
    slow.end.set()
    with pytest.raises(CannotCheck):
        await pool.matches(as_hash(slow), b"right")
    assert pool.waiting == 0


async def test_a_closed_pool_checks_nothing(pool: HashingPool) -> None:
    pool.close()
    with pytest.raises(CannotCheck):
        await pool.matches(parse(quick_hash("x")), b"x")


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="this system has no priorities")
async def test_its_threads_yield_to_the_event_loop(pool: HashingPool) -> None:
    found = []

    class Look:
        def matches(self, password: bytes) -> bool:
            found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return False

    own = os.getpriority(os.PRIO_PROCESS, 0)
    await pool.matches(cast("PasswordHash", Look()), b"x")
    assert found[0] > own or own == LOWEST
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
