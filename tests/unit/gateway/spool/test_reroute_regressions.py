"""Streams and uplinks that come and go at a bad moment: nothing of it may end the gateway, or lose a record."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import Stream, Uplink
from gateway.spool import upkeep
from gateway.spool.ports import Outcome
from tests.support.spool import running, settings, store
from tests.unit.gateway.spool.test_spool import names, payloads_of

CLOUD, ARCHIVE = Uplink(name="cloud"), Uplink(name="archive")


async def test_a_stream_that_is_taken_back_while_the_log_is_brought_to_disk_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), threading.Event()
    fsync = upkeep._fsync

    def slowly(path: Path) -> None:
        begun.set()
        assert go_on.wait(20)
        fsync(path)

    before = settings(tmp_path, durability_s=0.01)
    after = replace(before, streams=(*before.streams, Stream(name="new", topics=("new/#",))))
    async with running(before) as spool:
        added = await spool.add_streams(after)
        monkeypatch.setattr(upkeep, "_fsync", slowly)
        await store(spool, names(3))
        assert await asyncio.to_thread(begun.wait, 20)
        await spool.take_back(added)
        go_on.set()
        outbox = spool.outbox(Uplink())
        async with asyncio.timeout(10):
            while outbox.backlog("telemetry").next_seq < 4:
                assert spool.failure is None
                await asyncio.sleep(0.01)
        assert await store(spool, names(1)) is Outcome.DURABLE


async def test_an_uplink_that_comes_back_can_condemn_what_it_condemned_before_it_was_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.database.BUSY_TIMEOUT_S", 0.05)
    both = settings(tmp_path, uplinks=(CLOUD, ARCHIVE))
    one = replace(both, uplinks=(CLOUD,))
    async with running(both) as spool:
        await store(spool, names(6))
        await spool.outbox(ARCHIVE).dead_letter("telemetry", 2, 2, reason="refused")
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # what is known of the uplink can't be forgotten now
            await spool.reroute(one)
            other.execute("ROLLBACK")
        await spool.reroute(both)
        assert await payloads_of(spool.outbox(ARCHIVE)) == names(6)
        async with asyncio.timeout(10):
            await spool.outbox(ARCHIVE).dead_letter("telemetry", 2, 3, reason="refused")
        assert spool.failure is None
        assert await payloads_of(spool.outbox(ARCHIVE)) == [names(6)[i] for i in (0, 4, 5)]
    async with running(both) as spool:
        assert await payloads_of(spool.outbox(ARCHIVE)) == [names(6)[i] for i in (0, 4, 5)]


async def test_an_uplink_that_comes_back_gets_what_it_could_not_take_before_also_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.database.BUSY_TIMEOUT_S", 0.05)
    both = settings(tmp_path, uplinks=(CLOUD, ARCHIVE))
    async with running(both) as spool:
        await store(spool, names(6))
        await spool.outbox(ARCHIVE).dead_letter("telemetry", 2, 2, reason="refused")
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await spool.reroute(replace(both, uplinks=(CLOUD,)))
            other.execute("ROLLBACK")
        await spool.reroute(both)
        await spool.flush()
    async with running(both) as spool:
        assert await payloads_of(spool.outbox(ARCHIVE)) == names(6)
