"""Looking into a stream without taking anything away."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from unittest.mock import AsyncMock, patch

import pytest

from bridge.record import Properties
from config.settings import Stream, Uplink
from gateway.spool import queue
from gateway.spool.spool import Spool
from tests.support.spool import running, settings, store


async def filled(spool: Spool, blocks: int, each: int = 5) -> None:
    for i in range(blocks):
        await store(spool, [f"{i * each + j + 1}".encode() * 3 for j in range(each)])


async def exported(spool: Spool, first: int | None = None, last: int | None = None) -> list[int]:
    return [record.seq async for record in spool.queue.export("telemetry", first, last)]


async def test_records_are_found_by_their_numbers_from_anywhere_in_a_block(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as spool:
        await filled(spool, 6)
        found = await spool.queue.peek("telemetry", 8, 4)
        assert [(record.seq, record.payload) for record in found] == [(n, f"{n}".encode() * 3) for n in range(8, 12)]
        assert found[0].topic == "plant/a"
        assert [record.seq for record in await spool.queue.peek("telemetry")] == list(range(1, 31))
        assert [record.seq for record in await spool.queue.peek("telemetry", 29)] == [29, 30]
        assert await spool.queue.peek("telemetry", 31) == []
        assert [record.seq for record in await spool.queue.peek("telemetry", -5, 1)] == [1]
        with pytest.raises(KeyError):
            await spool.queue.peek("nobody")
        await spool.outbox(Uplink()).release("telemetry", 13)
        await spool.flush()
        assert (await spool.queue.peek("telemetry", 1, 1))[0].seq == 11, "the block that holds 13 is still there"


async def test_an_export_goes_page_by_page_and_ends_with_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "PAGE_RECORDS", 7)
    async with running(settings(tmp_path)) as spool:
        await filled(spool, 6)
        assert await exported(spool) == list(range(1, 31))
        assert await exported(spool, 4, 17) == list(range(4, 18))
        assert await exported(spool, 29, 1000) == [29, 30]
        assert await exported(spool, 31) == []
        seen = []
        async for record in spool.queue.export("telemetry"):
            seen.append(record.seq)
            if len(seen) == 3:
                await store(spool, [b"new"] * 20)
        assert seen == list(range(1, 31))


async def test_a_page_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "PAGE_BYTES", 1000)
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"x" * 400] * 10)
        await store(spool, [b"y" * 5000])
        assert len(await spool.queue.peek("telemetry", 1, 100)) == 3
        assert await exported(spool) == list(range(1, 12))


async def test_names_and_properties_count_too_or_a_page_of_small_payloads_could_be_gigabytes(tmp_path: Path) -> None:
    long = Properties(user_property=(("key", "x" * (queue.PAGE_BYTES // 4)),))
    async with running(settings(tmp_path)) as spool:
        await store(spool, [b"x"] * 20, properties=[long] * 20)
        assert len(await spool.queue.peek("telemetry", 1, 1000)) == 4
        assert await exported(spool) == list(range(1, 21))


async def test_damaged_blocks_are_passed_over_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(settings(tmp_path)) as spool:
        await filled(spool, 5)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        keys = [row[0] for row in other.execute("SELECT key FROM block ORDER BY key")]
        other.execute("UPDATE block SET body = x'00' WHERE key = ?", (keys[0],))
        other.execute("UPDATE block SET count = 90 WHERE key = ?", (keys[2],))
    with caplog.at_level(logging.WARNING, "gateway.spool.queue"):
        async with running(settings(tmp_path)) as spool:
            assert [record.seq for record in await spool.queue.peek("telemetry", 1, 7)] == [6, 7, 8, 9, 10, 16, 17]
            assert await exported(spool) == [*range(6, 11), *range(16, 26)]
    assert "2 blocks of stream telemetry behind number 1 are damaged" in caplog.text


async def test_what_is_looked_at_for_a_page_is_bounded_in_blocks_also_where_all_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "PAGE_BLOCKS", 3)
    async with running(settings(tmp_path)) as spool:
        await filled(spool, 12)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        keys = [row[0] for row in other.execute("SELECT key FROM block ORDER BY key")]
        other.execute("UPDATE block SET body = x'00' WHERE key BETWEEN ? AND ?", (keys[0], keys[9]))
    async with running(settings(tmp_path)) as spool:
        assert [record.seq for record in await spool.queue.peek("telemetry", 1, 2)] == [51, 52]
        assert await exported(spool, 3) == list(range(51, 61))


@pytest.mark.parametrize("beyond", [61, 2**48, 2**48 + 3, 2**53])
async def test_a_number_that_was_not_given_yet_is_not_looked_for(tmp_path: Path, beyond: int) -> None:
    streams = (Stream(name="alarms", topics=("a",)), Stream(name="telemetry", topics=("#",)))
    async with running(settings(tmp_path, streams=streams)) as spool:
        await store(spool, [b"x"] * 60, stream=1)
        looked = AsyncMock(side_effect=AssertionError("the database was asked"))
        with patch.object(spool._reader, "run", looked):
            assert await spool.queue.peek("telemetry", beyond) == []
            assert await exported(spool, beyond) == []
