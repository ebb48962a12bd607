"""`fieldgate bench` where there is no clone: what this box can do, and Mosquitto beside it where it is installed.

It measures durable ingest (an fsync before every PUBACK) and PUBACK latency at 100 publishes a second, each round with
processes and a folder of its own on the disk that was named. The whole comparison is `tests/bench`, in a clone.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from simulators.load import edge, mosquitto
from simulators.load.disk import fsync_rate
from simulators.load.options import LoadFailed, LoadOptions
from simulators.load.processes import Child, ProcessFailed
from simulators.load.run import run_against

_LATENCY_RATE_PER_S = 100.0
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What to measure: on which disk, with how many messages, how many times, and for how long the latency."""

    disk: Path
    messages: int = 200_000
    rounds: int = 3
    latency_s: float = 5.0

    def __post_init__(self) -> None:
        if self.messages < 1 or self.rounds < 1 or self.latency_s <= 0:
            raise ValueError("A benchmark needs at least one message, one round, and some time for the latency.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchLine:
    """One of those measured: the median rate, and the PUBACK latency; or why it failed."""

    name: str
    acknowledged_per_s: float | None = None
    latency_ms: dict[str, float] | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """All of it; our line is the first."""

    fsync_per_s: float
    fsync_ms: float
    lines: tuple[BenchLine, ...]

    @property
    def ok(self) -> bool:
        """Whether ours was measured."""
        return self.lines[0].failure is None

    def table(self) -> Table:
        """For a person."""
        table = Table(title=f"This disk: {self.fsync_per_s:,.0f} fsyncs a second, one after the other")
        table.add_column("20 connections, QoS 1, 160-byte JSON")
        for head in ("acknowledged/s", "median ms", "p99 ms"):
            table.add_column(head, justify="right")
        for line in self.lines:
            latency = line.latency_ms or {}
            if line.failure is not None:
                table.add_row(line.name, f"failed: {line.failure}")
                continue
            rate = f"{line.acknowledged_per_s or 0:,.0f}"
            table.add_row(line.name, rate, f"{latency.get('median', 0):.2f}", f"{latency.get('p99', 0):.2f}")
        return table


class _Contender:
    """One of those measured, round by round."""

    def __init__(self, name: str, start: Callable[[Path], tuple[Child, int]], options: BenchOptions) -> None:
        self._name = name
        self._start = start
        self._options = options
        self._rates: list[float] = []
        self._latency_ms: dict[str, float] | None = None
        self._failure: str | None = None

    def run_round(self) -> None:
        """Measure once; a failure is the last round."""
        if self._failure is not None:
            return
        try:
            with tempfile.TemporaryDirectory(
                prefix="fieldgate-bench-", dir=self._options.disk, ignore_cleanup_errors=True
            ) as folder:
                child, port = self._start(Path(folder))
                with child:
                    self._measure(child, port)
        except (LoadFailed, ProcessFailed, OSError) as error:
            self._failure = str(error)

    def _measure(self, child: Child, port: int) -> None:
        if self._latency_ms is None:
            messages = max(1, int(_LATENCY_RATE_PER_S * self._options.latency_s))
            paced = LoadOptions(
                port=port, messages=messages, rate_per_s=_LATENCY_RATE_PER_S, client_id="paced-{device}"
            )
            self._latency_ms = run_against(child, paced, timeout_s=_TIMEOUT_S).latency_ms
        result = run_against(child, LoadOptions(port=port, messages=self._options.messages), timeout_s=_TIMEOUT_S)
        if result.refused:
            raise LoadFailed(f"{result.refused} of {result.sent} publishes were refused.")
        self._rates.append(result.rate_per_s)

    def line(self) -> BenchLine:
        """What came of it."""
        if self._failure is not None or not self._rates:
            return BenchLine(name=self._name, failure=self._failure or "nothing was measured")
        return BenchLine(
            name=self._name, acknowledged_per_s=statistics.median(self._rates), latency_ms=self._latency_ms
        )


def run_bench(options: BenchOptions) -> BenchResult:
    """Measure, in turns; raises OSError when the disk can't be written."""
    options.disk.mkdir(parents=True, exist_ok=True)
    fsync_per_s, fsync_ms = fsync_rate(options.disk)
    contenders = [_Contender("Fieldgate, on disk before each PUBACK", _start_edge, options)]
    if mosquitto.executable() is not None:
        name = f"Mosquitto {mosquitto.version()}, in memory, no subscriber"
        contenders.append(_Contender(name, _start_mosquitto, options))
    for _ in range(options.rounds):
        for contender in contenders:
            contender.run_round()
    lines = tuple(contender.line() for contender in contenders)
    return BenchResult(fsync_per_s=fsync_per_s, fsync_ms=fsync_ms, lines=lines)


def _start_edge(folder: Path) -> tuple[Child, int]:
    gateway = edge.start(folder)
    return gateway.child, gateway.port


def _start_mosquitto(folder: Path) -> tuple[Child, int]:
    broker = mosquitto.start(folder)
    return broker.child, broker.port
