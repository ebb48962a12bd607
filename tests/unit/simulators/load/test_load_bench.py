"""The short benchmark, with Mosquitto standing in for both sides; and the configurations it starts them with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rich.console import Console

from config.loader import load_gateway
from config.settings import Address, BrokerUrl, Protocol, Stream, Uplink
from simulators.load import bench, edge, mosquitto
from simulators.load.processes import ProcessFailed

OPTIONS = {"messages": 2000, "rounds": 1, "latency_s": 0.2}


def text(result: bench.BenchResult) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(result.table())
    return capture.get()


@pytest.mark.skipif(mosquitto.executable() is None, reason="mosquitto is not installed")
def test_both_sides_are_measured_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_start_edge", bench._start_mosquitto)
    result = bench.run_bench(bench.BenchOptions(disk=tmp_path / "disk", **OPTIONS))
    assert result.ok
    assert [line.failure for line in result.lines] == [None, None]
    assert result.fsync_per_s > 0
    assert all(line.acknowledged_per_s and line.latency_ms for line in result.lines)
    assert "Mosquitto 2" in text(result)
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_side_that_does_not_start_is_shown_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: Path) -> None:
        raise ProcessFailed("it did not start")

    monkeypatch.setattr(bench, "_start_edge", fail)
    monkeypatch.setattr(mosquitto, "executable", lambda: None)
    result = bench.run_bench(bench.BenchOptions(disk=tmp_path, **OPTIONS))
    assert not result.ok
    assert "it did not start" in text(result)


def test_a_benchmark_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        bench.BenchOptions(disk=tmp_path, messages=0)


def test_the_bridge_that_is_compared_with_is_given_its_best(tmp_path: Path) -> None:
    lines = mosquitto.configuration(port=1, folder=tmp_path, bridge_to=2, max_inflight=100).splitlines()
    assert "max_inflight_messages 100" in lines
    assert "max_queued_messages 0" in lines
    assert "topic # out 1" in lines
    assert "cleansession false" in lines
    on_disk = mosquitto.configuration(port=1, folder=tmp_path, on_disk=True).splitlines()
    assert {"persistence true", "autosave_interval 1", "autosave_on_changes false"} <= set(on_disk)


def test_the_gateway_is_measured_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    written = edge.configuration(folder=tmp_path, port=1, api_port=2, cloud_port=3, protocol="3.1.1")
    file.write_text(yaml.safe_dump(written))
    settings = load_gateway(file, {})
    assert settings.spool.durability_s is None
    assert settings.listeners[0].bind == Address(host="127.0.0.1", port=1)
    assert settings.uplinks == (Uplink(url=BrokerUrl(port=3), protocol=Protocol.V311),)
    assert settings.streams == (Stream(),)
