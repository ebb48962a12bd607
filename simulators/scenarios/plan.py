"""A scenario and a seed to all that will be done: devices, when they are there, and every message with its time.

Pure, and complete before anything runs: the same scenario and seed give the same plan on every machine, to the byte of
its payloads, and its digest says so. What the gateway makes of it (which message meets a closed connection, which one
is repeated) is not part of the plan; it is what a run is for.

Each use of chance has a generator of its own, named by what it is for, so that a change of one fleet or one key does
not move the others.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from simulators.profiles import SimulatedDevice, make_device
from simulators.scenarios import arrivals
from simulators.scenarios.clocks import DeviceClock, device_clock
from simulators.scenarios.description import (
    EVERY_FLEET,
    MAX_PAYLOAD_BYTES,
    AnyTraffic,
    BadKind,
    Cause,
    Constant,
    Daily,
    Fleet,
    Flood,
    Poisson,
    Scenario,
    Storm,
)
from simulators.scenarios.payloads import spoil

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PlanTooLarge(Exception):
    """The scenario's payloads would not fit into memory; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A device is away from `begins_s` until `ends_s`."""

    begins_s: float
    ends_s: float
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDevice:
    """One device; `fleet` is its fleet's place in the scenario."""

    client_id: str
    fleet: int
    connects_at_s: float
    absences: tuple[Absence, ...]
    clock: DeviceClock


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMessage:
    """One message: when, and which device says what."""

    at_s: float
    device: int
    topic: str
    payload: bytes
    qos: int
    bad: BadKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that will be done; messages by time."""

    scenario: Scenario
    seed: int
    devices: tuple[PlannedDevice, ...]
    messages: tuple[PlannedMessage, ...]

    def lines(self) -> Iterator[str]:
        """The plan as JSON lines: first the devices, then the messages; payloads by their SHA-256."""
        for device in self.devices:
            yield _line(
                client=device.client_id,
                connects_at_s=device.connects_at_s,
                absences=[[absence.begins_s, absence.ends_s, absence.cause.value] for absence in device.absences],
            )
        for message in self.messages:
            yield _line(
                at_s=message.at_s,
                client=self.devices[message.device].client_id,
                topic=message.topic,
                qos=message.qos,
                bad=None if message.bad is None else message.bad.value,
                size_bytes=len(message.payload),
                sha256=hashlib.sha256(message.payload).hexdigest(),
            )

    @property
    def digest(self) -> str:
        """16 hexadecimal digits: the begin of the SHA-256 of `lines`."""
        whole = hashlib.sha256()
        for line in self.lines():
            whole.update(line.encode() + b"\n")
        return whole.hexdigest()[:16]


def make_plan(scenario: Scenario, *, seed: int | None = None) -> Plan:
    """The plan of a scenario, with its own seed or another. Raises PlanTooLarge."""
    return _Planner(scenario, scenario.seed if seed is None else seed).plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mention:
    """A moment at which a device says something."""

    at_s: float
    device: int


class _Planner:
    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._begins_us = round((scenario.begins_at - _EPOCH).total_seconds() * 1e6)
        self._devices: list[PlannedDevice] = []
        self._speakers: list[SimulatedDevice] = []
        self._mentions: list[_Mention] = []

    def plan(self) -> Plan:
        for number, fleet in enumerate(self._scenario.fleets):
            members = self._muster(number, fleet)
            self._speak(fleet, members)
        ordered = sorted(self._mentions, key=lambda mention: mention.at_s)  # stable: ties by fleet and source
        return Plan(
            scenario=self._scenario,
            seed=self._seed,
            devices=tuple(self._devices),
            messages=tuple(self._messages(ordered)),
        )

    def _chance(self, *what: object) -> random.Random:
        return random.Random("/".join(str(part) for part in (self._seed, *what)))

    # Who is there, and when.

    def _muster(self, number: int, fleet: Fleet) -> range:
        """The devices of a fleet; their numbers go on through all fleets, so that no topic is shared."""
        first = len(self._devices)
        chance = self._chance(fleet.name, "connect")
        connects = arrivals.storm(fleet.count, fleet.connect_within_s, chance)
        chance.shuffle(connects)
        absences = self._absences(fleet)
        whole_us = round(self._scenario.duration_s * self._scenario.speed * 1e6)
        for at in range(fleet.count):
            speaker = make_device(fleet.profile, first + at + 1, seed=self._seed)
            self._speakers.append(speaker)
            client_id = f"{fleet.name}-{speaker.client}"
            self._devices.append(
                PlannedDevice(
                    client_id=client_id,
                    fleet=number,
                    connects_at_s=_rounded(connects[at]),
                    absences=tuple(row[at] for row in absences),
                    clock=device_clock(fleet.clock, whole_us, self._chance(client_id, "clock")),
                )
            )
        return range(first, first + fleet.count)

    def _absences(self, fleet: Fleet) -> list[list[Absence]]:
        """One row an outage, in it one absence a device."""
        rows = []
        for phase, start_s in zip(self._scenario.phases, self._scenario.phase_starts_s, strict=True):
            for outage in phase.outages:
                if outage.fleet in (EVERY_FLEET, fleet.name):
                    chance = self._chance(fleet.name, "return", phase.name)
                    back = arrivals.storm(fleet.count, outage.within_s, chance)
                    chance.shuffle(back)
                    rows.append(
                        [
                            Absence(
                                begins_s=_rounded(start_s),
                                ends_s=_rounded(start_s + outage.away_s + delay_s),
                                cause=outage.cause,
                            )
                            for delay_s in back
                        ]
                    )
        return rows

    # What they say, and when.

    def _speak(self, fleet: Fleet, members: range) -> None:
        scenario = self._scenario
        for number, traffic in enumerate(fleet.traffic):
            self._add(traffic, fleet, members, 0.0, scenario.duration_s, f"traffic {number}")
        for phase, start_s in zip(scenario.phases, scenario.phase_starts_s, strict=True):
            for number, traffic in enumerate(phase.traffic):
                if traffic.fleet in (EVERY_FLEET, fleet.name):
                    self._add(traffic, fleet, members, start_s, phase.duration_s, f"{phase.name} {number}")
            for outage in phase.outages:
                if outage.reports and outage.fleet in (EVERY_FLEET, fleet.name):
                    self._report(members, start_s, outage.reports)

    def _report(self, members: range, began_s: float, reports: int) -> None:
        """What devices say when they are back from the outage that began then."""
        for device in members:
            back = next(absence for absence in self._devices[device].absences if absence.begins_s == _rounded(began_s))
            self._mentions += [_Mention(at_s=back.ends_s, device=device)] * reports

    def _add(
        self, traffic: AnyTraffic, fleet: Fleet, members: range, start_s: float, duration_s: float, what: str
    ) -> None:
        chance = self._chance(fleet.name, what)
        for at_s, device in self._source(traffic, members, start_s, duration_s, chance):
            moment_s = _rounded(start_s + at_s)
            if not self._is_dark(device, moment_s):
                self._mentions.append(_Mention(at_s=moment_s, device=device))

    def _source(
        self, traffic: AnyTraffic, members: range, start_s: float, duration_s: float, chance: random.Random
    ) -> Iterator[tuple[float, int]]:
        match traffic:
            case Constant():
                for turn, at_s in enumerate(arrivals.constant(traffic.rate_per_s, duration_s)):
                    yield at_s, members[turn % len(members)]
            case Poisson():
                for at_s in arrivals.poisson(traffic.rate_per_s, duration_s, chance):
                    yield at_s, chance.choice(members)
            case Daily():
                speed = self._scenario.speed
                midnight = self._scenario.begins_at.replace(hour=0, minute=0, second=0, microsecond=0)
                begins_at_s = (self._scenario.begins_at - midnight).total_seconds() + start_s * speed
                for at_s in arrivals.daily(traffic, duration_s, begins_at_s=begins_at_s, speed=speed, chance=chance):
                    yield at_s, chance.choice(members)
            case Storm():
                for device in members:
                    for at_s in arrivals.storm(traffic.messages, traffic.within_s, chance):
                        yield at_s, device
            case Flood():
                for device in members[: traffic.devices]:
                    for _ in range(traffic.messages):
                        yield 0.0, device

    def _is_dark(self, device: int, at_s: float) -> bool:
        """Without power nobody measures."""
        absences = self._devices[device].absences
        return any(a.cause is Cause.POWER and a.begins_s <= at_s < a.ends_s for a in absences)

    # The messages themselves, in the order in which they are said: each device's readings follow each other.

    def _messages(self, mentions: list[_Mention]) -> Iterator[PlannedMessage]:
        fleets = self._scenario.fleets
        qos_of = [self._chance(fleet.name, "qos") for fleet in fleets]
        bad_of = [self._chance(fleet.name, "bad") for fleet in fleets]
        total_bytes = 0
        for number, mention in enumerate(mentions):
            device = self._devices[mention.device]
            fleet = fleets[device.fleet]
            at_us = round(mention.at_s * self._scenario.speed * 1e6)
            message = self._speakers[mention.device].next(device.clock.reads(self._begins_us, at_us))
            qos = qos_of[device.fleet].choices((0, 1, 2), fleet.qos.weights)[0]
            bad: BadKind | None = None
            if fleet.bad_payloads.share and bad_of[device.fleet].random() < fleet.bad_payloads.share:
                bad = bad_of[device.fleet].choice(fleet.bad_payloads.kinds)
                message = spoil(message, bad, number, fleet.bad_payloads, bad_of[device.fleet])
            total_bytes += len(message.payload)
            if total_bytes > MAX_PAYLOAD_BYTES:
                raise PlanTooLarge(
                    f"The payloads of {self._scenario.name} come to more than {MAX_PAYLOAD_BYTES // 2**20} MiB:"
                    " make fewer of them huge or oversized, or lower the rates."
                )
            yield PlannedMessage(
                at_s=mention.at_s,
                device=mention.device,
                topic=message.topic,
                payload=message.payload,
                qos=0 if bad is BadKind.OVERSIZED else qos,
                bad=bad,
            )


def _rounded(at_s: float) -> float:
    """To the microsecond."""
    return round(at_s, 6)


def _line(**fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
