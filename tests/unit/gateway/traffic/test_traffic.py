from __future__ import annotations

import random
from itertools import cycle

import pytest

from gateway.traffic.budget import PER_S
from gateway.traffic.traffic import Traffic

SECOND_US = 1_000_000


class Clock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000

    def now_us(self) -> int:
        return self.us

    def monotonic_s(self) -> float:
        return self.us / 1e6


class Plant:
    """Clients that publish to what is looked at."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = Clock()
        self.traffic = Traffic(self.clock, random.Random(seed).random)

    def publish(self, client: str, *topics: str) -> None:
        raw = [topic.encode() for topic in topics]
        self.traffic.saw(client, self.clock.us, raw, [b"x"] * len(raw), b"\2" * len(raw))

    def load(self, per_s: int, seconds: float, clients: int = 20, run: int = 1) -> None:
        """A fleet takes turns."""
        names = cycle([f"device-{i}" for i in range(clients)])
        start_us = self.clock.us
        runs = int(per_s * seconds / run)
        for i in range(runs):
            self.clock.us = start_us + int(i * seconds * SECOND_US / runs)
            name = next(names)
            self.publish(name, *[f"plant/{name}"] * run)
        self.clock.us = start_us + int(seconds * SECOND_US)

    def messages(self) -> dict[str, int]:
        return {each.name: each.messages for each in self.traffic.children("plant/").branches}


def test_within_the_budget_everything_is_looked_at() -> None:
    plant = Plant()
    plant.load(2000, 5)
    assert plant.messages() == {f"device-{i}": 500 for i in range(20)}
    assert plant.traffic.sampled == 1.0
    assert len(plant.traffic.recent(client="device-3", limit=50)) == 50


@pytest.mark.parametrize(("per_s", "run"), [(30_000, 1), (200_000, 500)])
def test_beyond_it_a_part_is_looked_at_and_counts_are_about_right_for_every_client(per_s: int, run: int) -> None:
    plant = Plant()
    plant.load(per_s, 4, run=run)
    sampled = plant.traffic.sampled
    assert sampled < 1.5 * PER_S / per_s
    found = plant.messages()
    assert len(found) == 20
    assert sum(found.values()) == pytest.approx(per_s * 4, rel=0.15)
    for count in found.values():
        assert count == pytest.approx(per_s * 4 / 20, rel=0.6)


def test_a_burst_costs_no_more_than_the_budget_and_a_little() -> None:
    plant = Plant()
    for i in range(100_000):
        plant.clock.us += i % 2  # a tenth of a second in all
        plant.publish("d", "burst")
    plant.clock.us += 30 * SECOND_US
    plant.publish("d", "quiet")
    assert plant.traffic.topic("burst") is not None
    looked = len(plant.traffic.recent(topic="burst", limit=100_000))
    assert looked < PER_S


def test_after_a_storm_everything_is_looked_at_again() -> None:
    plant = Plant()
    plant.load(50_000, 1)
    plant.clock.us += SECOND_US
    for i in range(10):
        plant.clock.us += SECOND_US // 10
        plant.publish("late", f"late/{i}")
    assert len(plant.traffic.recent(client="late")) == 10


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    plant = Plant()
    plant.load(50_000, 1)
    plant.clock.us -= 3600 * SECOND_US
    for i in range(200):
        plant.clock.us += 1000
        plant.publish("d", f"after/{i}")
    assert len(plant.traffic.recent(client="d", limit=1000)) > 100


def test_a_client_with_a_very_long_name_is_only_counted() -> None:
    plant = Plant()
    plant.publish("x" * 60_000, "a")
    assert plant.traffic.topic("a") is None
    assert plant.traffic.recent(topic="a") == []


def test_where_nothing_flows_nothing_was_missed() -> None:
    assert Plant().traffic.sampled == 1.0
