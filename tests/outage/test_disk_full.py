"""A disk that is really full: a small file system that a stranger's file fills up while devices publish."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.spool.errors import SpoolFull
from gateway.spool.ports import Outcome
from gateway.spool.spool import Spool
from tests.support.fleet import Fleet, noisy_rows, publishing
from tests.support.mosquitto import Mosquitto
from tests.support.road import Road, road_through
from tests.support.spool import StepClock, running, settings, store

MIB = 1024 * 1024
DISK = "24m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "fieldgate-test", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here, which takes root: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path, lines=["max_queued_messages 0"]) as running:
        yield running


def fill(disk: Path) -> Path:
    """A stranger's file that takes all that is left."""
    filler = disk / "strangers-file"
    with filler.open("ab", buffering=0) as file:
        for size in (64 * 1024, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return filler


def free_bytes(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


async def all_is_accounted_for(road: Road, fleet: Fleet) -> int:
    """When all is drained: acknowledged = received + declared gaps; how many were dropped."""
    edge = await road.gateway.until_drained()
    last = edge["streams"]["telemetry"]["next_seq"] - 1
    await road.receiver.until(
        lambda status: status["records"] + status["dropped"] == last, f"all of {last} records are accounted for"
    )
    cloud = await road.receiver.until_settled()
    assert cloud["holes"] == []
    assert cloud["set_aside"]["count"] == 0
    found = fleet.compare(road.receiver.database)
    assert found.duplicates == 0
    assert len(found.missing) <= cloud["dropped"]
    assert found.received + cloud["dropped"] >= found.acknowledged
    assert found.strangers == 0
    assert found.received == cloud["records"]
    assert set(edge["streams"]["telemetry"]["dropped"]) == {"full", "expired"}
    assert "recovery" not in edge["spool"]
    dropped: int = cloud["dropped"]
    return dropped


async def test_drop_oldest_goes_on_accepting_on_a_full_disk_by_dropping_its_oldest(
    broker: Mosquitto, disk: Path, tmp_path: Path
) -> None:
    sections = {"spool": {"max_size": "16MiB"}, "gateway": {"data_dir": str(disk / "data")}}
    async with road_through(broker, tmp_path, **sections) as road:
        road.link.cut()
        await road.start()
        rows = noisy_rows(tmp_path / "rows.csv")
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), rate_per_s=600, replay=rows) as fleet:
            await road.gateway.until_waiting(500)
            filler = fill(disk)
            status = await road.gateway.until(
                lambda status: status["streams"]["telemetry"]["dropped"]["full"] > 0, "the oldest are dropped"
            )
            before = status["streams"]["telemetry"]["accepted"]
            status = await road.gateway.until(
                lambda status: status["streams"]["telemetry"]["accepted"] >= before + 1500, "new ones are accepted"
            )
            assert road.gateway.get("/healthz")[0] == 200
            assert road.gateway.get("/readyz")[0] == 200
            filler.unlink()
            await road.gateway.until(lambda _: "has room again" in road.gateway.log, "the gateway notices the room")
            road.link.restore()
            await road.until_caught_up()
        dropped = await all_is_accounted_for(road, fleet)
        assert dropped > 0
        found = fleet.compare(road.receiver.database)
        assert found.refused == found.unacknowledged == 0
        assert found.published == found.received + dropped
        assert await road.gateway.stop() == 0


async def test_reject_refuses_on_a_full_disk_and_accepts_again_when_there_is_room(
    broker: Mosquitto, disk: Path, tmp_path: Path
) -> None:
    sections = {
        "spool": {"max_size": "16MiB", "when_full": "reject"},
        "gateway": {"data_dir": str(disk / "data")},
    }
    async with road_through(broker, tmp_path, **sections) as road:
        road.link.cut()
        await road.start()
        rows = noisy_rows(tmp_path / "rows.csv")
        how = {"rate_per_s": 600, "replay": rows, "protocol": 5, "ack_timeout_s": 3.0}
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), **how) as fleet:
            await road.gateway.until_waiting(500)
            filler = fill(disk)
            await road.gateway.until(lambda _: road.gateway.get("/readyz")[0] == 503, "the spool has no room")
            await road.gateway.until(
                lambda _: any(entry.refused for entry in fleet.ledger.entries.values()), "devices are told so"
            )
            assert road.gateway.get("/healthz")[0] == 200
            filler.unlink()
            await road.gateway.until(lambda _: road.gateway.get("/readyz")[0] == 200, "the gateway notices the room")
            before = road.gateway.stream()["accepted"]
            await road.gateway.until(
                lambda status: status["streams"]["telemetry"]["accepted"] >= before + 200, "new ones are accepted"
            )
            road.link.restore()
            await road.until_caught_up()
        assert await all_is_accounted_for(road, fleet) == 0
        found = fleet.compare(road.receiver.database)
        assert found.missing == ()
        assert {entry.refused for entry in fleet.ledger.entries.values()} == {None, 0x97}


async def test_a_backlog_drains_while_the_disk_stays_full_and_makes_room_by_that(
    broker: Mosquitto, disk: Path, tmp_path: Path
) -> None:
    sections = {
        "spool": {"max_size": "16MiB", "when_full": "reject"},
        "gateway": {"data_dir": str(disk / "data")},
    }
    async with road_through(broker, tmp_path, **sections) as road:
        road.link.cut()
        await road.start()
        rows = noisy_rows(tmp_path / "rows.csv")
        how = {"rate_per_s": 600, "replay": rows, "protocol": 5, "ack_timeout_s": 3.0}
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), **how) as fleet:
            await road.gateway.until_waiting(500)
            fill(disk)
            status = await road.gateway.until(lambda _: road.gateway.get("/readyz")[0] == 503, "the spool has no room")
            before = status["streams"]["telemetry"]["accepted"]
            road.link.restore()
            await road.gateway.until(
                lambda status: status["streams"]["telemetry"]["accepted"] >= before + 500,
                "what has left makes room for new ones",
            )
        assert await all_is_accounted_for(road, fleet) == 0
        assert fleet.compare(road.receiver.database).missing == ()


async def test_a_gateway_that_died_on_a_full_disk_starts_on_it_and_loses_nothing(
    broker: Mosquitto, disk: Path, tmp_path: Path
) -> None:
    sections = {"spool": {"max_size": "16MiB"}, "gateway": {"data_dir": str(disk / "data")}}
    async with road_through(broker, tmp_path, **sections) as road:
        road.link.cut()
        await road.start()
        rows = noisy_rows(tmp_path / "rows.csv")
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1, 2), rate_per_s=600, replay=rows) as fleet:
            await road.gateway.until_waiting(300)
            fill(disk)
            await road.gateway.until(
                lambda status: status["streams"]["telemetry"]["dropped"]["full"] > 0, "the oldest are dropped"
            )
        road.gateway.kill()
        fill(disk)
        await road.gateway.start()
        road.link.restore()
        assert await all_is_accounted_for(road, fleet) > 0
        assert await road.gateway.stop() == 0
        fill(disk)
        await road.gateway.start()
        assert await road.gateway.stop() == 0


@pytest.mark.parametrize("commits", [0, 20, 100])
async def test_the_spool_goes_on_whenever_the_disk_fills_up(disk: Path, commits: int) -> None:
    """Also when most of the backlog is in the write-ahead log alone, and the database's file is yet to grow."""
    async with running(settings(disk / "data", max_size_bytes=16 * MIB)) as spool:
        lane = spool.lanes["telemetry"]
        for _ in range(commits):
            assert await store(spool, [os.urandom(8000) for _ in range(10)]) is Outcome.DURABLE
        fill(disk)
        for _ in range(150):
            assert await store(spool, [os.urandom(8000) for _ in range(10)]) is Outcome.DURABLE
        assert lane.dropped["full"] == lane.first_seq - 1 > 0


async def test_a_damaged_database_on_a_full_disk_is_told_in_a_sentence_and_saved_once_there_is_room(
    disk: Path,
) -> None:
    of = settings(disk / "data", max_size_bytes=4 * MIB)
    async with running(of) as spool:
        assert await store(spool, [b"kept"] * 10) is Outcome.DURABLE
    (disk / "data" / "spool.damaged").touch()
    (disk / "data" / "spool.reserve").unlink()
    filler = fill(disk)
    with pytest.raises(SpoolFull, match="is damaged"):
        await Spool.open(of, clock=StepClock())
    filler.unlink()
    async with running(of) as spool:
        assert spool.salvage is not None
        assert spool.salvage.records == 10
