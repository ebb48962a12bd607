"""The demo as a newcomer starts it, shortened: the ledger adds up, and nothing is left behind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from simulators.demo import DemoOptions, run_demo


@pytest.mark.parametrize("qos", [1, 2])
def test_the_demo_ends_with_a_ledger_that_adds_up(tmp_path: Path, qos: int) -> None:
    output = io.StringIO()
    options = DemoOptions(folder=tmp_path, duration_s=12, count=10, rate_per_s=200, qos=qos)
    code = run_demo(options, console=Console(file=output, width=100))
    said = output.getvalue()
    assert code == 0, said
    for sentence in (
        "The cloud link is cut; records wait on disk.",
        "The gateway was killed with SIGKILL",
        "The cloud link is back",
        "Nothing that was acknowledged is missing.",
    ):
        assert sentence in said
    [run] = tmp_path.iterdir()
    assert {path.name for path in run.iterdir()} >= {"ledger.jsonl", "received.db", "received.jsonl", "gateway.log"}
