"""Every key of a scenario, described once. Defaults are those of the dataclasses in `description.py`."""

from __future__ import annotations

from config.kinds import Choice, Duration, Kind, Maybe, Size, Text, Whole
from config.shapes import Key, Section, SectionList, ValueList
from simulators.link_model import LinkState
from simulators.profiles import profile_names
from simulators.scenarios.description import (
    MAX_DEVICES,
    MAX_DURATION_S,
    MAX_MESSAGES,
    BadKind,
    BadPayloads,
    Cause,
    Clock,
    Constant,
    Daily,
    Fleet,
    Flood,
    GatewayKeys,
    Outage,
    Phase,
    Poisson,
    QosMix,
    Scenario,
    Session,
    Storm,
    Weather,
)
from simulators.scenarios.kinds import BitRate, Moment, Number, Percent, TimeOfDay

YEAR_S = 366 * 86_400.0
KIB, MIB = 1024, 1024 * 1024
NAME_PATTERN = r"[a-z0-9][a-z0-9-]{0,31}"


def _check_name(text: str) -> None:
    import re

    if not re.fullmatch(NAME_PATTERN, text):
        raise ValueError(f"expected a name of up to 32 small letters, digits and '-', found {text!r}")


def _check_line(text: str) -> None:
    if len(text) > 120 or not text.isprintable():
        raise ValueError("expected one line of at most 120 characters that can be printed")


NAME: Kind = Text(expected="a name", check=_check_name)
_SPAN: Kind = Duration(minimum_s=0, maximum_s=MAX_DURATION_S, example="500ms, 10s or 1m")
_FLEET = Key(name="fleet", shape=Text(expected="the name of a fleet"), doc='Which fleet; "*" is every one.')
_RATE = Key(
    name="rate",
    attribute="rate_per_s",
    shape=Number(minimum=0.001, maximum=10_000),
    doc="Messages a second of the whole fleet (daily: in the mean of a day).",
)
_KINDS: dict[str, tuple[type, tuple[Key, ...]]] = {
    "constant": (Constant, (_RATE,)),
    "poisson": (Poisson, (_RATE,)),
    "daily": (
        Daily,
        (
            _RATE,
            Key(name="swing", shape=Percent(), doc="How far the rate goes above and below its mean."),
            Key(name="peak_at", attribute="peak_at_s", shape=TimeOfDay(), doc="When it is highest."),
        ),
    ),
    "storm": (
        Storm,
        (
            Key(name="messages", shape=Whole(minimum=1, maximum=1000), doc="Messages of each device."),
            Key(name="within", attribute="within_s", shape=_SPAN, doc="T of the Beta(3, 4) arrivals."),
        ),
    ),
    "flood": (
        Flood,
        (
            Key(name="devices", shape=Whole(minimum=1, maximum=MAX_DEVICES), doc="How many devices of the fleet."),
            Key(name="messages", shape=Whole(minimum=1, maximum=MAX_MESSAGES), doc="Messages of each of them."),
        ),
    ),
}


def _traffic(*more: Key) -> SectionList:
    select = Key(name="arrivals", shape=Choice(words={word: word for word in _KINDS}), doc="How.", selects=True)
    return SectionList(
        noun="kind of traffic",
        label="arrivals",
        variants={
            word: Section(settings=settings, keys=(select, *more, *keys)) for word, (settings, keys) in _KINDS.items()
        },
        may_be_empty=True,
    )


_WEIGHT = Whole(minimum=0, maximum=1000)
_QOS = Section(
    settings=QosMix,
    keys=(
        Key(name="0", attribute="at_most_once", shape=_WEIGHT, doc="Weight of QoS 0."),
        Key(name="1", attribute="at_least_once", shape=_WEIGHT, doc="Weight of QoS 1."),
        Key(name="2", attribute="exactly_once", shape=_WEIGHT, doc="Weight of QoS 2."),
    ),
)

_CLOCK = Section(
    settings=Clock,
    keys=(
        Key(
            name="skew",
            attribute="skew_s",
            shape=Duration(minimum_s=0, maximum_s=10 * YEAR_S, example="30s or 3h"),
            doc="Each clock is off by at most this much.",
        ),
        Key(name="drift_ppm", shape=Whole(minimum=0, maximum=100_000), doc="Millionths too fast or too slow, at most."),
        Key(name="unset", shape=Percent(), doc="The share of clocks that begin at 1970-01-01."),
        Key(
            name="step_back",
            attribute="step_back_s",
            shape=Duration(minimum_s=0, maximum_s=YEAR_S, example="30s or 1h"),
            doc="Each clock is put back by this much, once.",
        ),
    ),
)

_BAD = Section(
    settings=BadPayloads,
    keys=(
        Key(name="share", shape=Percent(), doc="How many of the payloads are bad."),
        Key(name="kinds", shape=ValueList(item=Choice.of(BadKind), example="[truncated, noise]"), doc="In which ways."),
        Key(
            name="huge",
            attribute="huge_bytes",
            shape=Size(minimum_bytes=KIB, maximum_bytes=16 * MIB),
            doc="How large a huge payload is: one that the gateway still takes.",
        ),
        Key(
            name="oversized",
            attribute="oversized_bytes",
            shape=Size(minimum_bytes=KIB, maximum_bytes=16 * MIB),
            doc="How large an oversized one is: one that the gateway does not take.",
        ),
    ),
)

_FLEETS = SectionList(
    noun="fleet",
    label="name",
    variants={
        "": Section(
            settings=Fleet,
            keys=(
                Key(name="name", shape=NAME, doc="What it is called; its devices' client ids begin with it."),
                Key(name="count", shape=Whole(minimum=1, maximum=MAX_DEVICES), doc="How many devices."),
                Key(name="profile", shape=Choice(words={name: name for name in profile_names()}), doc="What they say."),
                Key(name="protocol", shape=Choice(words={"3.1.1": 4, "5": 5}), doc="The version of MQTT."),
                Key(name="qos", shape=_QOS, doc="Weights of the levels of QoS, as {0: 1, 1: 8, 2: 1}."),
                Key(name="session", shape=Choice.of(Session), doc="Whether their sessions outlive a connection."),
                Key(name="window", shape=Whole(minimum=1, maximum=1000), doc="Unanswered publishes of a device."),
                Key(
                    name="keep_alive",
                    attribute="keep_alive_s",
                    shape=Duration(minimum_s=1, maximum_s=3600, whole=True, example="15s"),
                    doc="Their keep alive.",
                ),
                Key(
                    name="buffer",
                    shape=Whole(minimum=1, maximum=100_000),
                    doc="Messages a device keeps while it can't send; then it drops the oldest.",
                ),
                Key(
                    name="connect_within",
                    attribute="connect_within_s",
                    shape=_SPAN,
                    doc="The first connections are spread over so long; 0s: all at once.",
                ),
                Key(name="clock", shape=_CLOCK, doc="How wrong the time stamps in payloads are."),
                Key(name="bad_payloads", shape=_BAD, doc="What they say wrong."),
                Key(name="traffic", shape=_traffic(), doc="What they say all the time."),
            ),
        )
    },
)

_WEATHER = Section(
    settings=Weather,
    keys=(
        Key(
            name="state",
            shape=Choice(words={"up": LinkState.UP, "cut": LinkState.CUT, "silent": LinkState.BLACK_HOLE}),
            doc="cut: connections are reset and refused; silent: bytes vanish, and nobody closes.",
        ),
        Key(
            name="delay",
            attribute="delay_s",
            shape=Duration(minimum_s=0, maximum_s=60, example="280ms"),
            doc="One way.",
        ),
        Key(
            name="jitter",
            attribute="jitter_s",
            shape=Duration(minimum_s=0, maximum_s=60, example="30ms"),
            doc="The delay varies by this much.",
        ),
        Key(name="rate", attribute="rate_bits_per_s", shape=Maybe(kind=BitRate()), doc="Bits a second, each way."),
        Key(name="loss", shape=Percent(maximum=0.5), doc="The share of segments that have to be sent again."),
    ),
)

_OUTAGE = Section(
    settings=Outage,
    keys=(
        _FLEET,
        Key(name="cause", shape=Choice.of(Cause), doc="power: the devices forget everything; network: nothing."),
        Key(name="away", attribute="away_s", shape=_SPAN, doc="Nobody is back before."),
        Key(
            name="within",
            attribute="within_s",
            shape=_SPAN,
            doc="They come back over so long after it, Beta(3, 4) distributed; 0s: all at once.",
        ),
        Key(name="reports", shape=Whole(minimum=0, maximum=1000), doc="Messages of each device when it is back."),
    ),
)

_PHASES = SectionList(
    noun="phase",
    label="name",
    variants={
        "": Section(
            settings=Phase,
            keys=(
                Key(name="name", shape=NAME, doc="What it is called."),
                Key(
                    name="duration",
                    attribute="duration_s",
                    shape=Duration(minimum_s=0.1, maximum_s=MAX_DURATION_S, example="10s or 1m"),
                    doc="How long it lasts.",
                ),
                Key(name="traffic", shape=_traffic(_FLEET), doc="What is said in it besides."),
                Key(
                    name="outages",
                    shape=SectionList(noun="outage", label="fleet", variants={"": _OUTAGE}, may_be_empty=True),
                    doc="Who loses the connection when it begins.",
                ),
                Key(name="link", shape=_WEATHER, doc="The link between gateway and cloud while it lasts."),
            ),
        )
    },
)

_GATEWAY = Section(
    settings=GatewayKeys,
    keys=(
        Key(
            name="max_packet_size",
            attribute="max_packet_size_bytes",
            shape=Maybe(kind=Size(minimum_bytes=KIB, maximum_bytes=16 * MIB)),
            doc="The largest packet it takes.",
        ),
        Key(
            name="max_message_rate",
            shape=Maybe(kind=Whole(minimum=1, maximum=1_000_000)),
            doc="Publishes a second of one device; faster ones are read more slowly.",
        ),
        Key(
            name="time_to_live",
            attribute="time_to_live_s",
            shape=Maybe(kind=Duration(minimum_s=1, maximum_s=YEAR_S)),
            doc="Older records are dropped, counted and reported.",
        ),
    ),
)

SCENARIO = Section(
    settings=Scenario,
    keys=(
        Key(name="name", shape=NAME, doc="What it is called; left out: the name of its file."),
        Key(name="shows", shape=Text(expected="a line", check=_check_line), doc="What it is there to show."),
        Key(name="seed", shape=Whole(minimum=0, maximum=2**31), doc="The same seed, the same devices and schedule."),
        Key(name="begins_at", shape=Moment(), doc="The time on its clock when it begins."),
        Key(
            name="speed",
            shape=Number(minimum=0.01, maximum=100_000),
            doc="Seconds of its clock in one of the run: 1440 is a day in a minute.",
        ),
        Key(name="fleets", shape=_FLEETS, doc="Devices that are alike."),
        Key(name="phases", shape=_PHASES, doc="What happens, one after the other."),
        Key(name="gateway", shape=_GATEWAY, doc="How the gateway is set up that it starts itself."),
    ),
)
