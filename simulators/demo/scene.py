"""Everything that the demo knows at one moment: what the live view shows and what the story waits for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulators.devices import FleetProgress
from simulators.link_model import LinkState

MAX_EVENTS = 8

Status = dict[str, Any]


@dataclass(slots=True)
class Scene:
    """Filled by the watch and the story; read by the views. Bytes are of the uplink, since the demo's start."""

    duration_s: float
    now_s: Callable[[], float] = time.monotonic
    started_s: float = field(init=False)
    """When the demo began; what is shown counts from here."""
    began_s: float = field(init=False)
    """When the devices began; the acts count from here."""
    headline: str = "Starting."
    events: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    fleet: FleetProgress | None = None
    gateway: Status | None = None
    """The gateway's status; None while it does not answer."""
    receiver: Status | None = None
    link: LinkState = LinkState.UP
    _before_restart: tuple[int, int, int] = (0, 0, 0)
    _last_gateway: Status | None = None

    def __post_init__(self) -> None:
        self.started_s = self.began_s = self.now_s()

    def begin(self) -> None:
        """The devices begin: the acts count from here."""
        self.began_s = self.now_s()

    @property
    def elapsed_s(self) -> float:
        """Since the demo began; never goes back."""
        return self.now_s() - self.started_s

    @property
    def acted_s(self) -> float:
        """Since the devices began."""
        return self.now_s() - self.began_s

    @property
    def ends_s(self) -> float:
        """When the devices will have published for `duration_s`, since the demo began."""
        return self.began_s - self.started_s + self.duration_s

    def tell(self, sentence: str) -> str:
        """What is happening now."""
        self.headline = sentence
        self.events.append((self.elapsed_s, sentence))
        return sentence

    def saw_link(self, state: LinkState) -> None:
        """The link was cut or mended."""
        self.link = state

    def saw_gateway(self, status: Status | None) -> None:
        """A status came, or none: its counters begin again with each of its lives."""
        if status is not None:
            last = self._last_gateway
            if last is not None and status["uptime_s"] < last["uptime_s"]:
                carried, lived = self._before_restart, _uplink_counters(last)
                self._before_restart = (carried[0] + lived[0], carried[1] + lived[1], carried[2] + lived[2])
            self._last_gateway = status
        self.gateway = status

    @property
    def waiting(self) -> int | None:
        """Records that wait in the spool; None while nobody can say."""
        return None if self.gateway is None else sum(item["records"] for item in self.gateway["streams"].values())

    @property
    def waiting_bytes(self) -> int:
        """What they take in the spool."""
        return 0 if self.gateway is None else sum(item["bytes"] for item in self.gateway["streams"].values())

    @property
    def in_flight(self) -> int:
        """Frames that are on their way."""
        return 0 if self.gateway is None else sum(item["in_flight"] for item in self.gateway["uplinks"].values())

    @property
    def uplink(self) -> str:
        """The state of the uplink."""
        return "gateway away" if self.gateway is None else str(self.gateway["uplinks"]["cloud"]["state"])

    @property
    def connections(self) -> int:
        """Devices that the gateway has."""
        return 0 if self.gateway is None else sum(item["connections"] for item in self.gateway["listeners"])

    @property
    def delivered(self) -> int:
        """Records that the cloud acknowledged to the gateway."""
        return self._before_restart[0] + _uplink_counters(self._last_gateway)[0]

    @property
    def plain_bytes(self) -> int:
        """What the delivered records would have taken as plain MQTT."""
        return self._before_restart[1] + _uplink_counters(self._last_gateway)[1]

    @property
    def wire_bytes(self) -> int:
        """What was sent for them."""
        return self._before_restart[2] + _uplink_counters(self._last_gateway)[2]

    @property
    def received(self) -> int:
        """Records that the receiver has."""
        return 0 if self.receiver is None else int(self.receiver["records"])

    @property
    def duplicates(self) -> int:
        """Records that came to the receiver a second time and were dropped there."""
        return 0 if self.receiver is None else int(self.receiver["duplicates"])


def _uplink_counters(status: Status | None) -> tuple[int, int, int]:
    if status is None:
        return 0, 0, 0
    uplinks = status["uplinks"].values()
    return (
        sum(item["records"] for item in uplinks),
        sum(item["raw_bytes"] for item in uplinks),
        sum(item["wire_bytes"] for item in uplinks),
    )
