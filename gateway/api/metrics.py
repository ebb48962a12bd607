"""The status as Prometheus reads it.

Every scrape reads the status once, so `/metrics` and `/api/v1/status` never disagree. Labels are names that the
operator wrote (stream, uplink, listener) or a fixed list of words (reason): never a client or a topic, whose number
has no bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.uplink_status import UplinkStatus
from gateway.api.status import UPLINK_ONLINE, GatewayStatus, StreamStatus

_STREAM_GAUGES: tuple[tuple[str, str, Callable[[StreamStatus], float | None]], ...] = (
    ("fieldgate_stream_records", "Records that wait in the spool.", lambda item: item.records),
    ("fieldgate_stream_bytes", "Bytes that wait in the spool.", lambda item: item.bytes),
    ("fieldgate_stream_oldest_age_seconds", "Age of the oldest waiting record.", lambda item: item.oldest_age_s),
    ("fieldgate_stream_next_sequence", "The next record's sequence number.", lambda item: item.next_seq),
)
_UPLINK_GAUGES: tuple[tuple[str, str, Callable[[UplinkStatus], float]], ...] = (
    ("fieldgate_uplink_online", "1 while frames can leave, else 0.", lambda item: item.state == UPLINK_ONLINE),
    ("fieldgate_uplink_in_flight_frames", "Frames sent and not yet acknowledged.", lambda item: item.in_flight),
)
_UPLINK_COUNTERS: tuple[tuple[str, str, Callable[[UplinkStatus], int]], ...] = (
    ("fieldgate_uplink_retries", "Attempts to connect or to send that were made again.", lambda item: item.retries),
    ("fieldgate_uplink_frames", "Frames acknowledged by the cloud.", lambda item: item.frames),
    ("fieldgate_uplink_records", "Records acknowledged by the cloud.", lambda item: item.records),
    ("fieldgate_uplink_raw_bytes", "What the same records are as plain MQTT.", lambda item: item.raw_bytes),
    ("fieldgate_uplink_wire_bytes", "Bytes of the frames sent, those sent again too.", lambda item: item.wire_bytes),
    ("fieldgate_uplink_dead_letters", "Records moved into the dead letters.", lambda item: item.dead_letters),
)


class StatusCollector(Collector):
    """Turns one status into metric families; `read` and `lag_s` are called at each scrape."""

    def __init__(self, read: Callable[[], GatewayStatus], lag_s: Callable[[], float]) -> None:
        self._read = read
        self._lag_s = lag_s

    def describe(self) -> list[Metric]:
        """Nothing: the registry must not ask for a status when the collector is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All families of one scrape."""
        status = self._read()
        yield InfoMetricFamily(
            "fieldgate_build",
            "The running gateway.",
            value={"version": status.version, "gateway": status.gateway},
        )
        yield GaugeMetricFamily("fieldgate_uptime_seconds", "Since the process started.", value=status.uptime_s)
        yield GaugeMetricFamily(
            "fieldgate_event_loop_lag_seconds", "Worst lateness of the last 30 seconds.", value=self._lag_s()
        )
        connections = GaugeMetricFamily("fieldgate_listener_connections", "Open connections.", labels=["listener"])
        for listener in status.listeners:
            connections.add_metric([listener.name], listener.connections)
        yield connections
        yield from _gauges(_STREAM_GAUGES, status.streams, "stream")
        yield from _stream_counters(status.streams)
        yield from _gauges(_UPLINK_GAUGES, status.uplinks, "uplink")
        for name, text, value in _UPLINK_COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["uplink"])
            for uplink, item in status.uplinks.items():
                counter.add_metric([uplink], value(item))
            yield counter
        spool = status.spool
        yield GaugeMetricFamily("fieldgate_spool_size_bytes", "The database and its WAL.", value=spool.size_bytes)
        yield GaugeMetricFamily("fieldgate_spool_limit_bytes", "The configured max_size.", value=spool.limit_bytes)
        yield CounterMetricFamily("fieldgate_spool_commits", "Group commits.", value=spool.commits)


def _gauges(
    families: tuple[tuple[str, str, Callable[[Any], float | None]], ...], items: Mapping[str, Any], label: str
) -> Iterable[Metric]:
    for name, text, value in families:
        gauge = GaugeMetricFamily(name, text, labels=[label])
        for key, item in items.items():
            if (number := value(item)) is not None:
                gauge.add_metric([key], float(number))
        yield gauge


def _stream_counters(streams: Mapping[str, StreamStatus]) -> Iterable[Metric]:
    accepted = CounterMetricFamily("fieldgate_stream_accepted_records", "Records committed.", labels=["stream"])
    dropped = CounterMetricFamily(
        "fieldgate_stream_dropped_records", "Records removed by a policy.", labels=["stream", "reason"]
    )
    for name, item in streams.items():
        accepted.add_metric([name], item.accepted)
        for reason, count in item.all_dropped.items():
            dropped.add_metric([name, reason], count)
    yield accepted
    yield dropped


def registry_of(read: Callable[[], GatewayStatus], lag_s: Callable[[], float]) -> CollectorRegistry:
    """A registry of its own (two gateways in one process do not mix): the status and the process's memory and CPU."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(read, lag_s))
    ProcessCollector(registry=registry)
    return registry
