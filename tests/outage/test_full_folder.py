"""The folder of a killed gateway on a disk that is full: what is in it is seen and rescued, and room is made."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import yaml
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from tests.outage.test_disk_full import disk, fill
from tests.support.killed_spool import BLOCK, LETTERS, RECORDS, leave
from tests.support.ports import steady_port
from tests.support.spool import running, settings

__all__ = ["disk"]  # a fixture


async def fieldgate(config: Path, *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, [*words, "-c", str(config)])


async def test_records_are_exported_and_letters_discarded_where_nothing_more_can_be_written(
    disk: Path,
    tmp_path: Path,
) -> None:
    data = disk / "data"
    leave(data)
    config = tmp_path / "gateway.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "gateway": {"id": "edge-01", "data_dir": str(data)},
                "streams": [{"name": "telemetry", "topics": ["#"]}],
                "uplinks": [{"name": "cloud", "url": "mqtt://127.0.0.1:1"}],
                "api": {"bind": f"127.0.0.1:{steady_port()}"},
            }
        )
    )
    fill(disk)
    result = await fieldgate(config, "queue", "export", "-o", str(tmp_path / "records"))
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "records").read_text().splitlines()) == RECORDS
    assert len((await fieldgate(config, "dlq", "export")).stdout.splitlines()) == LETTERS * BLOCK
    result = await fieldgate(config, "dlq", "discard", "--all", "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["letters"] == LETTERS
    async with running(settings(data)) as spool:
        assert (spool.salvage, spool.dead_letters.letters) == (None, 0)
        assert len(await spool.queue.peek("telemetry")) == RECORDS
