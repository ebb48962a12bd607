"""The plan: the same with the same seed, to the byte, and true to the scenario."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.ledger import payload_id
from simulators.scenarios.description import (
    BadKind,
    BadPayloads,
    Cause,
    Constant,
    Daily,
    Fleet,
    Flood,
    Outage,
    Phase,
    Poisson,
    QosMix,
    Scenario,
    Storm,
)
from simulators.scenarios.plan import Plan, PlanTooLarge, make_plan
from simulators.scenarios.ready import find_scenario, ready_names
from tests.support.examples import examples

ROOT = Path(__file__).parents[4]

traffic = st.one_of(
    st.builds(Constant, rate_per_s=st.floats(0.1, 30)),
    st.builds(Poisson, rate_per_s=st.floats(0.1, 30)),
    st.builds(Daily, rate_per_s=st.floats(0.1, 30), swing=st.floats(0, 1)),
    st.builds(Storm, messages=st.integers(1, 3), within_s=st.floats(0, 2)),
    st.builds(Flood, messages=st.integers(1, 30)),
)
bad_payloads = st.builds(
    BadPayloads,
    share=st.floats(0, 1),
    kinds=st.lists(st.sampled_from(BadKind), min_size=1, unique=True).map(tuple),
    huge_bytes=st.just(2000),
    oversized_bytes=st.just(3000),
)
profiles = st.sampled_from(["mixed", "climate", "binary", "vibration", "energy"])


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    fleets = tuple(
        Fleet(
            name=name,
            count=draw(st.integers(1, 8)),
            profile=draw(profiles),
            qos=draw(st.builds(QosMix, at_most_once=st.integers(0, 3), exactly_once=st.integers(0, 3))),
            bad_payloads=draw(bad_payloads),
            traffic=tuple(draw(st.lists(traffic, max_size=2))),
        )
        for name in ("a", "b")
    )
    outage = draw(st.builds(Outage, fleet=st.sampled_from("ab*"), cause=st.sampled_from(Cause), reports=st.just(2)))
    return Scenario(
        name="drawn",
        seed=draw(st.integers(0, 2**31)),
        speed=draw(st.sampled_from([1.0, 3600.0])),
        fleets=fleets,
        phases=(Phase(name="first", duration_s=2.0), Phase(name="second", duration_s=3.0, outages=(outage,))),
    )


def names(plan: Plan) -> list[str]:
    return [
        payload_id(plan.devices[message.device].client_id, message.topic, message.payload) for message in plan.messages
    ]


@settings(max_examples=examples(40), deadline=None)
@given(scenario=scenarios())
def test_the_same_seed_makes_the_same_plan_with_payloads_that_are_all_unlike(scenario: Scenario) -> None:
    plan = make_plan(scenario)
    again = make_plan(scenario)
    assert plan == again
    assert plan.digest == again.digest
    assert len(set(names(plan))) == len(plan.messages)
    assert [message.at_s for message in plan.messages] == sorted(message.at_s for message in plan.messages)
    assert all(0 <= message.at_s <= scenario.duration_s for message in plan.messages)
    assert all(message.qos == 0 for message in plan.messages if message.bad is BadKind.OVERSIZED)
    assert len({device.client_id for device in plan.devices}) == len(plan.devices)
    for message in plan.messages:
        for absence in plan.devices[message.device].absences:
            is_dark = absence.cause is Cause.POWER and absence.begins_s <= message.at_s < absence.ends_s
            assert not is_dark, "without power nobody speaks"


def test_the_ready_made_scenarios_have_the_same_schedules_in_another_process() -> None:
    code = (
        "from simulators.scenarios.plan import make_plan; from simulators.scenarios.ready import *;"
        "print(*(make_plan(find_scenario(name)).digest for name in ready_names()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.split() == [make_plan(find_scenario(name)).digest for name in ready_names()], run.stderr


def test_another_seed_makes_another_plan_of_the_same_devices() -> None:
    scenario = find_scenario("satellite")
    plan, other = make_plan(scenario, seed=1), make_plan(scenario, seed=2)
    assert plan.digest != other.digest
    assert [device.client_id for device in plan.devices] == [device.client_id for device in other.devices]


def test_a_change_of_one_fleet_does_not_move_the_others() -> None:
    first = Fleet(name="first", count=5, traffic=(Poisson(rate_per_s=20.0),))
    second = Fleet(name="second", count=5, traffic=(Poisson(rate_per_s=20.0),))
    phases = (Phase(name="only", duration_s=5.0),)
    plans = [
        make_plan(Scenario(name="x", fleets=(fleet, second), phases=phases))
        for fleet in (first, Fleet(name="first", count=5, traffic=(Constant(rate_per_s=3.0),)))
    ]
    of_second = [[message for message in plan.messages if message.device >= 5] for plan in plans]
    assert of_second[0] == of_second[1]
    assert of_second[0]


def test_who_comes_back_from_a_power_cut_reports_at_once() -> None:
    plan = make_plan(find_scenario("storm-after-a-power-cut"))
    said = Counter((message.device, message.at_s) for message in plan.messages)
    for number, device in enumerate(plan.devices):
        power, network = device.absences
        assert (power.cause, network.cause) == (Cause.POWER, Cause.NETWORK)
        assert 9.0 <= power.ends_s <= 19.0
        assert network.ends_s == 22.0
        assert said[number, power.ends_s] >= 5


def test_a_day_of_the_plan_has_its_peak_at_noon_and_its_time_stamps() -> None:
    plan = make_plan(find_scenario("a-day-in-a-plant"))
    by_hour = Counter(int(message.at_s * 2160 // 3600) for message in plan.messages)
    assert by_hour[13] > 3 * by_hour[1]
    last = plan.messages[-1].payload
    assert b'"ts":"2025-06-16T23:' in last


def test_payloads_that_do_not_fit_into_memory_are_refused_with_what_to_do() -> None:
    fleet = Fleet(
        name="bloated",
        traffic=(Constant(rate_per_s=100.0),),
        bad_payloads=BadPayloads(share=1.0, kinds=(BadKind.HUGE,), huge_bytes=16 * 2**20),
    )
    with pytest.raises(PlanTooLarge, match="lower the rates"):
        make_plan(Scenario(name="x", fleets=(fleet,), phases=(Phase(name="only", duration_s=2.0),)))
