"""Damage: what can be read is saved, what can't is set aside and told, and no number is given twice."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from config.settings import Uplink
from gateway.spool.errors import SpoolCorrupt
from gateway.spool.spool import Spool
from tests.support.spool import StepClock, running, settings, store
from tests.unit.gateway.spool.test_spool import names, payloads_of


def blocks_on_disk(folder: Path) -> list[tuple[int, bytes]]:
    with contextlib.closing(sqlite3.connect(folder / "spool.db")) as other, other:
        rows: list[tuple[int, bytes]] = other.execute("SELECT key, body FROM block ORDER BY key").fetchall()
    return rows


def flip(path: Path, where: int) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 0x40
    path.write_bytes(data)


async def filled(folder: Path, commits: int, size: int = 10) -> str:
    """A spool with so many blocks of ten records, closed again; returns the stream's epoch."""
    async with running(settings(folder)) as spool:
        for i in range(commits):
            await store(spool, [f"{i}-{j}-".encode().ljust(size, b"x") for j in range(10)])
        return spool.lanes["telemetry"].epoch


async def test_a_flipped_byte_in_a_block_costs_that_block_and_is_declared(tmp_path: Path) -> None:
    await filled(tmp_path, 5)
    body = blocks_on_disk(tmp_path)[2][1]
    flip(tmp_path / "spool.db", (tmp_path / "spool.db").read_bytes().index(body) + len(body) // 2)
    async with running(settings(tmp_path)) as spool:
        outbox = spool.outbox(Uplink())
        found = await payloads_of(outbox)
        assert len(found) == 40
        assert not any(payload.startswith(b"2-") for payload in found)
        peek = await outbox.peek("telemetry", 21, max_records=10, max_bytes=1000)
        assert [(gap.first_seq, gap.count, gap.reason) for gap in peek.gaps] == [(21, 10, "corrupt")]
        assert spool.lanes["telemetry"].dropped["corrupt"] == 10
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as other, other:
        assert other.execute("SELECT uplink, reason, count FROM dead_letter").fetchall() == [("", "corrupt", 10)]


async def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"this is not a database, it only has its name\n" * 200)
    async with running(settings(tmp_path)) as spool:
        assert spool.salvage is not None
        assert spool.salvage.records == 0
        await store(spool, names(2))
    assert (tmp_path / "damaged-1" / "spool.db").read_bytes().startswith(b"this is not a database")


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
async def test_a_truncated_database_is_set_aside_and_what_can_be_read_is_saved(tmp_path: Path, keep: float) -> None:
    epoch = await filled(tmp_path, 60, size=400)
    database = tmp_path / "spool.db"
    whole = database.read_bytes()
    database.write_bytes(whole[: int(len(whole) * keep) // 4096 * 4096])
    async with running(settings(tmp_path)) as spool:
        assert spool.salvage is not None
        found = await payloads_of(spool.outbox(Uplink())) if "telemetry" in spool.lanes else []
        assert spool.lanes["telemetry"].epoch != epoch
        assert len(found) == spool.salvage.records
        assert len(set(found)) == len(found)
        await store(spool, names(2))
        assert (await payloads_of(spool.outbox(Uplink())))[-2:] == names(2)
    async with running(settings(tmp_path)) as spool:
        assert spool.salvage is None


@pytest.mark.parametrize("page", range(2, 40, 5))
async def test_a_page_of_zeros_anywhere_loses_at_most_what_was_in_it(tmp_path: Path, page: int) -> None:
    await filled(tmp_path, 60, size=400)
    database = tmp_path / "spool.db"
    data = bytearray(database.read_bytes())
    data[page * 4096 : (page + 1) * 4096] = bytes(4096)
    database.write_bytes(data)
    found: list[bytes] = []
    for _ in range(2):  # damage may show only when the block is read; then the next opening saves what it can
        try:
            async with running(settings(tmp_path)) as spool:
                outbox = spool.outbox(Uplink())
                found = [payload for stream in outbox.streams for payload in await payloads_of(outbox, stream)]
                await store(spool, names(1))
                break
        except SpoolCorrupt:
            (tmp_path / "spool.damaged").touch()
    assert len(found) >= 300
    assert found == sorted(set(found), key=lambda payload: tuple(map(int, payload.split(b"-")[:2])))


async def test_a_mark_left_by_a_running_gateway_has_the_database_saved_at_the_next_opening(tmp_path: Path) -> None:
    epoch = await filled(tmp_path, 3)
    (tmp_path / "spool.damaged").touch()
    spool = await Spool.open(settings(tmp_path), clock=StepClock())
    try:
        assert spool.salvage is not None
        assert (spool.salvage.records, spool.salvage.blocks_unreadable) == (30, 0)
        assert spool.lanes["telemetry"].epoch != epoch
        assert "30 records in 3 blocks were saved" in str(spool.salvage)
    finally:
        await spool.close()
    assert not (tmp_path / "spool.damaged").exists()


async def test_salvage_keeps_each_uplinks_place(tmp_path: Path) -> None:
    both = (Uplink(name="cloud"), Uplink(name="archive"))
    async with running(settings(tmp_path, uplinks=both)) as spool:
        for prefix in "abc":
            await store(spool, names(10, prefix))
        await spool.outbox(both[0]).release("telemetry", 21)
    (tmp_path / "spool.damaged").touch()
    async with running(settings(tmp_path, uplinks=both)) as spool:
        assert await payloads_of(spool.outbox(both[0])) == names(10, "c")
        assert await payloads_of(spool.outbox(both[1])) == names(10, "a") + names(10, "b") + names(10, "c")


async def test_what_could_not_be_saved_is_counted_as_dropped_with_its_reason(tmp_path: Path) -> None:
    await filled(tmp_path, commits=10)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as other:
        (key,) = other.execute("SELECT key FROM block ORDER BY key LIMIT 1 OFFSET 4").fetchone()
        other.execute("UPDATE block SET body = x'00' WHERE key = ?", (key,))
    (tmp_path / "spool.damaged").touch()
    async with running(settings(tmp_path)) as spool:
        assert spool.salvage is not None
        lane = spool.lanes["telemetry"]
        gaps = [gap.count for _, gap in lane.gaps if gap.reason == "corrupt"]
        assert gaps
        assert lane.dropped.get("corrupt") == sum(gaps)
