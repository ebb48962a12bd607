"""SIGHUP and `fieldgate reload` under load: the configuration changes, and the ledger adds up."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.support.edge import Edge
from tests.support.proof import prove
from tests.support.publishers import Publishers

_ROOT = Path(__file__).parents[2]


async def fieldgate_reload(edge: Edge, *options: str) -> tuple[int, str, str]:
    """The command; its exit code and what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIELDGATE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "reload", "-c", str(edge.gateway.file), *options),
        env=environment | {"PYTHONPATH": str(_ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_changed_under_load_the_gateway_loses_no_connection_and_no_record(tmp_path: Path) -> None:
    async with (
        Edge(tmp_path) as edge,
        Publishers(edge.devices, tmp_path / "ledger.jsonl") as devices,
    ):
        first = edge.gateway.configuration
        devices.say(600)
        await devices.have_acknowledged(100)
        for window in (1, 50):
            await edge.gateway.reload(
                first.replace("window: 5", f"window: {window}").replace(
                    "streams:\n", 'streams:\n  - {name: extra, topics: ["extra/#"]}\n'
                )
                + "log: {level: debug}\nsessions: {max_subscriptions: 7}\n"
            )
        await edge.gateway.reload("nonsense")
        code, _, problems = await fieldgate_reload(edge)
        assert (code, "nonsense" in problems or "gateway.yaml" in problems) == (78, True)
        edge.gateway.file.write_text(first.replace("window: 5", "window: 9").replace("edge-01", "edge-02"))
        code, out, problems = await fieldgate_reload(edge, "--api", edge.api_url, "--json")
        assert (code, problems) == (0, "")
        report = json.loads(out)
        assert "uplinks[cloud].window" in report["applied"]
        assert set(report["waiting_for_restart"]) == {"gateway.id", "streams[extra]"}
        edge.gateway.file.write_text(first)
        _, out, _ = await fieldgate_reload(edge)
        assert "streams[extra]: taken out  (waits for a restart)" in out
        await devices.finished()
        log = edge.gateway.log_text()
        assert log.count("Reloaded (SIGHUP)") == 2
        assert log.count("Nothing was changed (SIGHUP)") == 1
        assert "Traceback" not in log
        comparison, receiver = await prove(edge, devices)
    assert comparison.resent == 0
    assert receiver["duplicates"] == 0
