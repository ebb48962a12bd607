"""Ctrl-C ends a scenario with its ledger, and leaves no process and no folder behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 90.0


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_ctrl_c_during_a_cut_still_makes_the_ledger(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "simulate", "scenario", "clocks-that-lie"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said, children = "", []
        for line in process.stdout:
            said += line
            if "the link is cut" in line:
                children = children_of(process.pid)
                process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0, said
    assert len(children) == 3, "the cloud's broker, the receiver and the gateway"
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert "never sent: interrupted" in said
    assert "The ledger adds up." in said
    assert not list(tmp_path.glob("fieldgate-scenario-*"))
