"""Named points where a test can have the process die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from bridge.crashpoints import VARIABLE

SCRIPT = """
from bridge.crashpoints import reach
for n in range(3):
    reach("there")
    reach("elsewhere")
    print(n, flush=True)
"""


@pytest.mark.parametrize(
    ("chosen", "printed", "killed"),
    [(None, "012", False), ("nowhere", "012", False), ("there", "", True), ("there:3", "01", True)],
)
def test_the_process_is_killed_at_the_chosen_point_and_time_only(
    chosen: str | None, printed: str, killed: bool
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    if chosen is not None:
        environment[VARIABLE] = chosen
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.replace("\n", "") == printed
    assert done.returncode == (-signal.SIGKILL if killed else 0)
