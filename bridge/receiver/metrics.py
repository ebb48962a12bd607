"""The receiver's status as Prometheus reads it: each scrape reads the status once, so the two never disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.metric_entry import MetricEntry, entries_of
from bridge.web import metrics as http_metrics
from bridge.web.meter import Meter

PREFIX: Final = "fieldgate_receiver_"

_COUNTERS: Final = (
    ("frames", "Frames received and acknowledged, duplicates included."),
    ("records", "Records received, each counted once."),
    ("duplicates", "Records that came again and were dropped."),
    ("wire_bytes", "Bytes of the frames as they came."),
    ("epoch_changes", "Streams that began to be numbered anew, since start."),
)
LASTING: Final = frozenset(
    f"{PREFIX}{name}_total" for name in ("frames", "records", "duplicates", "wire_bytes", "set_aside")
)
"""Counters that the state file keeps: they go on where they were when the receiver starts again."""
_SINK_GAUGES: Final = (
    ("lag_frames", "lag_frames", "Frames that the sink does not have yet."),
    ("lag_records", "lag_records", "Records that the sink does not have yet."),
    ("lag_s", "lag_seconds", "Age of the oldest frame that the sink does not have yet."),
)
_SINK_COUNTERS: Final = (
    ("records", "Records written since start."),
    ("writes", "Writes (commits) since start."),
    ("errors", "Errors since start."),
    ("refused", "Records that the sink will never take, since start."),
)

_GAP_REASONS: Final = frozenset({"full", "expired", "corrupt", "dead_letter", "replayed"})
"""What `bridge.ports.Gap` names; anything else comes from a stranger and must not make labels without end."""


class ReceiverCollector(Collector):
    """Turns one status into metric families."""

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Nothing: the registry must not ask for a status when the collector is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All families of one scrape."""
        status = self._read()
        yield GaugeMetricFamily(PREFIX + "uptime_seconds", "Since the process started.", value=status["uptime_s"])
        for key, text in _COUNTERS:
            yield CounterMetricFamily(PREFIX + key, text, value=status[key])
        link = status["link"]
        yield GaugeMetricFamily(PREFIX + "online", "1 while subscribed, else 0.", value=link["state"] == "online")
        yield CounterMetricFamily(PREFIX + "connections", "Connections made since start.", value=link["connections"])
        yield CounterMetricFamily(
            PREFIX + "sessions_lost", "How often the broker had lost our session.", value=link["sessions_lost"]
        )
        yield GaugeMetricFamily(PREFIX + "waiting_frames", "Frames held.", value=status["waiting"]["frames"])
        yield GaugeMetricFamily(PREFIX + "waiting_bytes", "What they take.", value=status["waiting"]["bytes"])
        yield _labelled("set_aside", "What was set aside.", "reason", status["set_aside"]["by_reason"])
        yield GaugeMetricFamily(PREFIX + "missing_records", "Records in undeclared holes.", value=status["missing"])
        dropped: Counter[str] = Counter()
        for lane in status["gaps"]:
            for reason, count in lane["reasons"].items():
                dropped[reason if reason in _GAP_REASONS else "other"] += count
        gaps = GaugeMetricFamily(PREFIX + "gap_records", "Records in declared gaps.", labels=["reason"])
        for reason, count in dropped.items():
            gaps.add_metric([reason], count)
        yield gaps
        yield from _sinks(status["sinks"])


def _sinks(sinks: list[dict[str, Any]]) -> Iterable[Metric]:
    ready = GaugeMetricFamily(PREFIX + "sink_ready", "1 while the sink takes records, else 0.", labels=["sink"])
    for sink in sinks:
        ready.add_metric([sink["name"]], sink["state"] == "ready")
    yield ready
    for key, name, text in _SINK_GAUGES:
        gauge = GaugeMetricFamily(f"{PREFIX}sink_{name}", text, labels=["sink"])
        for sink in sinks:
            gauge.add_metric([sink["name"]], sink[key])
        yield gauge
    for key, text in _SINK_COUNTERS:
        yield _labelled(f"sink_{key}", text, "sink", {sink["name"]: sink[key] for sink in sinks})


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    counter = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for key, value in values.items():
        counter.add_metric([key], value)
    return counter


def describe() -> list[MetricEntry]:
    """Every metric of the receiver."""
    empty: dict[str, Any] = {
        "uptime_s": 0.0,
        **{key: 0 for key, _ in _COUNTERS},
        "link": {"state": "", "connections": 0, "sessions_lost": 0},
        "waiting": {"frames": 0, "bytes": 0},
        "set_aside": {"by_reason": {}},
        "missing": 0,
        "gaps": [],
        "sinks": [],
    }
    return [*entries_of(ReceiverCollector(lambda: empty).collect()), *http_metrics.describe()]


def registry_of(read: Callable[[], dict[str, Any]], http: Meter) -> CollectorRegistry:
    """A registry of its own (two receivers in one process do not meet): the status, the requests to the HTTP interface,
    and the process's memory and CPU."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ReceiverCollector(read))
    registry.register(http_metrics.HttpCollector(http))
    ProcessCollector(registry=registry)
    return registry
