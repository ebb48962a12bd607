"""SIGKILL under load, with durable subscribers: whatever a publisher was told is stored comes, with QoS 2 once."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from simulators.ledger import read_ledger
from tests.support.durable_reader import DurableReader
from tests.support.edge import Edge
from tests.support.publishers import Publishers

ROUNDS = int(os.environ.get("FIELDGATE_CRASH_ROUNDS", "36"))


async def die_at_random(folder: Path, seed: int, rounds: int) -> None:
    """In each round: load, SIGKILL at a moment that the dice say, a new life; then the absent one comes back."""
    dice = random.Random(seed)
    async with (
        Edge(folder, cloud_is_up=False) as edge,
        Publishers(edge.devices, folder / "ledger.jsonl") as publishers,
    ):
        present, absent = DurableReader(edge.devices, "present"), DurableReader(edge.devices, "absent")
        readers = (present, absent)
        try:
            for reader in readers:
                await reader.come()
            await absent.leave()
            for _ in range(rounds):
                publishers.say(60)
                await publishers.have_acknowledged(publishers.acknowledged + dice.randrange(200))
                await edge.gateway.kill()
                await edge.gateway.start()
                if dice.random() < 0.3:
                    await absent.come()
                    publishers.say(5)
                    await publishers.have_acknowledged(publishers.acknowledged + 10)
                    await absent.leave()
            await publishers.finished()
            await absent.come()
            ledger = read_ledger(publishers.ledger_path)
            for reader in readers:
                await reader.has(set(ledger.entries))
                assert not reader.sessions_lost
                check(reader)
        except BaseException as error:  # raised again, with what it takes to see it again
            error.add_note(f"seed {seed}, {rounds} rounds")
            raise
        finally:
            for reader in readers:
                await reader.leave()


def check(reader: DurableReader) -> None:
    """With QoS 2 nothing came twice; what each device said on a topic came in its order, but for what came again."""
    once = [payload for _, qos, payload in reader.received if qos == 2]
    assert len(once) == len(set(once))
    by_topic: dict[tuple[str, int], dict[bytes, None]] = {}
    for topic, qos, payload in reader.received:
        by_topic.setdefault((topic, qos), {}).setdefault(payload)
    for payloads in by_topic.values():
        numbers = [int(payload.partition(b'"n":')[2].rstrip(b"}")) for payload in payloads]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_killed_under_load_durable_subscribers_get_all_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    await die_at_random(tmp_path, seed, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + ROUNDS // 6))
async def test_killed_again_and_again_durable_subscribers_get_all_that_was_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    await die_at_random(tmp_path, seed, 6)
