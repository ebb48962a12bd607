"""A scenario file to a `Scenario`: every mistake is found in one go, each with its line.

The machinery is the configuration's own (`config.reading`), so that durations, sizes and sentences are the same.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from config.errors import ConfigError, Place, Problem
from config.findings import Findings
from config.reading import Reader
from config.yaml_nodes import compose
from simulators.scenarios.description import (
    EVERY_FLEET,
    MAX_DEVICES,
    MAX_DURATION_S,
    MAX_MESSAGES,
    AnyTraffic,
    Constant,
    Daily,
    Fleet,
    Flood,
    Poisson,
    Scenario,
    Session,
    Storm,
)
from simulators.scenarios.keys import SCENARIO
from simulators.scenarios.kinds import shown_duration


class ScenarioError(Exception):
    """The scenario can't be used; the text names every mistake by file and line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        head = "1 problem in the scenario:" if len(problems) == 1 else f"{len(problems)} problems in the scenario:"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in problems)]))


def read_scenario(path: Path) -> Scenario:
    """The scenario of a file. Raises ScenarioError with all that is wrong, also when the file can't be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, "this is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise _unreadable(path, f"this file can't be read: {error.strerror}") from error
    return parse_scenario(text, source=str(path), name=path.stem)


def parse_scenario(text: str, *, source: str, name: str) -> Scenario:
    """The scenario of a text; `source` is how its problems name it, `name` its own where none is written."""
    try:
        root = compose(text, source, str)
        reader = Reader(Place(source=source), [], homes_of=_homes)
        scenario: Scenario = reader.section(SCENARIO, root, None, Scenario(name=name), "")
        _Check(scenario, Findings(reader, Place(source=source))).run()
        if reader.problems:
            raise ConfigError(reader.problems)
    except ConfigError as error:
        raise ScenarioError(error.problems) from error
    return scenario


def _homes(name: str) -> list[str]:
    """A key is only ever missed where it stands: scenarios are small enough to be read whole."""
    del name
    return []


def _unreadable(path: Path, sentence: str) -> ScenarioError:
    return ScenarioError((Problem.at(Place(source=str(path)), "", sentence),))


class _Check:
    """The rules between keys."""

    def __init__(self, scenario: Scenario, findings: Findings) -> None:
        self._scenario = scenario
        self._findings = findings

    def run(self) -> None:
        scenario, report = self._scenario, self._findings.report
        if not scenario.fleets and self._findings.sound("fleets"):
            report("fleets", "a scenario needs devices; write fleets: [{name: sensors, count: 10, traffic: [...]}]")
        if not scenario.phases and self._findings.sound("phases"):
            report("phases", "a scenario needs a time line; write phases: [{name: all-is-well, duration: 30s}]")
        if not self._findings.sound("fleets", "phases"):
            return
        for group, noun in (("fleets", "fleet"), ("phases", "phase")):
            names = [item.name for item in getattr(scenario, group)]
            for label, name in zip(self._findings.labels(group), names, strict=True):
                if not name:
                    report(f"{group}[{label}]", f"this {noun} has no name; write name: and a word")
                elif Counter(names)[name] > 1:
                    report(f"{group}[{label}].name", f"two of these are called {name!r}; give each a name of its own")
        self._sizes()
        for label, fleet in zip(self._findings.labels("fleets"), scenario.fleets, strict=True):
            self._fleet(fleet, f"fleets[{label}]")
        if scenario.phases:
            self._phases()

    def _sizes(self) -> None:
        scenario, report = self._scenario, self._findings.report
        devices = sum(fleet.count for fleet in scenario.fleets)
        if devices > MAX_DEVICES:
            report("fleets", f"these fleets have {devices} devices together; a scenario has at most {MAX_DEVICES}")
        if scenario.duration_s > MAX_DURATION_S:
            longest = shown_duration(MAX_DURATION_S)
            report("phases", f"the phases last {shown_duration(scenario.duration_s)}; a scenario at most {longest}")
        expected = expected_messages(scenario)
        if expected > MAX_MESSAGES:
            report(
                "fleets",
                f"about {expected:.0f} messages are too many; a scenario has at most {MAX_MESSAGES}: lower the rates",
            )
        elif not expected and scenario.fleets and scenario.phases:
            report("fleets", "nobody says anything; write traffic: [{arrivals: poisson, rate: 50}] for a fleet")

    def _fleet(self, fleet: Fleet, key: str) -> None:
        report = self._findings.report
        if not any(fleet.qos.weights):
            report(f"{key}.qos", "all weights are 0; give at least one level of QoS a weight")
        if fleet.session is Session.CLEAN and fleet.qos.exactly_once:
            sentence = "QoS 2 needs a session that outlives the connection, or a message could arrive twice"
            report(f"{key}.session", f"{sentence}; write session: lasting, or no QoS 2")
        if fleet.connect_within_s > self._scenario.duration_s > 0:
            report(f"{key}.connect_within", "this is longer than all phases together")
        self._traffic(fleet.traffic, f"{key}.traffic", (fleet,), self._scenario.duration_s)

    def _traffic(self, items: tuple[AnyTraffic, ...], key: str, fleets: tuple[Fleet, ...], room_s: float) -> None:
        for label, item in zip(self._findings.labels(key), items, strict=True):
            if isinstance(item, Flood) and fleets and item.devices > min(fleet.count for fleet in fleets):
                sentence = f"{item.devices} devices can't flood where a fleet has fewer"
                self._findings.report(f"{key}[{label}].devices", sentence)
            if isinstance(item, Storm) and item.within_s > room_s:
                sentence = f"a storm of {shown_duration(item.within_s)} does not fit into {shown_duration(room_s)}"
                self._findings.report(f"{key}[{label}].within", sentence)

    def _phases(self) -> None:
        scenario = self._scenario
        busy_until_s: dict[str, float] = {}
        rows = zip(self._findings.labels("phases"), scenario.phases, scenario.phase_starts_s, strict=True)
        for label, phase, start_s in rows:
            key = f"phases[{label}]"
            for number, item in zip(self._findings.labels(f"{key}.traffic"), phase.traffic, strict=True):
                self._known(item.fleet, f"{key}.traffic[{number}]")
            members = {item.fleet: self._named(item.fleet) for item in phase.traffic}
            self._traffic(
                phase.traffic, f"{key}.traffic", tuple(f for found in members.values() for f in found), phase.duration_s
            )
            for number, outage in zip(self._findings.labels(f"{key}.outages"), phase.outages, strict=True):
                at = f"{key}.outages[{number}]"
                if not self._known(outage.fleet, at):
                    continue
                end_s = start_s + outage.away_s + outage.within_s
                if end_s > scenario.duration_s:
                    self._findings.report(
                        at, f"they would be back {shown_duration(end_s - scenario.duration_s)} after the last phase"
                    )
                for fleet in self._named(outage.fleet):
                    if start_s < busy_until_s.get(fleet.name, fleet.connect_within_s):
                        sentence = f"{fleet.name} is not all there yet when this begins"
                        self._findings.report(at, f"{sentence}; begin it later, or let them come sooner before it")
                    busy_until_s[fleet.name] = max(end_s, busy_until_s.get(fleet.name, 0.0))

    def _named(self, name: str) -> tuple[Fleet, ...]:
        return tuple(fleet for fleet in self._scenario.fleets if name in (EVERY_FLEET, fleet.name))

    def _known(self, name: str, key: str) -> bool:
        if self._named(name):
            return True
        choice = ", ".join(repr(fleet.name) for fleet in self._scenario.fleets)
        self._findings.report(f"{key}.fleet", f"there is no fleet {name!r}; write one of {choice}, or '{EVERY_FLEET}'")
        return False


def expected_messages(scenario: Scenario) -> float:
    """How many messages a scenario has in the mean; outages left out of account."""
    total = 0.0
    for fleet in scenario.fleets:
        total += sum(_expected(item, fleet, scenario.duration_s) for item in fleet.traffic)
        for phase in scenario.phases:
            mine = (item for item in phase.traffic if item.fleet in (EVERY_FLEET, fleet.name))
            total += sum(_expected(item, fleet, phase.duration_s) for item in mine)
            total += sum(o.reports * fleet.count for o in phase.outages if o.fleet in (EVERY_FLEET, fleet.name))
    return total


def _expected(item: AnyTraffic, fleet: Fleet, duration_s: float) -> float:
    match item:
        case Constant() | Poisson():
            return item.rate_per_s * duration_s
        case Daily():
            return item.rate_per_s * duration_s * (1 + item.swing)  # at most: it may be a stretch around the peak
        case Storm():
            return item.messages * fleet.count
        case Flood():
            return item.messages * item.devices
