"""The broker that the other tests stand on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto


def test_a_broker_keeps_its_port_and_a_retained_message_over_a_restart_but_not_over_one_that_loses_state(
    tmp_path: Path,
) -> None:
    publisher = shutil.which("mosquitto_pub")
    subscriber = shutil.which("mosquitto_sub")
    if publisher is None or subscriber is None:
        pytest.skip("mosquitto_pub and mosquitto_sub are not installed")
    with Mosquitto(tmp_path, persistence=True) as broker:
        port = str(broker.port)
        subprocess.run(
            [publisher, "-p", port, "-V", "5", "-q", "1", "-r", "-t", "kept", "-m", "value"], check=True, timeout=60
        )
        command = [subscriber, "-p", port, "-V", "5", "-t", "kept", "-C", "1", "-W", "20"]
        broker.restart()
        assert subprocess.run(command, check=False, capture_output=True, timeout=60).stdout == b"value\n"
        broker.restart(keep_state=False)
        assert str(broker.port) == port
        assert subprocess.run([*command[:-1], "1"], check=False, capture_output=True, timeout=60).stdout == b""
