"""A database that a failing disk has damaged: all else survives, and what is gone is declared and reported."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.spool.folder import DataFolder
from gateway.spool.recovery import recover
from tests.support.fleet import Fleet, noisy_rows, publishing
from tests.support.mosquitto import Mosquitto
from tests.support.road import Road, road_through
from tests.support.site import until
from tests.support.spool import running, settings, store


@pytest.fixture
async def road(tmp_path: Path) -> AsyncIterator[Road]:
    async with (
        Mosquitto(tmp_path, lines=["max_queued_messages 0"]) as broker,
        road_through(broker, tmp_path) as road,
    ):
        yield road


async def a_backlog(road: Road, folder: Path, records: int = 300) -> Fleet:
    """Have so many records, each of some KB, in the spool of a gateway whose link is cut."""
    road.link.cut()
    await road.start()
    rows = noisy_rows(folder / "rows.csv")
    async with publishing(road.gateway.endpoint, folder, qos=(1, 2), rate_per_s=400, replay=rows) as fleet:
        await road.gateway.until_waiting(records)
    return fleet


async def test_a_flipped_byte_in_a_block_costs_that_block_which_is_declared_and_kept(
    road: Road, tmp_path: Path
) -> None:
    fleet = await a_backlog(road, tmp_path)
    assert await road.gateway.stop() == 0
    with contextlib.closing(sqlite3.connect(road.gateway.database)) as database:
        key, count, body = database.execute(
            "SELECT key, count, body FROM block ORDER BY key LIMIT 1 OFFSET 5"
        ).fetchone()
    whole = bytearray(road.gateway.database.read_bytes())
    at = whole.find(body[:200])
    assert at > 0
    whole[at + 100] ^= 0x10
    road.gateway.database.write_bytes(whole)
    await road.gateway.start()
    road.link.restore()
    edge = await road.gateway.until_drained()
    last = edge["streams"]["telemetry"]["next_seq"] - 1
    await road.receiver.until(lambda status: status["records"] + status["dropped"] == last, "all is accounted for")
    cloud = await road.receiver.until_settled()
    assert cloud["holes"] == []
    (gap,) = cloud["gaps"]
    first_seq = key & ((1 << 48) - 1)
    assert gap["ranges"] == [{"first_seq": first_seq, "count": count, "reason": "corrupt"}]
    assert edge["streams"]["telemetry"]["dropped"]["corrupt"] == count
    found = fleet.compare(road.receiver.database)
    assert len(found.missing) == count
    assert found.received == found.published - count
    assert found.duplicates == 0
    with contextlib.closing(sqlite3.connect(f"{road.gateway.database.as_uri()}?mode=ro", uri=True)) as database:
        assert database.execute("SELECT first_seq, count, reason FROM dead_letter").fetchall() == [
            (first_seq, count, "corrupt")
        ]


async def test_a_truncated_database_is_set_aside_and_what_can_be_read_is_delivered(road: Road, tmp_path: Path) -> None:
    fleet = await a_backlog(road, tmp_path)
    assert await road.gateway.stop() == 0
    os.truncate(road.gateway.database, road.gateway.database.stat().st_size * 3 // 4)
    await road.gateway.start()
    recovery = road.gateway.status()["spool"]["recovery"]
    assert recovery["records_saved"] > 0
    assert (Path(recovery["set_aside"]) / "spool.db").exists()
    road.link.restore()
    async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), name="after") as after:
        await road.receiver.until_received(recovery["records_saved"] + 100)
    await road.gateway.until_drained()
    await road.receiver.until_received(road.gateway.stream()["next_seq"] - 1)
    cloud = await road.receiver.until_settled()
    assert cloud["holes"] == []
    found = fleet.compare(road.receiver.database)
    assert found.received == recovery["records_saved"]
    assert found.duplicates == 0
    assert after.compare(road.receiver.database).missing == ()


async def test_a_database_of_garbage_is_set_aside_and_a_new_one_begun(road: Road, tmp_path: Path) -> None:
    await a_backlog(road, tmp_path, 50)
    road.gateway.kill()
    for file in road.gateway.data_dir.glob("spool.db*"):
        file.write_bytes(os.urandom(100_000))
    await road.gateway.start()
    recovery = road.gateway.status()["spool"]["recovery"]
    assert recovery["records_saved"] == 0
    road.link.restore()
    async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), name="after") as after:
        await road.receiver.until_received(100)
    await road.gateway.until_drained()
    await road.receiver.until_received(road.gateway.stream()["next_seq"] - 1)
    await road.receiver.until_settled()
    found = after.compare(road.receiver.database)
    assert found.missing == ()
    assert found.received == found.published


async def test_damage_under_a_running_gateway_is_set_aside_in_the_same_process(road: Road, tmp_path: Path) -> None:
    fleet = await a_backlog(road, tmp_path)
    assert await road.gateway.stop() == 0  # so that all is in the database's own file
    await road.gateway.start()
    assert road.gateway.process is not None
    process_id = road.gateway.process.pid
    with road.gateway.database.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size // 4)
        file.write(os.urandom(size // 4))
    road.link.restore()  # from now on the uplink reads what is there
    async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), name="after") as after:
        status = await road.gateway.until(lambda status: "recovery" in status["spool"], "it has started over")
        assert road.gateway.process.pid == process_id
        assert road.gateway.is_running
        assert (Path(status["spool"]["recovery"]["set_aside"]) / "spool.db").exists()
        before = status["streams"]["telemetry"]["accepted"]
        await road.gateway.until(
            lambda status: status["streams"]["telemetry"]["accepted"] > before + 200, "devices publish again"
        )
    await road.gateway.until_drained()
    await until(lambda: not after.compare(road.receiver.database).missing, "all that was published since has arrived")
    await road.receiver.until_settled()
    assert "Traceback" not in road.gateway.log
    assert after.compare(road.receiver.database).duplicates == 0
    found = fleet.compare(road.receiver.database)
    assert found.published / 2 < found.received <= found.published  # some may have left before the damage
    assert status["spool"]["recovery"]["records_saved"] > 0


async def test_a_database_truncated_anywhere_is_saved_from_and_never_read_for_ever(tmp_path: Path) -> None:
    async with running(settings(tmp_path / "whole")) as spool:
        for number in range(60):
            await store(spool, [os.urandom(1500) for _ in range(1 + number % 12)])
    whole = (tmp_path / "whole" / "spool.db").read_bytes()
    saved = []
    for share in range(40):
        folder = DataFolder(tmp_path / f"share-{share}", reserve_bytes=4096)
        folder.open()
        folder.database.write_bytes(whole[: len(whole) * (40 + share) // 80])
        salvage = recover(folder)
        folder.close()
        assert salvage is not None
        saved.append(salvage.records)
    assert saved[0] > 0
    assert saved[-1] > saved[0]
