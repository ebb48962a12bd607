"""A whole gateway, and a whole receiver, under a service manager: what it hears from the start to the stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.receiver.app import run_receiver
from config.settings import Address, Api, JsonLinesSink, ReceiverIdentity, ReceiverSettings
from gateway.app import run_gateway
from gateway.spool.errors import SpoolCorrupt
from gateway.spool.spool import Spool
from tests.support.in_process import settings_with
from tests.support.service_manager import Manager

TIMEOUT_S = 20
WATCHDOG_USEC = "200000"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", WATCHDOG_USEC)
    yield manager
    manager.close()


async def test_a_gateway_tells_that_it_is_ready_reloads_works_and_stops(tmp_path: Path, manager: Manager) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        running = asyncio.create_task(run_gateway(settings_with(tmp_path)))
        await manager.hears("READY=1")
        await manager.hears("WATCHDOG=1")
        os.kill(os.getpid(), signal.SIGHUP)
        await manager.hears("RELOADING=1")
        await manager.hears("READY=1")
        await manager.hears("WATCHDOG=1")
        os.kill(os.getpid(), signal.SIGTERM)
        await manager.hears("STOPPING=1")
        await running


async def test_a_gateway_that_starts_over_is_not_one_that_stops(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Spool.run

    async def find_damage(_spool: Spool) -> None:
        monkeypatch.setattr(Spool, "run", run)
        raise SpoolCorrupt("A page of the database is not what was written.")

    monkeypatch.setattr(Spool, "run", find_damage)
    async with asyncio.timeout(TIMEOUT_S):
        running = asyncio.create_task(run_gateway(settings_with(tmp_path)))
        await manager.hears("READY=1")
        await manager.hears("READY=1", but_not="STOPPING=1")
        os.kill(os.getpid(), signal.SIGTERM)
        await manager.hears("STOPPING=1")
        await running


async def test_a_receiver_tells_the_same(tmp_path: Path, manager: Manager) -> None:
    settings = ReceiverSettings(
        receiver=ReceiverIdentity(state=tmp_path / "receiver.db"),
        api=Api(bind=Address(host="127.0.0.1", port=0)),
        sinks=(JsonLinesSink(path=tmp_path / "received.jsonl"),),
    )
    async with asyncio.timeout(TIMEOUT_S):
        running = asyncio.create_task(run_receiver(settings))
        await manager.hears("READY=1")
        await manager.hears("WATCHDOG=1")
        os.kill(os.getpid(), signal.SIGHUP)
        await manager.hears("RELOADING=1")
        await manager.hears("READY=1")
        os.kill(os.getpid(), signal.SIGTERM)
        await manager.hears("STOPPING=1")
        await running
