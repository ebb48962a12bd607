"""What happened to a fleet, counted while it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from simulators.load.latency import percentiles
from simulators.scenarios.description import BadKind


@dataclass(slots=True)
class Tally:
    """The counts of one fleet. Bounded by its plan: there is at most one latency a message."""

    name: str
    devices: int
    planned: int
    connected: int = 0
    connects: int = 0
    lost: int = 0
    """Connections that ended before the end of the scenario."""
    returned: int = 0
    """Connections after a first one."""
    published: int = 0
    acknowledged: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """By reason code."""
    resent: int = 0
    forgotten: int = 0
    """In flight when the device lost its power: never to be answered."""
    unsent: Counter[str] = field(default_factory=Counter)
    """Planned, and never handed to a socket; by reason."""
    bad: Counter[BadKind] = field(default_factory=Counter)
    waiting: int = 0
    in_flight: int = 0
    latencies_s: list[float] = field(default_factory=list)
    """From the first handing over to the acknowledgement, of each that was acknowledged."""

    def to_dict(self) -> dict[str, Any]:
        """For `--json`; latencies in milliseconds."""
        return {
            "devices": self.devices,
            "planned": self.planned,
            "published": self.published,
            "acknowledged": self.acknowledged,
            "refused": {str(reason): count for reason, count in sorted(self.refused.items())},
            "resent": self.resent,
            "forgotten": self.forgotten,
            "unsent": dict(self.unsent),
            "bad": {kind.value: count for kind, count in self.bad.items()},
            "connects": self.connects,
            "lost": self.lost,
            "reconnects": self.returned,
            "acknowledged_after_ms": percentiles(self.latencies_s),
        }
