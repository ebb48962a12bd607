"""`fieldgate run` as a process: how it begins, how it ends, and what it says when it can't have what it needs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def taken() -> Iterator[str]:
    """An address on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def configuration(folder: Path, *, listener: str = "127.0.0.1:0", api: str = "127.0.0.1:0", log: str = "json") -> Path:
    """A gateway.yaml with free ports and a cloud that is not there."""
    file = folder / "gateway.yaml"
    file.write_text(
        f"gateway: {{id: edge-01, data_dir: {folder / 'data'}}}\n"
        f"listeners: [{{name: local, bind: {listener}}}]\n"
        "uplinks: [{name: cloud, url: 'mqtt://127.0.0.1:1'}]\n"
        f"api: {{bind: {api}}}\n"
        f"log: {{format: {log}}}\n"
    )
    return file


def start(file: Path) -> subprocess.Popen[str]:
    """`fieldgate run -c FILE`, its standard error to be read."""
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", "-c", str(file)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(file: Path) -> tuple[int, str]:
    """Exit code and standard error of a gateway that can't start."""
    process = start(file)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    return process.returncode, said


def test_it_runs_until_sigterm_and_a_second_one_on_its_folder_gets_a_sentence(tmp_path: Path) -> None:
    process = start(configuration(tmp_path))
    watchdog = threading.Timer(60, process.kill)  # ends the reading below when the gateway says nothing
    watchdog.start()
    try:
        assert process.stderr is not None
        messages = []
        for line in process.stderr:
            messages.append(json.loads(line)["message"])
            if messages[-1].startswith("Gateway edge-01 is ready"):
                break
        assert messages[0] == f"Configuration: {tmp_path / 'gateway.yaml'}"
        code, said = outcome(configuration(tmp_path, log="text"))
        assert code == 1
        assert "in use by another gateway" in said
        assert "Traceback" not in said
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
        assert process.returncode == 0, rest
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


@pytest.mark.parametrize("key", ["listener", "api"])
def test_a_taken_port_is_one_sentence_and_exit_code_1(tmp_path: Path, taken: str, key: str) -> None:
    code, said = outcome(configuration(tmp_path, log="text", **{key: taken}))
    assert code == 1
    last = said.splitlines()[-1]
    assert last.startswith("Error: ")
    assert taken in last
    assert "listens there" in last
    assert "Traceback" not in said


def test_with_a_json_log_even_the_last_words_are_json(tmp_path: Path, taken: str) -> None:
    code, said = outcome(configuration(tmp_path, api=taken))
    assert code == 1
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines[-1]["log.level"] == "critical"
    assert taken in lines[-1]["message"]
