"""The fan-out and the idle connections against small servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.load.fanout import FanoutOptions, run_fanout
from simulators.load.idle import connect_all
from simulators.load.options import LoadFailed
from simulators.load.processes import free_port

ROOT = Path(__file__).parents[4]


@pytest.fixture
def reflector() -> Iterator[int]:
    """A server that hands on bytes."""
    command = [sys.executable, "-m", "simulators.load.reflector"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize("subscribers", [1, 7])
def test_every_subscriber_counts_every_message(reflector: int, subscribers: int) -> None:
    result = run_fanout(FanoutOptions(port=reflector, subscribers=subscribers, messages=5000, ahead=500))
    assert result.delivered == result.expected == 5000 * subscribers
    assert result.rate_per_s > 0


def test_idle_connections_are_counted_and_stay_open(reflector: int) -> None:
    sockets, result = connect_all("127.0.0.1", reflector, 50)
    assert len(sockets) == result.connections == 50
    for sock in sockets:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.close()


def test_a_server_that_is_not_there_is_told_in_a_sentence() -> None:
    with pytest.raises(LoadFailed, match="No connection"):
        run_fanout(FanoutOptions(port=free_port()))
    with pytest.raises(LoadFailed, match="connection"):
        connect_all("127.0.0.1", free_port(), 3)


@pytest.mark.parametrize("wrong", [{"subscribers": 0}, {"qos": 2}, {"ahead": 0}, {"ahead": 1_000_000}])
def test_a_fan_out_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"fan-out|ahead"):
        FanoutOptions(**wrong)
