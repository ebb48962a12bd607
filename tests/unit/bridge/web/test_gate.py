"""Logging in, as far as it is the matter of all who do so at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.web.errors import Problem
from bridge.web.gate import MAX_ASKING, CannotVerify, Gate, Lists
from config.settings import Api

TIMEOUT_S = 10.0


class SlowVerifier:
    """Checks passwords when it is told to; every one of them is wrong but "right"."""

    def __init__(self) -> None:
        self.at_work = 0
        self.most_at_work = 0
        self.checked: list[str] = []
        self.may_go_on = asyncio.Event()
        self.is_out_of_memory = False

    async def verify(self, user: str, password: str) -> bool:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.may_go_on.wait()
            if self.is_out_of_memory:
                raise CannotVerify
            self.checked.append(user)
            return password == "right"
        finally:
            self.at_work -= 1

    def mark(self, user: str) -> str | None:
        return f"of {user}"


def gate_with(verifier: SlowVerifier) -> Gate:
    return Gate(Lists(api=Api(password_file=Path("passwords")), verifier=verifier))


def log_in(gate: Gate, number: int, password: str = "wrong") -> asyncio.Task[object]:
    """From an address of its own, so that nobody waits for his own tries."""
    address = f"192.0.2.{number}"
    coroutine = gate.log_in(f"user {number}", password, address=address, now_s=asyncio.get_running_loop().time)
    return asyncio.create_task(coroutine)


async def statuses(tasks: list[asyncio.Task[object]]) -> list[int]:
    async with asyncio.timeout(TIMEOUT_S):
        found = await asyncio.gather(*tasks, return_exceptions=True)
    return [one.status if isinstance(one, Problem) else 200 for one in found]


async def test_passwords_are_checked_one_after_the_other_in_the_order_in_which_they_came() -> None:
    verifier = SlowVerifier()
    gate = gate_with(verifier)
    tasks = [log_in(gate, number, "right" if number == 7 else "wrong") for number in range(20)]
    await asyncio.sleep(0)
    verifier.may_go_on.set()
    assert await statuses(tasks) == [200 if number == 7 else 401 for number in range(20)]
    assert verifier.most_at_work == 1
    assert verifier.checked == [f"user {number}" for number in range(20)]


async def test_one_more_than_can_wait_is_told_so_at_once_and_it_was_no_try() -> None:
    verifier = SlowVerifier()
    gate = gate_with(verifier)
    tasks = [log_in(gate, number) for number in range(MAX_ASKING)]
    await asyncio.sleep(0)
    for _ in range(30):
        assert await statuses([log_in(gate, MAX_ASKING)]) == [503]
    verifier.may_go_on.set()
    assert set(await statuses(tasks)) == {401}
    assert await statuses([log_in(gate, MAX_ASKING, "right")]) == [200]


@pytest.mark.parametrize("how", ["hangs up", "finds no memory"])
async def test_who_is_not_answered_gives_his_turn_to_the_next(how: str) -> None:
    verifier = SlowVerifier()
    gate = gate_with(verifier)
    tasks = [log_in(gate, number, "right") for number in range(3)]
    while not verifier.at_work:  # noqa: ASYNC110 - the verifier's own state, of whose changes nobody tells
        await asyncio.sleep(0)
    if how == "hangs up":
        for task in tasks[:2]:
            task.cancel()
    else:
        verifier.is_out_of_memory = True
    verifier.may_go_on.set()
    if how == "hangs up":
        assert await statuses(tasks[2:]) == [200]
    else:
        assert await statuses(tasks) == [503] * 3
        verifier.is_out_of_memory = False
    assert await statuses([log_in(gate, 9, "right")]) == [200]
