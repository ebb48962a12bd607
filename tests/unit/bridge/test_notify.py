"""What the service manager hears, at a real socket, and when the watchdog is fed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge.clock import SystemClock
from bridge.database import open_database
from bridge.notify import MAX_STATUS_BYTES, Notifier, keep_telling, waiting
from gateway.spool.spool import Spool
from tests.support.in_process import settings_with
from tests.support.service_manager import Manager

TIMEOUT_S = 30
WATCHDOG_S = 0.1


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


def notifier_of(manager: Manager, watchdog_s: float = WATCHDOG_S) -> Notifier:
    return Notifier.of({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(int(watchdog_s * 1e6))})


async def nothing() -> None:
    """A store that works."""


@contextlib.asynccontextmanager
async def told(notifier: Notifier, *, probe: object = nothing, every_s: float = 0.2) -> AsyncIterator[None]:
    telling = asyncio.create_task(
        keep_telling(notifier, probe=probe, status=lambda: "Safe: all is well.", every_s=every_s)  # type: ignore[arg-type]
    )
    yield
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)


def test_ready_reloading_and_stopping_are_told_each_in_one_datagram(manager: Manager) -> None:
    notifier = notifier_of(manager)
    before = time.monotonic_ns() // 1000
    notifier.ready("Safe: nothing waits.")
    notifier.reloading()
    notifier.ready()
    notifier.stopping()
    ready, reloading, again, stopping = manager.heard()
    assert ready == ["READY=1", "STATUS=Safe: nothing waits."]
    assert reloading[0] == "RELOADING=1"
    assert before <= int(reloading[1].removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert again == ["READY=1"]
    assert stopping == ["STOPPING=1", "STATUS=Stopping."]


def test_an_abstract_socket_is_found(tmp_path: Path) -> None:
    manager = Manager(f"@fieldgate-test-{os.getpid()}-{tmp_path.name}")
    notifier_of(manager).feed()
    assert manager.heard() == [["WATCHDOG=1"]]
    manager.close()


def test_a_status_is_one_line_and_not_long_whatever_a_device_is_called(manager: Manager) -> None:
    notifier_of(manager).status("device\nWATCHDOG=1\x1b[2J" + "ä" * 1000)
    ((line,),) = manager.heard()
    assert line.startswith("STATUS=device WATCHDOG=1 [2J")
    assert len(line.encode()) <= MAX_STATUS_BYTES + len("STATUS=")


def test_without_a_manager_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        Notifier.of(environ).ready("well")


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_when_the_environment_says_so(environ: dict[str, str], watchdog_s: float | None) -> None:
    assert Notifier.of({"NOTIFY_SOCKET": "/n", **environ}, pid=7).watchdog_s == watchdog_s


async def test_the_watchdog_is_fed_and_the_status_told_while_all_is_well(manager: Manager) -> None:
    async with told(notifier_of(manager)):
        await manager.hears("STATUS=Safe: all is well.")
        for _ in range(3):
            await manager.hears("WATCHDOG=1")
        await manager.hears("STATUS=Safe: all is well.")


async def test_without_a_watchdog_only_the_status_is_told(manager: Manager) -> None:
    async with told(Notifier(manager.address), every_s=0.01):
        for _ in range(2):
            await manager.hears("STATUS=Safe: all is well.")
        assert all(line.startswith("STATUS=") for lines in manager.heard() for line in lines)


async def test_a_loop_that_stands_still_starves_the_watchdog(manager: Manager) -> None:
    async with told(notifier_of(manager)):
        await manager.hears("WATCHDOG=1")
        manager.heard()
        threading.Event().wait(2 * WATCHDOG_S)  # nothing else runs on the loop meanwhile
        assert manager.heard() == []
        await manager.hears("WATCHDOG=1")


async def test_a_database_that_hangs_starves_the_watchdog_until_it_answers_again(
    manager: Manager, tmp_path: Path
) -> None:
    database = await open_database(tmp_path / "some.db", synchronous="FULL")
    hangs, answers = threading.Event(), threading.Event()

    async def probe() -> None:
        await database.run(lambda _connection: None)

    def hang(_connection: object) -> None:
        hangs.set()
        answers.wait(TIMEOUT_S)

    async with told(notifier_of(manager), probe=probe):
        await manager.hears("WATCHDOG=1")
        hanging = asyncio.create_task(database.run(hang))
        await asyncio.to_thread(hangs.wait, TIMEOUT_S)
        await asyncio.sleep(0)  # a datagram of a probe that had ended just before
        manager.heard()
        await asyncio.sleep(3 * WATCHDOG_S)  # the time in which it would have been fed six times
        assert [line for lines in manager.heard() for line in lines if line == "WATCHDOG=1"] == []
        answers.set()
        await hanging
        await manager.hears("WATCHDOG=1")
    await database.close()


async def test_a_commit_that_hangs_holds_the_probe_of_the_spool_and_a_full_spool_does_not(tmp_path: Path) -> None:
    spool = await Spool.open(settings_with(tmp_path), clock=SystemClock())
    running = asyncio.create_task(spool.run())
    await asyncio.wait_for(spool.probe(), TIMEOUT_S)
    hangs, answers = threading.Event(), threading.Event()

    def hang(_connection: object) -> None:
        hangs.set()
        answers.wait(TIMEOUT_S)

    committing = asyncio.create_task(spool._committer.do(hang))
    await asyncio.to_thread(hangs.wait, TIMEOUT_S)
    probing = asyncio.create_task(spool.probe())
    done, _ = await asyncio.wait({probing}, timeout=WATCHDOG_S)
    assert not done
    answers.set()
    await committing
    await asyncio.wait_for(probing, TIMEOUT_S)
    spool._committer.is_refusing = True
    await asyncio.wait_for(spool.probe(), TIMEOUT_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await spool.close()


async def test_a_long_start_asks_for_more_time(manager: Manager) -> None:
    async with waiting(Notifier(manager.address), every_s=0.01):
        for _ in range(2):
            await manager.hears("EXTEND_TIMEOUT_USEC=30000")


async def test_the_watchdog_is_fed_during_a_long_start_too(manager: Manager) -> None:
    async with waiting(Notifier(manager.address, watchdog_s=WATCHDOG_S)):
        for _ in range(3):
            await manager.hears("WATCHDOG=1")
