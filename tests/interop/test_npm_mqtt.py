"""The package `mqtt` of npm as a publisher; fetched when the test runs, never kept here."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from tests.interop.conftest import Edge

TIMEOUT_S = 60.0
SCRIPT = Path(__file__).with_name("publish.cjs")


@pytest.mark.parametrize("level", [4, 5])
async def test_publishes_of_npms_mqtt_arrive_with_what_they_carry(edge: Edge, modules: Path, level: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), str(edge.port), str(level)),
        env={"NODE_PATH": str(modules), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert out.decode().strip() == "acknowledged 90"
    lines = await edge.received(91)
    for n, line in enumerate(sorted(lines[:-1], key=lambda line: int(line["payload"]))):
        assert (line["client"], line["topic"]) == ("npm", f"plant/{n % 3}")
        assert (line["qos"], line["retain"], line["payload"]) == (n % 3, n % 2 == 0, f"{n}")
        if level == 5:
            assert line["properties"]["user_property"] == [["unit", "K"]]
            assert line["properties"]["content_type"] == "text/plain"
            assert base64.b64decode(line["properties"]["correlation_data_base64"]) == b"\x01\x02"
        else:
            assert "properties" not in line
    assert (lines[-1]["topic"], lines[-1]["payload"]) == ("state/npm", "gone")
