"""What a scenario is: fleets of devices, what they say, and phases in which the world changes.

Durations are in seconds of the run, unless a name says otherwise; rates are messages a second of a whole fleet. The
values are checked where they are read (`reading.py`), so that a mistake has its line.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime

from simulators.link_model import LinkState
from simulators.profiles import MIXED

EVERY_FLEET = "*"
MAX_DEVICES = 1_000
MAX_MESSAGES = 200_000
MAX_PAYLOAD_BYTES = 256 * 1024 * 1024
"""Of the payloads of a whole scenario: all of them are made before it begins."""
MAX_DURATION_S = 3_600.0


class Session(enum.Enum):
    """What of a device's session outlives its connection."""

    LASTING = "lasting"
    """Kept for an hour: what was in flight is repeated on the next connection."""
    CLEAN = "clean"
    """It ends with the connection; what was in flight is repeated as if it were new."""


class Cause(enum.Enum):
    """Why devices are away."""

    POWER = "power"
    """They forget everything: what was in flight, and what waited to be sent. They measure nothing meanwhile."""
    NETWORK = "network"
    """They go on measuring into their buffers, and repeat what was in flight."""


class BadKind(enum.Enum):
    """What a payload is that no one should have sent."""

    TRUNCATED = "truncated"
    NOISE = "noise"
    EMPTY = "empty"
    NESTED = "nested"
    MARKUP = "markup"
    CONTROL = "control"
    HUGE = "huge"
    OVERSIZED = "oversized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Messages that begin with their phase, or with the scenario; `fleet` is empty where they belong to one."""

    fleet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Traffic):
    """Evenly, device after device."""

    rate_per_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisson(Traffic):
    """Independent of each other: a Poisson process."""

    rate_per_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily(Traffic):
    """A Poisson process whose rate follows the time of day of the scenario's clock."""

    rate_per_s: float = 1.0
    """In the mean of a day."""
    swing: float = 0.8
    """The rate goes from (1 - swing) to (1 + swing) of its mean."""
    peak_at_s: float = 14 * 3600.0
    """When it is highest, in seconds after midnight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm(Traffic):
    """Every device says something within a short time, Beta(3, 4) distributed (3GPP TR 37.868 §6.1.1, model 2)."""

    messages: int = 1
    """Of each device."""
    within_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood(Traffic):
    """A few devices say all that they have as fast as they are let."""

    devices: int = 1
    messages: int = 1_000
    """Of each of them."""


AnyTraffic = Constant | Poisson | Daily | Storm | Flood


@dataclass(frozen=True, slots=True, kw_only=True)
class QosMix:
    """How the messages of a fleet are shared between the levels of QoS: weights."""

    at_most_once: int = 0
    at_least_once: int = 1
    exactly_once: int = 0

    @property
    def weights(self) -> tuple[int, int, int]:
        """By QoS."""
        return self.at_most_once, self.at_least_once, self.exactly_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How wrong the clocks are that the time stamps in payloads come from. Each device has its own error."""

    skew_s: float = 0.0
    """At most so far off, in either direction."""
    drift_ppm: int = 0
    """At most so many millionths too fast or too slow."""
    unset: float = 0.0
    """This share begins at 1970-01-01, as a clock with an empty battery does."""
    step_back_s: float = 0.0
    """Each clock is put back by this much, once, at a time of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadPayloads:
    """What share of a fleet's payloads is bad, and how."""

    share: float = 0.0
    kinds: tuple[BadKind, ...] = tuple(BadKind)
    huge_bytes: int = 256 * 1024
    oversized_bytes: int = 3 * 1024 * 1024
    """More than the gateway takes; sent with QoS 0 alone, since its connection is closed and a repetition would close
    the next one too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Devices that are alike."""

    name: str = ""
    count: int = 1
    profile: str = MIXED
    protocol: int = 4
    qos: QosMix = QosMix()
    session: Session = Session.LASTING
    window: int = 20
    keep_alive_s: int = 15
    buffer: int = 1_000
    """Messages that a device keeps while it can't send; then it drops the oldest."""
    connect_within_s: float = 1.0
    """The first connections are spread over so long, Beta(3, 4) distributed; 0: all at once."""
    clock: Clock = Clock()
    bad_payloads: BadPayloads = BadPayloads()
    traffic: tuple[AnyTraffic, ...] = ()
    """What it says from the beginning to the end, whatever the phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A fleet loses its connections when a phase begins, and comes back."""

    fleet: str = ""
    cause: Cause = Cause.POWER
    away_s: float = 1.0
    """Nobody is back before."""
    within_s: float = 0.0
    """They come back over so long after it, Beta(3, 4) distributed; 0: all at once."""
    reports: int = 0
    """Messages of each device as soon as it is back: what it says when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The link between gateway and cloud."""

    state: LinkState = LinkState.UP
    delay_s: float = 0.0
    """One way."""
    jitter_s: float = 0.0
    rate_bits_per_s: float | None = None
    """Each way; None: as fast as it goes."""
    loss: float = 0.0
    """This share of segments has to be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the time line."""

    name: str = ""
    duration_s: float = 10.0
    traffic: tuple[AnyTraffic, ...] = ()
    outages: tuple[Outage, ...] = ()
    link: Weather = Weather()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayKeys:
    """How the gateway is set up that a scenario starts itself; None: as the gateway's default is."""

    max_packet_size_bytes: int | None = None
    max_message_rate: int | None = None
    time_to_live_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All of it."""

    name: str = ""
    shows: str = ""
    """What it is there to show, in one line."""
    seed: int = 1
    begins_at: datetime = field(default_factory=lambda: datetime(2025, 6, 16, tzinfo=UTC))
    """The time on the scenario's clock when it begins."""
    speed: float = 1.0
    """Seconds of the scenario's clock in one second of the run."""
    fleets: tuple[Fleet, ...] = ()
    phases: tuple[Phase, ...] = ()
    gateway: GatewayKeys = GatewayKeys()

    @property
    def duration_s(self) -> float:
        """How long the devices are at work."""
        return sum(phase.duration_s for phase in self.phases)

    @property
    def phase_starts_s(self) -> tuple[float, ...]:
        """When each phase begins."""
        starts, at_s = [], 0.0
        for phase in self.phases:
            starts.append(at_s)
            at_s += phase.duration_s
        return tuple(starts)
