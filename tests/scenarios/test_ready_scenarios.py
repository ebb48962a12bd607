"""The six ready-made scenarios as a person starts them: the ledger adds up, and what they promise really happened.

They run as processes, two at a time; only those that were asked for are run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from simulators.scenarios.plan import make_plan
from simulators.scenarios.ready import READY_FOLDER, find_scenario, ready_names

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
AT_A_TIME = 2
TIMEOUT_S = 280.0

Ledger = dict[str, Any]


def about(seconds: float) -> Any:
    """A phase lasts from one wake-up of a busy machine to the next."""
    return pytest.approx(seconds, rel=0.5)


def play(*words: str) -> Ledger:
    """The ledger of one run; what it said is shown when it failed."""
    command = [sys.executable, "-m", "gateway", "simulate", "scenario", *words, "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    ledger: Ledger = json.loads(run.stdout)
    return ledger


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Ledger]]]:
    """All runs that the chosen tests of this file need, begun together."""
    chosen = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == Path(__file__) and isinstance(item, pytest.Function) and hasattr(item, "callspec")
    }
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {name: pool.submit(play, name) for name in sorted(chosen)}


def a_day(ledger: Ledger) -> None:
    by_quarter = [0, 0, 0, 0]
    plan = make_plan(find_scenario("a-day-in-a-plant"))
    for message in plan.messages:
        by_quarter[int(message.at_s // 10)] += 1
    assert by_quarter[1] > 2 * by_quarter[0], "the morning is busier than the night"
    assert by_quarter[2] > 2 * by_quarter[3], "and so is the afternoon than the evening"
    assert ledger["elapsed_s"] >= 40
    assert ledger["arrived"] >= ledger["acknowledged"] > 0.85 * ledger["planned"]
    assert ledger["uplink"]["wire_bytes"] < ledger["uplink"]["raw_bytes"] / 2


def a_storm(ledger: Ledger) -> None:
    for fleet, devices in (("meters", 120), ("controllers", 30)):
        counts = ledger["fleets"][fleet]
        assert counts["devices"] == devices
        assert counts["reconnects"] >= 2 * devices, "once after the power cut, once after the switch"
        assert counts["lost"] >= 2 * devices
    assert ledger["unsent"] == {}
    assert ledger["refused"] == 0


def a_satellite(ledger: Ledger) -> None:
    uplink = ledger["uplink"]
    assert uplink["cut_s"] == about(5)
    assert uplink["silent_s"] == about(9)
    assert uplink["connections"] >= 3, "after the cut, and after the silence"
    assert uplink["bytes_vanished"] > 0
    assert ledger["arrived"] == ledger["published"]


def a_flood(ledger: Ledger) -> None:
    mad, sensors = ledger["fleets"]["mad"], ledger["fleets"]["sensors"]
    assert mad["acknowledged"] == mad["planned"] == 10_000
    assert sensors["acknowledged"] == sensors["planned"]
    sensors_ms, mad_ms = (fleet["acknowledged_after_ms"]["median"] for fleet in (sensors, mad))
    # By how much depends on the machine: a busy one makes the sensors wait, and the mad ones no longer.
    assert sensors_ms < mad_ms, "100 of the mad ones wait for an answer, at 400 a second; the others do not"


def bad_payloads(ledger: Ledger) -> None:
    broken, bloated = ledger["fleets"]["broken"], ledger["fleets"]["bloated"]
    assert set(broken["bad"]) == {"truncated", "noise", "empty", "nested", "markup", "control"}
    assert broken["reconnects"] == 0, "no payload is a reason to close a connection"
    oversized = bloated["bad"]["oversized"]
    assert oversized > 5
    assert bloated["reconnects"] > 5, "an oversized packet is one"
    assert ledger["arrived"] == ledger["planned"] - oversized
    assert ledger["neither_acknowledged_nor_arrived"] == oversized
    assert ledger["fleets"]["good"]["reconnects"] == 0


def lying_clocks(ledger: Ledger) -> None:
    assert ledger["dropped_by_policy"] == {}, "a time to live is counted from when the gateway got a record"
    assert ledger["arrived"] == ledger["planned"]
    assert ledger["uplink"]["cut_s"] == about(6)
    stamps = [json.loads(message.payload)["ts"] for message in make_plan(find_scenario("clocks-that-lie")).messages]
    years = {stamp[:4] for stamp in stamps}
    assert {"1970", "2025"} < years


PROMISES: dict[str, Callable[[Ledger], None]] = {
    "a-day-in-a-plant": a_day,
    "a-flooding-device": a_flood,
    "bad-payloads": bad_payloads,
    "clocks-that-lie": lying_clocks,
    "satellite": a_satellite,
    "storm-after-a-power-cut": a_storm,
}


@pytest.mark.parametrize("name", ready_names())
def test_a_ready_made_scenario_keeps_its_promise_and_its_ledger_adds_up(
    name: str, runs: dict[str, Future[Ledger]]
) -> None:
    ledger = runs[name].result()
    assert ledger["adds_up"]
    assert ledger["problems"] == []
    assert ledger["missing"] == ledger["duplicates"] == ledger["undeclared"] == ledger["waiting"] == 0
    assert ledger["schedule"] == make_plan(find_scenario(name)).digest
    PROMISES[name](ledger)


def test_every_ready_made_scenario_has_a_promise() -> None:
    assert set(PROMISES) == {path.stem for path in READY_FOLDER.glob("*.yaml")}
