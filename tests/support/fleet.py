"""Fleets of real clients in the background of a test, and their ledgers held against what arrived.

async with publishing(gateway.endpoint, tmp_path) as fleet:      # QoS 0, 1 and 2 at once
    ... break something ...
fleet.check(receiver.database)                                   # after everything has drained
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulators.comparison import Comparison, compare
from simulators.devices import FleetOptions, FleetResult, run_devices
from simulators.ledger import Ledger, read_ledger
from simulators.units import Endpoint

PROTOCOL_OF_QOS = {0: 4, 1: 5, 2: 4}
"""Which version each QoS is published with, where a test does not say: both are used."""


@dataclass(slots=True)
class Fleet:
    """What was published; `results` are there when publishing has ended."""

    ledgers: list[Path]
    results: list[FleetResult] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        """All ledgers as one."""
        whole = Ledger()
        for path in self.ledgers:
            if path.exists():
                whole.entries.update(read_ledger(path).entries)
        return whole

    @property
    def acknowledged(self) -> int:
        """Payloads that the gateway has answered for."""
        return sum(entry.promised for entry in self.ledger.entries.values())

    def compare(self, received: Path) -> Comparison:
        """The ledger against what arrived."""
        return compare(self.ledger, received)

    def check(self, received: Path) -> Comparison:
        """Fails unless everything published arrived, and nothing twice. For a gateway that never died or refused."""
        found = self.compare(received)
        assert found.published > 0
        assert found.missing == ()
        assert found.duplicates == 0
        assert found.resent == 0
        assert found.strangers == 0
        assert found.refused == 0
        assert found.unacknowledged == 0
        assert found.received == found.published == found.received_records
        return found


@contextlib.asynccontextmanager
async def publishing(
    to: Endpoint,
    folder: Path,
    *,
    qos: Sequence[int] = (0, 1, 2),
    rate_per_s: float = 300.0,
    count: int = 3,
    name: str = "fleet",
    **options: Any,
) -> AsyncIterator[Fleet]:
    """A fleet for each QoS, `rate_per_s` messages in all, until the block ends and the last answers are there."""
    stop = asyncio.Event()
    fleet = Fleet([folder / f"{name}-qos{level}.ledger" for level in qos])
    tasks = []
    for level, ledger in zip(qos, fleet.ledgers, strict=True):
        how = {
            "protocol": PROTOCOL_OF_QOS[level],
            "client_prefix": f"{name}{level}-",
            "seed": level,
            **options,
        }
        fleet_options = FleetOptions(
            to=to, count=count, rate_per_s=rate_per_s / len(qos), qos=level, ledger=ledger, **how
        )
        tasks.append(asyncio.create_task(run_devices(fleet_options, stop=stop)))
    try:
        yield fleet
    finally:
        stop.set()
        fleet.results = list(await asyncio.gather(*tasks))


def noisy_rows(path: Path, *, rows: int = 300, size: int = 3000) -> Path:
    """A CSV to replay whose rows no compression makes small: about half of `size` bytes each stays."""
    path.write_text("reading\n" + "".join(f"x{os.urandom(size // 2).hex()}\n" for _ in range(rows)))
    return path
