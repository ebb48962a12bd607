"""SIGTERM under load: the gateway stops in order, in time, and nothing is lost or doubled by it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.edge import Edge
from tests.support.proof import prove
from tests.support.publishers import Publishers

GRACE_S = 20.0
"""What is up to the machine takes a part of that, also where it is busy."""
CLOSING_S = 8.0
"""Beside the grace period: connections that do not close by themselves, and the end of the process."""


async def stop_in_time(edge: Edge) -> float:
    """SIGTERM; returns how long it took."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    assert await edge.gateway.terminate() == 0
    log = edge.gateway.log_text()
    assert log.index("Stopping.") < log.rindex("Stopped.")
    assert "Traceback" not in log
    return loop.time() - began_s


@pytest.mark.parametrize("protocol", ["5", pytest.param("3.1.1", marks=pytest.mark.slow)])
async def test_stopped_under_load_it_ends_in_order_and_nothing_is_lost_or_said_twice(
    tmp_path: Path, protocol: str
) -> None:
    async with (
        Edge(tmp_path, protocol=protocol, grace_s=GRACE_S) as edge,
        Publishers(edge.devices, tmp_path / "ledger.jsonl") as devices,
    ):
        devices.say(400)
        await devices.have_acknowledged(300)
        assert await stop_in_time(edge) < GRACE_S
        await edge.gateway.start()
        comparison, receiver = await prove(edge, devices)
    # What was read was committed and acknowledged, and what was sent was released: no life repeats the one before it.
    assert comparison.resent == 0
    assert receiver["duplicates"] == 0


@pytest.mark.slow
async def test_stopped_under_load_with_the_cloud_away_it_ends_in_time_and_the_backlog_arrives_later(
    tmp_path: Path,
) -> None:
    async with (
        Edge(tmp_path, cloud_is_up=False, grace_s=GRACE_S) as edge,
        Publishers(edge.devices, tmp_path / "ledger.jsonl") as devices,
    ):
        devices.say(200)
        await devices.have_acknowledged(300)
        assert await stop_in_time(edge) < GRACE_S
        await edge.gateway.start()
        await devices.finished()
        await edge.start_cloud()
        comparison, receiver = await prove(edge, devices)
    assert (comparison.resent, receiver["duplicates"]) == (0, 0)


@pytest.mark.slow
async def test_stopped_while_the_cloud_is_silent_it_waits_no_longer_than_the_grace_period_and_sends_again(
    tmp_path: Path,
) -> None:
    grace_s = 1.0
    async with (
        Edge(tmp_path, grace_s=grace_s) as edge,
        Publishers(edge.devices, tmp_path / "ledger.jsonl") as devices,
    ):
        devices.say(50)
        await devices.finished()
        await edge.settled()
        edge.cloud.freeze()
        devices.say(50)
        await devices.finished()
        assert await stop_in_time(edge) < grace_s + CLOSING_S
        edge.cloud.thaw()
        await edge.gateway.start()
        comparison, _ = await prove(edge, devices)
    assert comparison.resent == 0
