"""The end of a scenario: everything that was said, held against everything that arrived. Pure, but for the reading.

What must hold, or the ledger does not add up:

- every message of the plan was handed to a socket, or it is known why not;
- every publish with QoS 1 or 2 was answered, or its device lost its power;
- what was acknowledged arrived, but for what the gateway says that it dropped, by reason;
- nothing arrived twice, but for what a QoS 1 device had to repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulators.comparison import Comparison
from simulators.link import LinkCounters
from simulators.scenarios.tally import Tally

Status = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The ledger of a scenario."""

    scenario: str
    seed: int
    digest: str
    """Of the plan: what two runs with the same seed have in common."""
    elapsed_s: float
    is_interrupted: bool
    tallies: tuple[Tally, ...]
    comparison: Comparison
    knows_arrivals: bool
    """Whether what arrived in the cloud could be looked at; without it only the devices' side is judged."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Records that the gateway dropped by a policy, by reason. One that was on its way then may have arrived."""
    declared: int = 0
    """Records that the receiver was told are dropped, and that it does not have."""
    duplicates_dropped: int = 0
    """Records that came to the receiver a second time and were dropped there."""
    undeclared: int = 0
    """Numbers of records that the receiver misses, and that no one declared as dropped."""
    waiting: int = 0
    """Records that the gateway still had when the ledger was made."""
    uplink: dict[str, Any] = field(default_factory=dict)
    """What the uplink lived through: connections, bytes, time cut and silent."""

    @property
    def planned(self) -> int:
        """Messages of the plan."""
        return sum(tally.planned for tally in self.tallies)

    @property
    def unsent(self) -> dict[str, int]:
        """Messages of the plan that no socket was given, by reason."""
        found: dict[str, int] = {}
        for tally in self.tallies:
            for reason, count in tally.unsent.items():
                found[reason] = found.get(reason, 0) + count
        return found

    @property
    def unanswered(self) -> int:
        """Publishes with QoS 1 or 2 that were neither acknowledged nor refused, by devices that kept their power."""
        return self.comparison.unacknowledged - sum(tally.forgotten for tally in self.tallies)

    @property
    def unpromised(self) -> int:
        """Published, neither acknowledged nor arrived: QoS 0, refused, or forgotten by its device."""
        result = self.comparison
        return result.published - result.received - len(result.missing)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it does not add up, in sentences; empty when it does."""
        result, found = self.comparison, []
        published = sum(tally.published for tally in self.tallies)
        if not published:
            found.append("Nothing was published.")
        if self.planned != published + sum(self.unsent.values()):
            found.append(
                f"Of {self.planned} planned messages {published} were published and"
                f" {sum(self.unsent.values())} are known not to be."
            )
        if self.unanswered > 0:
            found.append(f"{self.unanswered} publishes were never answered.")
        if not self.knows_arrivals:
            return tuple(found)
        dropped = sum(self.dropped.values())
        if self.waiting:
            found.append(f"{self.waiting} records still wait in the gateway.")
        if len(result.missing) > dropped + self.waiting:
            found.append(
                f"{len(result.missing)} acknowledged messages are missing, of which {dropped} were dropped by policy."
            )
        if result.duplicates:
            found.append(f"{result.duplicates} records arrived twice without a reason.")
        if self.undeclared:
            found.append(f"The receiver misses {self.undeclared} records that the gateway did not declare as dropped.")
        if self.declared > result.published + result.resent - result.received:
            found.append(f"The gateway says that it dropped {self.declared} records, but fewer did not arrive.")
        return tuple(found)

    @property
    def adds_up(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        result = self.comparison
        arrival: dict[str, Any] = {
            "arrived": result.received,
            "missing": len(result.missing),
            "neither_acknowledged_nor_arrived": self.unpromised,
            "duplicates": result.duplicates,
            "duplicates_dropped": self.duplicates_dropped,
            "arrived_again_after_resend": result.resent,
            "strangers": result.strangers,
            "dropped_by_policy": self.dropped,
            "undeclared": self.undeclared,
            "waiting": self.waiting,
        }
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "schedule": self.digest,
            "elapsed_s": round(self.elapsed_s, 3),
            "is_interrupted": self.is_interrupted,
            "adds_up": self.adds_up,
            "problems": list(self.problems),
            "planned": self.planned,
            "published": result.published,
            "acknowledged": result.acknowledged,
            "refused": result.refused,
            "unanswered": max(0, self.unanswered),
            "unsent": self.unsent,
            **(arrival if self.knows_arrivals else dict.fromkeys(arrival)),
            "uplink": self.uplink or None,
            "fleets": {tally.name: tally.to_dict() for tally in self.tallies},
        }


def dropped_by_policy(gateway: Status) -> dict[str, int]:
    """What the gateway says that it dropped of its streams, by reason; those that did not happen are left out."""
    found: dict[str, int] = {}
    for stream in gateway["streams"].values():
        for reason, count in stream["dropped"].items():
            if count:
                found[reason] = found.get(reason, 0) + int(count)
    return found


def uplink_of(gateway: Status, link: LinkCounters, *, cut_s: float, silent_s: float) -> dict[str, Any]:
    """What the uplink lived through."""
    uplink = gateway["uplinks"]["cloud"]
    return {
        "connections": link.connections,
        "bytes_up": link.bytes_up,
        "bytes_down": link.bytes_down,
        "bytes_vanished": link.bytes_vanished,
        "cut_s": round(cut_s, 3),
        "silent_s": round(silent_s, 3),
        "raw_bytes": uplink["raw_bytes"],
        "wire_bytes": uplink["wire_bytes"],
        "retries": uplink.get("retries"),
    }
