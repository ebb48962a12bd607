"""Eclipse Paho's interoperability suites, run as they are against the gateway as a process.

They are not part of this repository: see docs/conformance.md for where they are found.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.other_suite import run_script
from tests.support.site import GatewayProcess

pytestmark = pytest.mark.slow

VARIABLE = "PAHO_TESTING"
ADDRESS = "https://github.com/eclipse-paho/paho.mqtt.testing"
CLONE_WITHIN_S = 120.0
SUITE_WITHIN_S = 600.0
DENIED = "test/nosubscribe"
RUNNER = Path(__file__).with_name("paho_suite.py")


def suites() -> Path:
    """The folder of the suites; skips with a sentence when they can't be had."""
    checkout = os.environ.get(VARIABLE)
    if checkout:
        folder = Path(checkout).expanduser() / "interoperability"
        assert (folder / "client_test5.py").exists(), f"{VARIABLE} names {checkout}, which has no {folder.name} suites."
        return folder
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fieldgate" / "paho.mqtt.testing"
    folder = cache / "interoperability"
    if not (folder / "client_test5.py").exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        command = ["git", "clone", "--quiet", "--depth=1", ADDRESS, str(cache)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=CLONE_WITHIN_S, stdin=subprocess.DEVNULL,
                           env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(
                f"Paho's suites are left out: {ADDRESS} could not be cloned ({error}). "
                f"Set {VARIABLE} to a checkout of it."
            )
    return folder


@pytest.mark.parametrize(("suite", "number"), [("client_test", 10), ("client_test5", 26)])
async def test_every_test_of_the_suite_passes(tmp_path: Path, suite: str, number: int) -> None:
    folder = await asyncio.to_thread(suites)
    with GatewayProcess(tmp_path, cloud_port=9) as gateway:
        gateway.configuration["listeners"][0].update(max_keep_alive="60s", topic_alias_maximum=10)
        gateway.configuration["access"] = [
            {
                "name": "default",
                "rules": [
                    {"name": "all", "topics": ["#", "$SYS/#", "$TopicA", "$TopicA/#"]},
                    {"name": "not-that", "effect": "deny", "actions": ["subscribe", "read"], "topics": [DENIED]},
                ],
            }
        ]
        await gateway.start()
        code, said = await run_script(
            *(str(RUNNER), str(folder), suite, str(gateway.port), "-test_flow_control2"), within_s=SUITE_WITHIN_S
        )
        assert code == 0, said
        assert f"PASSED {number} OF {number}" in said
        assert "Traceback" not in gateway.log
