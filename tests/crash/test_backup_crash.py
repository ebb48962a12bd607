"""A box that is lost, and its backup on another one: what was in it arrives, and nothing new is taken for a copy."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from simulators.comparison import compare
from simulators.ledger import Ledger
from tests.support.fleet import Fleet, publishing
from tests.support.mosquitto import Mosquitto
from tests.support.road import Road, road_through
from tests.support.site import until


async def fieldgate(*arguments: str) -> dict[str, Any]:
    """Run a command that prints JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, "--json",
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(output)
    return answer


async def accepted(road: Road, records: int) -> None:
    await road.gateway.until(
        lambda status: status["streams"]["telemetry"]["accepted"] >= records, f"{records} records were accepted"
    )


def promised(fleet: Fleet) -> Ledger:
    """What the gateway has answered for up to now."""
    return Ledger(entries={name: entry for name, entry in fleet.ledger.entries.items() if entry.promised})


async def test_a_backup_made_under_load_brings_everything_back_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    archive, config = tmp_path / "edge-01.tar.gz", str(tmp_path / "edge" / "run.yaml")
    async with Mosquitto(tmp_path) as broker, road_through(broker, tmp_path) as road:
        await road.start()
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1,), name="first") as first:
            await road.receiver.until_received(100)
            road.link.cut()
            await road.gateway.until_waiting(200)
            before = promised(first)
            made = await fieldgate("backup", "-c", config, str(archive))
            now = road.gateway.stream()["accepted"]
            await accepted(road, now + 50)
            road.link.restore()  # what comes after the backup is delivered, too: the receiver knows its numbers
            await road.receiver.until_received(now + 25)
        assert made["records"] >= 200
        road.gateway.kill()
        shutil.rmtree(road.gateway.data_dir)
        restored = await fieldgate("restore", "-c", config, str(archive), "--yes")
        assert restored["records"] == made["records"]
        assert restored["set_aside"] is None
        assert "sent again" in restored["message"]
        await road.gateway.start()
        async with publishing(road.gateway.endpoint, tmp_path, qos=(1,), name="second") as second:
            await accepted(road, 200)
        await road.gateway.until_drained()
        # The broker has all of it by now; the receiver, whose count goes on over the restore, may not.
        await until(lambda: not second.compare(road.receiver.database).missing, "all that was published since arrives")
        cloud = await road.receiver.until_settled()
        assert compare(before, road.receiver.database).missing == ()
        found = second.compare(road.receiver.database)
        assert (found.missing, found.duplicates) == ((), 0)
        assert found.received == found.published > 100
        assert cloud["holes"] == []
        assert cloud["gaps"] == []
        assert cloud["set_aside"]["count"] == 0
        assert await road.gateway.stop() == 0
