"""How a device connects, and what it tells its fleet."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from simulators.units import Endpoint


class State(enum.Enum):
    """Where a device is on its way to the gateway."""

    AWAY = "away"
    CONNECTING = "connecting"
    ONLINE = "online"


class DeviceEvents(Protocol):
    """What a device tells the fleet; `name` is what the fleet gave with the publish."""

    def on_online(self, session_present: bool) -> None:
        """The CONNACK came; what is in flight is repeated right after this."""

    def on_lost(self) -> None:
        """The connection is gone."""

    def on_resend(self, name: str) -> None:
        """This publish is about to be repeated."""

    def on_received(self, name: str) -> None:
        """The PUBREC of a QoS 2 publish came."""

    def on_acknowledged(self, name: str) -> None:
        """The PUBACK or PUBCOMP came."""

    def on_refused(self, name: str, reason: int) -> None:
        """An acknowledgement came that refuses; the publish is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """How a device connects; durations in seconds."""

    to: Endpoint
    protocol: int = 4
    """4: MQTT 3.1.1, 5: MQTT 5."""
    window: int = 20
    keep_alive_s: int = 15
    connect_timeout_s: float = 5.0
    ack_timeout_s: float = 15.0
    """So long may the oldest publish wait for its answer before the device gives the connection up."""
    backoff_first_s: float = 0.2
    backoff_max_s: float = 3.0
    session_expiry_s: int = 3600
    """So long its session outlives a connection; 0: not at all. MQTT 3.1.1 knows only "for ever" and 0."""

    def __post_init__(self) -> None:
        if self.protocol not in (4, 5):
            raise ValueError(f"The protocol is 4 (MQTT 3.1.1) or 5, not {self.protocol}.")
        if not 1 <= self.window <= 10_000:
            raise ValueError(f"The window is between 1 and 10000 publishes, not {self.window}.")
