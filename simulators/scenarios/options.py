"""What `fieldgate simulate scenario` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulators.scenarios.description import Scenario
from simulators.units import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioOptions:
    """One run of a scenario. Raises ValueError when two wishes don't go together."""

    scenario: Scenario
    seed: int | None = None
    """None: the scenario's own."""
    to: Endpoint | None = None
    """A gateway that is there; None: everything is started for the run."""
    received: Path | None = None
    """With `to`: the received.db or received.jsonl of that gateway's receiver."""
    folder: Path | None = None
    """Where the files of the run stay; None: a temporary folder, kept only when something is wrong."""
    record: Path | None = None
    """Where the plan is written, a JSON object a line."""

    def __post_init__(self) -> None:
        if self.received is not None and self.to is None:
            raise ValueError("--received is for a gateway that is there; give its --url too.")
