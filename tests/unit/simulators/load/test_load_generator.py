"""Whole loads, against the acker and against a real broker."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.load import mosquitto, rings
from simulators.load.__main__ import parse
from simulators.load.generator import run_load
from simulators.load.latency import percentiles
from simulators.load.options import LoadFailed, LoadOptions
from simulators.load.processes import Child, ProcessFailed
from simulators.load.run import arguments, run_in_process

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def few_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small rings are encoded sooner; they go round more often, too."""
    monkeypatch.setattr(rings, "_DISTINCT_MESSAGES", 600)
    monkeypatch.setattr(rings, "_DISTINCT_BYTES", 1 << 20)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if mosquitto.executable() is None:
        pytest.skip("mosquitto is not installed")
    started = mosquitto.start(tmp_path_factory.mktemp("mosquitto"))
    with started.child:
        yield started.port


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", [4, 5])
def test_a_real_broker_acknowledges_every_message(broker: int, qos: int, version: int) -> None:
    options = LoadOptions(
        port=broker,
        messages=3001,
        connections=3,
        window=100,
        qos=qos,
        version=version,
        user_property=version == 5,
    )
    result = run_load(options)
    assert (result.sent, result.acknowledged, result.refused, result.disordered) == (3001, 3001, 0, 0)
    assert result.ended_s > result.started_s


def test_one_message_in_flight_on_many_connections_is_enough_to_finish(broker: int) -> None:
    result = run_load(LoadOptions(port=broker, messages=500, connections=50, window=1))
    assert (result.sent, result.acknowledged) == (500, 500)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_load_for_a_time_ends_with_whole_messages_all_answered(broker: int, qos: int) -> None:
    result = run_load(LoadOptions(port=broker, duration_s=0.2, connections=2, window=20, qos=qos, payload_bytes=200))
    assert result.sent == result.acknowledged > 0


def test_large_payloads_that_no_socket_buffer_takes_at_once_arrive(broker: int) -> None:
    result = run_load(LoadOptions(port=broker, messages=60, connections=1, window=30, payload_bytes=200_000, qos=2))
    assert (result.sent, result.acknowledged) == (60, 60)


def test_a_paced_load_times_every_puback(broker: int) -> None:
    result = run_load(LoadOptions(port=broker, messages=50, connections=5, rate_per_s=500))
    assert result.acknowledged == 50
    assert 0 < result.latency_ms["median"] <= result.latency_ms["p99"] <= result.latency_ms["max"]


def test_the_acker_answers_all_and_the_load_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "acker.log"
    command = [sys.executable, "-m", "simulators.load.acker", "1000"]
    with Child(command, name="the acker", log=log, cwd=ROOT) as acker:
        acker.wait_until(lambda: log.read_bytes().endswith(b"\n"), timeout_s=10, what="its port")
        options = LoadOptions(port=int(log.read_text()), messages=50_000)
        result = run_in_process(options, timeout_s=30)
    assert (result.sent, result.acknowledged, result.disordered) == (50_000, 50_000, 0)
    assert not acker.is_running


def test_a_broker_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(LoadFailed, match=str(port)):
        run_load(LoadOptions(port=port, messages=1, connections=1))
    with pytest.raises(LoadFailed, match=str(port)):
        run_in_process(LoadOptions(port=port, messages=1, connections=1), timeout_s=30)


def test_a_broker_that_stops_answering_ends_the_load_with_a_sentence(broker: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = LoadOptions(port=listener.getsockname()[1], messages=10, connections=1, stall_s=1.2)
        silent = Child(
            [sys.executable, "-c", _SILENT, str(listener.fileno())],
            name="silent",
            log=Path("/dev/null"),
            pass_fds=(listener.fileno(),),
        )
        with silent, pytest.raises(LoadFailed, match=r"10 messages were sent .* and 0 of them acknowledged") as failed:
            run_load(options)
        assert failed.value.acknowledged == 0


_SILENT = """
import socket, sys
peer, _ = socket.socket(fileno=int(sys.argv[1])).accept()
peer.recv(1000)
peer.sendall(bytes((0x20, 2, 0, 0)))
while peer.recv(65536):
    pass
"""


def test_a_process_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]
    with Child(command, name="it", log=tmp_path / "log") as child, pytest.raises(ProcessFailed, match="no such thing"):
        child.wait_until(lambda: False, timeout_s=10, what="anything")


@pytest.mark.parametrize(
    "options",
    [
        LoadOptions(messages=10),
        LoadOptions(duration_s=1.5, version=5, user_property=True, qos=2, host="::1", port=7, seed=4),
        LoadOptions(messages=3, rate_per_s=100.0, connections=1, window=2, payload_bytes=16),
    ],
)
def test_options_survive_the_command_line(options: LoadOptions) -> None:
    assert parse(arguments(options)) == options


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"messages": 1, "duration_s": 1.0},
        {"messages": 1, "qos": 3},
        {"messages": 1, "version": 3},
        {"messages": 1, "user_property": True},
        {"messages": 1, "connections": 0},
        {"messages": 1, "rate_per_s": 0.0},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        LoadOptions(**wrong)  # type: ignore[arg-type]


def test_percentiles_are_times_that_were_measured() -> None:
    assert percentiles([]) == {}
    assert percentiles([0.001 * n for n in range(1, 101)]) == {"median": 50.0, "p99": 99.0, "max": 100.0}
    assert percentiles([0.004]) == {"median": 4.0, "p99": 4.0, "max": 4.0}
