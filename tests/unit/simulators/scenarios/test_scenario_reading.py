"""Scenario files: what is read of them, and the sentence for every mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulators.link_model import LinkState
from simulators.scenarios.description import (
    BadKind,
    Cause,
    Daily,
    Flood,
    Poisson,
    QosMix,
    Scenario,
    Session,
    Storm,
    Weather,
)
from simulators.scenarios.reading import ScenarioError, expected_messages, parse_scenario, read_scenario
from simulators.scenarios.ready import find_scenario, ready_names

WHOLE = """\
name: whole
shows: Everything once.
seed: 7
begins_at: 2025-06-16T06:00:00+02:00
speed: 1440
fleets:
  - name: a
    count: 12
    profile: climate
    protocol: "5"
    qos: {0: 1, 2: 3}
    window: 5
    clock: {skew: 3h, drift_ppm: 50, unset: 10%, step_back: 1h}
    bad_payloads: {share: 12.5%, kinds: [noise, huge], huge: 64KiB}
    traffic:
      - {arrivals: daily, rate: 12.5, swing: 50%, peak_at: 9:30}
      - {arrivals: poisson, rate: 3}
  - {name: b, session: clean, connect_within: 0s}
phases:
  - name: one
    duration: 1m30s
    link: {delay: 280ms, jitter: 20ms, rate: 512kbit, loss: 0.5%}
    traffic: [{arrivals: flood, fleet: a, devices: 2, messages: 50}]
    outages: []
  - name: two
    duration: 20s
    link: {state: silent}
    traffic: [{arrivals: storm, fleet: "*", messages: 2, within: 10s}]
    outages: [{fleet: a, cause: network, away: 2s, within: 5s, reports: 3}]
gateway: {max_packet_size: 64KiB, time_to_live: 10s}
"""
FLEET = "fleets: [{name: a, traffic: [{arrivals: poisson, rate: 1}]}]\n"
PHASE = "phases: [{name: p, duration: 10s}]\n"


def parse(text: str) -> Scenario:
    return parse_scenario(text, source="s.yaml", name="s")


def problems(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_scenario_is_read_as_it_is_written() -> None:
    scenario = parse(WHOLE)
    assert scenario.begins_at == datetime(2025, 6, 16, 4, tzinfo=UTC)
    assert (scenario.seed, scenario.speed, scenario.duration_s) == (7, 1440.0, 110.0)
    assert scenario.phase_starts_s == (0.0, 90.0)
    a, b = scenario.fleets
    assert a.traffic == (
        Daily(rate_per_s=12.5, swing=0.5, peak_at_s=9.5 * 3600),
        Poisson(rate_per_s=3.0),
    )
    assert (a.protocol, a.qos, a.window) == (5, QosMix(at_most_once=1, at_least_once=1, exactly_once=3), 5)
    assert (a.clock.skew_s, a.clock.drift_ppm, a.clock.unset, a.clock.step_back_s) == (10_800.0, 50, 0.1, 3600.0)
    assert (a.bad_payloads.share, a.bad_payloads.kinds) == (0.125, (BadKind.NOISE, BadKind.HUGE))
    assert (b.session, b.connect_within_s, b.count) == (Session.CLEAN, 0.0, 1)
    one, two = scenario.phases
    assert one.link == Weather(delay_s=0.28, jitter_s=0.02, rate_bits_per_s=512_000.0, loss=0.005)
    assert one.traffic == (Flood(fleet="a", devices=2, messages=50),)
    assert two.link.state is LinkState.BLACK_HOLE
    assert two.traffic == (Storm(fleet="*", messages=2, within_s=10.0),)
    assert (two.outages[0].cause, two.outages[0].reports) == (Cause.NETWORK, 3)
    assert (scenario.gateway.max_packet_size_bytes, scenario.gateway.max_message_rate) == (65_536, None)
    assert expected_messages(scenario) == pytest.approx(12.5 * 1.5 * 110 + 3 * 110 + 2 * 50 + 2 * 13 + 3 * 12)


def test_a_scenario_without_a_name_has_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lunch-break.yaml"
    path.write_text(FLEET + PHASE)
    assert read_scenario(path).name == "lunch-break"


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", "s.yaml: ", "a scenario needs devices"),
        (FLEET, "s.yaml: ", "a scenario needs a time line"),
        (FLEET + PHASE + "seeds: 1\n", "s.yaml:3:1: seeds: ", "did you mean 'seed'?"),
        (FLEET + PHASE + "speed: fast\n", "s.yaml:3:8: speed: ", "a number from 0.01 to 100000"),
        (FLEET + PHASE + "begins_at: tomorrow\n", "s.yaml:3:12: begins_at: ", "a date and time such as"),
        (FLEET + PHASE + "begins_at: 1066-10-14\n", "s.yaml:3:12: begins_at: ", "between the years"),
        (FLEET + "phases: [{name: p, duration: 10}]", "s.yaml:2:30: phases[p].duration: ", "has no unit"),
        (FLEET + "phases: [{name: p, link: {rate: 9}}]", "s.yaml:2:33: phases[p].link.rate: ", "such as 512kbit"),
        (FLEET + "phases: [{name: p, link: {loss: 5}}]", "s.yaml:2:33: phases[p].link.loss: ", "a share such as 20%"),
        (FLEET + "phases: [{name: p, link: {loss: 90%}}]", "s.yaml:2:33: ", "at most 50%"),
        (FLEET + "phases: [{name: p, link: {state: off}}]", "s.yaml:2:34: ", "up, cut or silent"),
        (FLEET + "phases: [{duration: 2s}]", "s.yaml:2:10: phases[0]: ", "this phase has no name"),
        (FLEET + "phases: [{name: p}, {name: p}]", "s.yaml:2:11: phases[0].name: ", "two of these are called 'p'"),
        (
            FLEET + "phases: [{name: p, traffic: [{arrivals: poison, fleet: a}]}]",
            "s.yaml:2:41: phases[p].traffic[poison].arrivals: ",
            "did you mean 'poisson'?",
        ),
        (
            FLEET + "phases: [{name: p, traffic: [{arrivals: poisson, fleet: b}]}]",
            "s.yaml:2:50: phases[p].traffic[poisson].fleet: ",
            "there is no fleet 'b'; write one of 'a', or '*'",
        ),
        (
            FLEET + "phases: [{name: p, traffic: [{arrivals: flood, fleet: a, devices: 5}]}]",
            "s.yaml:2:58: phases[p].traffic[flood].devices: ",
            "5 devices can't flood where a fleet has fewer",
        ),
        (
            FLEET + "phases: [{name: p, duration: 5s, traffic: [{arrivals: storm, fleet: a, within: 9s}]}]",
            "s.yaml:2:72: ",
            "a storm of 9s does not fit into 5s",
        ),
        (
            FLEET + "phases: [{name: p, duration: 1s}, {name: q, duration: 5s, outages: [{fleet: a, away: 9s}]}]",
            "s.yaml:2:69: phases[q].outages[a]: ",
            "they would be back 4s after the last phase",
        ),
        (
            FLEET + "phases: [{name: p, outages: [{fleet: a}]}]",
            "s.yaml:2:30: phases[p].outages[a]: ",
            "a is not all there yet when this begins",
        ),
        (
            "fleets: [{name: a, session: clean, qos: {2: 1}, traffic: [{arrivals: poisson}]}]\n" + PHASE,
            "s.yaml:1:20: fleets[a].session: ",
            "QoS 2 needs a session that outlives the connection",
        ),
        (
            "fleets: [{name: a, qos: {1: 0}, traffic: [{arrivals: poisson}]}]\n" + PHASE,
            "s.yaml:1:20: fleets[a].qos: ",
            "all weights are 0",
        ),
        ("fleets: [{name: a}]\n" + PHASE, "s.yaml:1:1: fleets: ", "nobody says anything"),
        (
            "fleets: [{name: a, traffic: [{arrivals: poisson, rate: 9000}]}]\nphases: [{name: p, duration: 60s}]\n",
            "s.yaml:1:1: fleets: ",
            "about 540000 messages are too many",
        ),
        (
            "fleets: [{name: a, count: 900}, {name: b, count: 900}]\n" + PHASE,
            "s.yaml:1:1: fleets: ",
            "1800 devices together",
        ),
        (
            FLEET + "phases: [{name: p, duration: 50m}, {name: q, duration: 50m}]",
            "s.yaml:2:1: ",
            "a scenario at most 1h",
        ),
        ("fleets: [{name: a, traffic: [{arrivals: daily, peak_at: 25h}]}]\n" + PHASE, "s.yaml:1:57: ", "such as 14:00"),
        ("fleets: [{name: A b}]\n" + PHASE, "s.yaml:1:17: ", "a name of up to 32 small letters"),
        (FLEET + PHASE + 'shows: "\\e[2J"\n', "s.yaml:3:8: shows: ", "one line of at most 120 characters"),
        ("fleets: [", "s.yaml:1:10: ", "this is not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(text: str, place: str, says: str) -> None:
    found = problems(text)
    assert any(line.startswith(place) and says in line for line in found), found


def test_all_mistakes_are_told_at_once() -> None:
    found = problems("seed: x\n" + FLEET.replace("rate: 1", "rate: -1") + "phases: [{name: p, duration: 1, link: no}]")
    assert [line.split(": ")[0] for line in found] == ["s.yaml:1:7", "s.yaml:2:56", "s.yaml:3:30", "s.yaml:3:33"]


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="can't be read: No such file"):
        read_scenario(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        read_scenario(tmp_path / "bytes.yaml")


def test_a_slip_in_the_name_of_a_ready_made_one_is_answered_with_the_right_name() -> None:
    with pytest.raises(ScenarioError, match="did you mean 'satellite'"):
        find_scenario("satelite")


@pytest.mark.parametrize("name", ready_names())
def test_a_ready_made_scenario_is_small_enough_for_a_laptop(name: str) -> None:
    scenario = find_scenario(name)
    assert scenario.name == name
    assert scenario.shows
    assert scenario.duration_s < 60
    assert sum(fleet.count for fleet in scenario.fleets) < 200


def test_there_are_six_ready_made_scenarios() -> None:
    assert len(ready_names()) == 6
