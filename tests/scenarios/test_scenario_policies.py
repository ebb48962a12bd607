"""What the gateway drops by a policy is in the ledger with its reason, and the ledger still adds up."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from simulators.scenarios.options import ScenarioOptions
from simulators.scenarios.play import play_scenario
from simulators.scenarios.reading import parse_scenario

pytestmark = pytest.mark.slow

SHORT_LIVED = """\
fleets: [{name: a, count: 5, profile: climate, traffic: [{arrivals: constant, rate: 40}]}]
phases:
  - {name: up, duration: 2s}
  - {name: cut, duration: 8s, link: {state: cut}}
  - {name: up-again, duration: 4s}
gateway: {time_to_live: 2s}
"""


async def test_records_that_expired_during_a_cut_are_dropped_with_their_reason(tmp_path: Path) -> None:
    scenario = parse_scenario(SHORT_LIVED, source="short-lived.yaml", name="short-lived")
    output = io.StringIO()
    account = await play_scenario(
        ScenarioOptions(scenario=scenario, folder=tmp_path),
        console=Console(file=output, width=120),
        stop=asyncio.Event(),
    )
    assert account.adds_up, (account.problems, output.getvalue())
    lost = len(account.comparison.missing)
    assert lost > 40
    assert account.dropped.keys() == {"expired"}
    assert account.dropped["expired"] >= lost  # one that was on its way when it expired counts as well, and arrives
    assert account.comparison.received + lost == account.planned == 560
