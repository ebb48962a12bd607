"""SIGKILL at named points and at any moment, gateway and receiver: what was acknowledged arrives, once, in order."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.support.edge import Daemon, Edge
from tests.support.proof import prove
from tests.support.publishers import Publishers

ROUNDS = int(os.environ.get("FIELDGATE_CRASH_ROUNDS", "36"))
"""Kills at random moments in the slow suite, shared out among the victims."""
VICTIMS = ("gateway", "receiver", "both")
AT_ONCE = 6
"""Rounds on the same data."""

GATEWAY_POINTS = ("gateway.before_commit", "gateway.after_commit", "gateway.after_send", "gateway.after_release")
RECEIVER_POINTS = ("receiver.before_sink_commit", "receiver.after_sink_commit")


async def load_until_dead(devices: Publishers, victim: Daemon) -> None:
    """Have the devices say more and more until the victim has reached its point."""
    dying = asyncio.create_task(victim.died())
    while not dying.done():
        devices.say(50)
        spoken = asyncio.create_task(devices.finished())
        await asyncio.wait({dying, spoken}, return_when=asyncio.FIRST_COMPLETED)
        if spoken.done():
            spoken.result()
        spoken.cancel()
        await asyncio.gather(spoken, return_exceptions=True)
    dying.result()


async def die_at(folder: Path, point: str, qos: tuple[int, ...], lives: tuple[int, ...]) -> None:
    """Die once in each life, the Nth time the point is reached; one more life finishes."""
    is_receiver = point.startswith("receiver.")
    crash_at = {"receiver_crash_at" if is_receiver else "gateway_crash_at": f"{point}:{lives[0]}"}
    async with Edge(folder, **crash_at) as edge, Publishers(edge.devices, folder / "ledger.jsonl", qos=qos) as devices:
        victim = edge.receiver if is_receiver else edge.gateway
        await load_until_dead(devices, victim)
        for times in lives[1:]:
            await victim.launch(crash_at=f"{point}:{times}")
            await load_until_dead(devices, victim)
        await victim.start()
        await edge.gateway_status()
        comparison, receiver = await prove(edge, devices)
    # The points are what their names say.
    if point == "gateway.after_commit" and qos == (1,):
        assert comparison.resent > 0, "devices repeated what was on disk, because its PUBACK was swallowed"
    if point == "gateway.after_send":
        assert receiver["duplicates"] > 0, "what was sent before the crash was sent again, and dropped"


@pytest.mark.parametrize("point", [*GATEWAY_POINTS, *RECEIVER_POINTS])
async def test_killed_at_a_named_point_everything_acknowledged_arrives_once(tmp_path: Path, point: str) -> None:
    await die_at(tmp_path, point, (1, 2), (6,))


@pytest.mark.slow
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("point", [*GATEWAY_POINTS, *RECEIVER_POINTS])
async def test_killed_at_a_named_point_life_after_life_everything_acknowledged_arrives_once(
    tmp_path: Path, point: str, qos: int
) -> None:
    await die_at(tmp_path, point, (qos,), (3, 1, 2, 5))


async def die_at_random(folder: Path, victims: str, seed: int, rounds: int) -> None:
    """In each round: load, SIGKILL after a number of acknowledgements that the dice say, a new life, the proof."""
    dice = random.Random(seed)
    each = 100
    async with Edge(folder) as edge, Publishers(edge.devices, folder / "ledger.jsonl") as publishers:
        for number in range(rounds):
            publishers.say(each)
            moment = publishers.acknowledged + dice.randrange(4 * each)
            await publishers.have_acknowledged(moment)
            if victims != "receiver":
                await edge.gateway.kill()
                await edge.gateway.launch()
            if victims != "gateway":
                await edge.receiver.kill()
                await edge.receiver.launch()
            await edge.gateway.ready()
            await edge.receiver.ready()
            try:
                await edge.gateway_status()
                await prove(edge, publishers)
            except BaseException as error:  # raised again, with what it takes to see it again
                error.add_note(f"seed {seed}, round {number}, {victims} killed after {moment} acknowledgements")
                raise


@pytest.mark.parametrize(("victims", "seed"), [pytest.param("gateway", 1, marks=pytest.mark.slow), ("both", 3)])
async def test_killed_at_any_moment_under_load_everything_acknowledged_arrives_once(
    tmp_path: Path, victims: str, seed: int
) -> None:
    await die_at_random(tmp_path, victims, seed, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victims", "begin"),
    [(VICTIMS[begin // AT_ONCE % len(VICTIMS)], begin) for begin in range(0, ROUNDS, AT_ONCE)],
)
async def test_killed_at_any_moment_under_load_again_and_again_everything_acknowledged_arrives_once(
    tmp_path: Path, victims: str, begin: int
) -> None:
    await die_at_random(tmp_path, victims, 1000 + begin, min(AT_ONCE, ROUNDS - begin))
