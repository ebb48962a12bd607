"""What `fieldgate demo` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIN_DURATION_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Durations in seconds; raises ValueError when a value is impossible."""

    folder: Path = Path("demo-data")
    """Each run gets a folder of its own in here."""
    duration_s: float = 60.0
    """How long the devices publish, outage and crash included; the ledger comes a few seconds later."""
    count: int = 20
    rate_per_s: float = 200.0
    """Messages a second, all devices together."""
    qos: int = 1
    seed: int = 0
    keep: bool = False
    """Stay up after the ledger, until Ctrl-C."""

    def __post_init__(self) -> None:
        if self.duration_s < MIN_DURATION_S:
            raise ValueError(f"The demo takes at least {MIN_DURATION_S:g} s: an outage and a crash have to fit in.")
        if not 1 <= self.count <= 1000:
            raise ValueError(f"The number of devices is between 1 and 1000, not {self.count}.")
        if not 1 <= self.rate_per_s <= 5000:
            raise ValueError(f"The rate is between 1 and 5000 messages a second, not {self.rate_per_s:g}.")
        if self.qos not in (1, 2):
            raise ValueError("QoS is 1 or 2: without acknowledgements there is no ledger to hold anyone to.")
